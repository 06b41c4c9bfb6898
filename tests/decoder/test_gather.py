"""Results of matrices: each to its element, in whatever order channels give them."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from neardecode.config import PRESETS, Target
from neardecode.decoder.gather import ResultGather
from neardecode_testbench.reference.arithmetic import add_residual, to_words

CONFIG = PRESETS["decoder-tiny"]
CHANNELS = CONFIG.flash.channels
LANES = CONFIG.decoder.lanes


def gathered(target, values, first=0, old=None, seed=1):
    """What is written for a matrix of ``values``, and its token."""
    rows, extra = divmod(len(values), CHANNELS)
    gather = ResultGather(CONFIG)
    simulator = Simulator(gather)
    simulator.add_clock(1e-9)
    random = np.random.default_rng(seed)
    queues = [list(range(channel, len(values), CHANNELS)) for channel in range(CHANNELS)]
    writes, token = {}, []

    async def drive(context):
        context.set(gather.jobs.payload.target, target)
        context.set(gather.jobs.payload.rows, rows)
        context.set(gather.jobs.payload.extra, extra)
        context.set(gather.jobs.payload.first, first)
        context.set(gather.jobs.valid, 1)
        await context.tick()
        context.set(gather.jobs.valid, 0)
        while any(queues):
            channel = int(random.choice([at for at, queue in enumerate(queues) if queue]))
            if random.random() < 0.3:
                context.set(gather.results.valid, 0)
            else:
                element = queues[channel].pop(0)
                context.set(gather.results.payload.channel, channel)
                context.set(gather.results.payload.row, element // CHANNELS)
                context.set(gather.results.payload.values[0], int(values[element]))
                context.set(gather.results.valid, 1)
            await context.tick()
        context.set(gather.results.valid, 0)
        # It is busy until the last one is where it belongs.
        while context.get(gather.busy):
            await context.tick()
        if target is not Target.TOKEN:
            assert len(writes) == len(values)
        await context.tick()
        token.append(context.get(gather.tokens[0]))

    async def look(context):
        stored = {}
        while True:
            # Whoever reads a transfer below the mark in this cycle finds what was written before.
            done = context.get(gather.written)
            if context.get(gather.busy) and target in (Target.WORDS, Target.PARTIAL):
                assert all(element in stored for element in range(LANES * (done - first)))
            for stream, name in (
                (gather.words, "words"),
                (gather.sums, "sums"),
                (gather.partials, "partials"),
            ):
                if context.get(stream.valid):
                    place = context.get(stream.payload.element)
                    assert (name, place) not in writes
                    writes[name, place] = context.get(stream.payload.values[0])
                    stored[place - LANES * first] = True
            if old is not None:
                place = context.get(gather.old)
                await context.tick()
                context.set(gather.old_values[0], int(old[place]) if place < len(old) else 0)
            else:
                await context.tick()

    simulator.add_testbench(drive)
    simulator.add_testbench(look, background=True)
    simulator.run()
    return writes, token[0]


@pytest.mark.parametrize("count", [1, 32, 33, 64])
@pytest.mark.parametrize("seed", range(3))
def test_results_become_words_at_their_elements_behind_the_mark(count, seed):
    values = np.random.default_rng(seed).integers(-(1 << 45), 1 << 45, count)
    writes, _ = gathered(Target.WORDS, values, first=2, seed=seed)
    vector = CONFIG.vector
    words = to_words(
        values, CONFIG.compute.fraction_bits, vector.word_fraction_bits, vector.word_bits
    )
    mask = (1 << vector.word_bits) - 1
    assert writes == {
        ("words", 2 * LANES + place): int(word) & mask for place, word in enumerate(words.values)
    }


def test_sums_take_the_element_that_was_there():
    random = np.random.default_rng(5)
    values = random.integers(-(1 << 40), 1 << 40, 32)
    old = random.integers(-(1 << 20), 1 << 20, 32)
    writes, _ = gathered(Target.RESIDUAL, values, old=[int(each) & (1 << 32) - 1 for each in old])
    sums = add_residual(old, values, CONFIG.compute.fraction_bits, CONFIG.vector).values
    assert writes == {("sums", place): int(each) & (1 << 32) - 1 for place, each in enumerate(sums)}


@pytest.mark.parametrize("count", [1, 33, 64])
def test_partial_results_are_kept_as_they_are(count):
    values = np.random.default_rng(count).integers(-(1 << 45), 1 << 45, count)
    writes, _ = gathered(Target.PARTIAL, values, seed=count)
    mask = (1 << CONFIG.compute.accumulator_bits) - 1
    assert writes == {("partials", place): int(each) & mask for place, each in enumerate(values)}


@pytest.mark.parametrize("seed", range(4))
def test_the_token_is_the_first_of_the_largest(seed):
    values = np.random.default_rng(seed).integers(-3, 4, 40)
    writes, token = gathered(Target.TOKEN, values, seed=seed)
    assert writes == {}
    assert token == int(values.argmax())


@pytest.mark.parametrize("seed", range(2))
def test_every_sequence_has_its_words_and_its_token(seed):
    """All of a row's are written in one cycle."""
    three = CONFIG.side_by_side(3)
    values = np.random.default_rng(seed).integers(-(1 << 40), 1 << 40, (3, 33))
    vector, found = three.vector, {}
    gather = ResultGather(three)
    simulator = Simulator(gather)
    simulator.add_clock(1e-9)

    async def drive(context):
        for target in (Target.WORDS, Target.TOKEN):
            context.set(gather.jobs.payload.target, target)
            context.set(gather.jobs.payload.rows, 33 // CHANNELS)
            context.set(gather.jobs.payload.extra, 33 % CHANNELS)
            context.set(gather.jobs.valid, 1)
            await context.tick().until(gather.jobs.ready)
            context.set(gather.jobs.valid, 0)
            for element in range(33):
                context.set(gather.results.payload.channel, element % CHANNELS)
                context.set(gather.results.payload.row, element // CHANNELS)
                for sequence in range(3):
                    value = int(values[sequence, element])
                    context.set(gather.results.payload.values[sequence], value)
                context.set(gather.results.valid, 1)
                assert context.get(gather.results.ready)
                await context.tick()
            context.set(gather.results.valid, 0)
            while context.get(gather.busy):
                await context.tick()
        await context.tick()
        assert [context.get(token) for token in gather.tokens] == values.argmax(1).tolist()

    async def look(context):
        async for _, _, valid, write in context.tick().sample(
            gather.words.valid, gather.words.payload
        ):
            if valid:
                found[write.element] = list(write["values"])

    simulator.add_testbench(drive)
    simulator.add_process(look)
    simulator.run()
    words = (
        to_words(
            values, three.compute.fraction_bits, vector.word_fraction_bits, vector.word_bits
        ).values
        & (1 << vector.word_bits) - 1
    )
    assert found == {element: words[:, element].tolist() for element in range(33)}


def test_a_token_owes_nothing_to_the_matrix_before():
    gather = ResultGather(CONFIG)
    simulator = Simulator(gather)
    simulator.add_clock(1e-9)
    found = []

    async def drive(context):
        context.set(gather.jobs.payload.target, Target.TOKEN)
        context.set(gather.jobs.payload.rows, 1)
        for values in ([9, 7], [-5, -3]):
            context.set(gather.jobs.valid, 1)
            await context.tick().until(gather.jobs.ready)
            context.set(gather.jobs.valid, 0)
            for channel, value in enumerate(values):
                context.set(gather.results.payload.channel, channel)
                context.set(gather.results.payload.values[0], value)
                context.set(gather.results.valid, 1)
                await context.tick().until(gather.results.ready)
            context.set(gather.results.valid, 0)
            await context.tick()
            found.append(context.get(gather.tokens[0]))

    simulator.add_testbench(drive)
    simulator.run()
    assert found == [0, 1]
