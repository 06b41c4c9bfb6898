"""Exchanges between chips: partial results of several, joined by a tree, become one's words."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from neardecode.config import PRESETS, Config, Target
from neardecode.decoder.chip_port import ChipPort
from neardecode.decoder.exchange import Exchange
from neardecode.fabric.reduction_tree import ReductionTree
from neardecode.token_chips import chip_topology
from neardecode_testbench.reference.arithmetic import add_residual, to_words

TINY = PRESETS["decoder-tiny"]
LANES = TINY.decoder.lanes
BITS = TINY.compute.accumulator_bits
WORD = (1 << TINY.vector.word_bits) - 1


def of_chips(chips):
    return Config.model_validate({**TINY.model_dump(), "chips": chips})


class Joined(wiring.Component):
    """Exchanges of several chips and what joins them."""

    def __init__(self, config):
        self.exchanges = [Exchange(config) for _ in range(config.chips)]
        self._ports = [ChipPort(config, 1) for _ in range(config.chips)]
        self._tree = ReductionTree(
            chip_topology(config.chips), width=BITS, lanes=LANES, link_latency=3
        )
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = self._tree
        for number, (exchange, port) in enumerate(zip(self.exchanges, self._ports, strict=True)):
            m.submodules += [exchange, port]
            connect(m, exchange.unit, port.units[0])
            connect(m, port.network.commands, self._tree.commands[number])
            connect(m, port.network.contributions, self._tree.contributions[number])
            connect(m, self._tree.results[number], port.network.results)
            m.d.comb += exchange.number.eq(number)
        return m


def exchanged(chips, job, partials, *, residual=None, largest=None, seed=1):
    """What each chip writes, by transfer, and its token; partials (chips, transfers, lanes)."""
    joined = Joined(of_chips(chips))
    simulator = Simulator(joined)
    simulator.add_clock(1e-9)
    writes, tokens, cycles = [{} for _ in range(chips)], [None] * chips, [0] * chips

    def chip(number):
        exchange = joined.exchanges[number]
        random = np.random.default_rng([seed, number])
        own = partials[number]

        async def run(context):
            for name, value in job.items():
                context.set(getattr(exchange.jobs.payload, name), value)
            context.set(exchange.gathering, 1)
            for _ in range(int(random.integers(0, 20))):
                await context.tick()
            context.set(exchange.jobs.valid, 1)
            await context.tick()
            context.set(exchange.jobs.valid, 0)
            gathered = 0
            while context.get(exchange.busy):
                if gathered < len(own) and random.random() < 0.4:
                    gathered += 1
                    context.set(exchange.gathered, gathered)
                if gathered == len(own):
                    if largest is not None:
                        context.set(exchange.largest, int(largest[number][0]))
                        context.set(exchange.element, int(largest[number][1]))
                    context.set(exchange.gathering, 0)
                await context.tick()
                cycles[number] += 1
                assert cycles[number] < 2000
            tokens[number] = context.get(exchange.tokens[0])

        async def read(context):
            while True:
                reads, place = context.get(exchange.reads), context.get(exchange.read)
                wanted = context.get(exchange.residual_reads)
                old = context.get(exchange.residual_read)
                summed = job["target"] == Target.RESIDUAL
                assert not (reads and summed) or place < context.get(exchange.gathered)
                for name in ("words", "sums"):
                    stream = getattr(exchange, name)
                    if context.get(stream.valid):
                        transfer = context.get(stream.payload.transfer)
                        assert (name, transfer) not in writes[number]
                        writes[number][name, transfer] = [
                            context.get(stream.payload.values[lane]) for lane in range(LANES)
                        ]
                await context.tick()
                if reads and place < len(own):
                    for lane in range(LANES):
                        context.set(exchange.partials[lane], int(own[place][lane]))
                if wanted:
                    for lane in range(LANES):
                        context.set(exchange.residual[lane], int(residual[old][lane]) & WORD)

        simulator.add_testbench(run)
        simulator.add_testbench(read, background=True)

    for number in range(chips):
        chip(number)
    simulator.run()
    return writes, tokens, cycles


def numbers(seed, *shape, bits=40):
    return np.random.default_rng(seed).integers(-(1 << bits), 1 << bits, shape)


@pytest.mark.parametrize(("chips", "count"), [(2, 1), (2, 8), (3, 7), (4, 8)])
def test_sums_of_all_chips_are_added_to_what_was_there(chips, count):
    partials, residual = numbers(chips, chips, count, LANES), numbers(9, count, LANES, bits=20)
    job = {"target": Target.RESIDUAL, "gathers": 0, "first": 0, "count": count}
    writes, _, _ = exchanged(chips, job, partials, residual=residual)
    words = add_residual(
        residual, partials.sum(axis=0), TINY.compute.fraction_bits, TINY.vector
    ).values
    expected = {
        ("sums", place): [int(each) & WORD for each in words[place]] for place in range(count)
    }
    assert writes == [expected] * chips


@pytest.mark.parametrize(("chips", "count"), [(2, 4), (2, 5), (3, 7), (4, 12)])
def test_transfers_dealt_in_turn_are_words_of_every_chip(chips, count):
    every = numbers(chips, count, LANES)
    partials = [every[number::chips] for number in range(chips)]
    job = {"target": Target.WORDS, "gathers": 1, "first": 3, "count": count}
    writes, _, _ = exchanged(chips, job, partials)
    vector = TINY.vector
    words = to_words(
        every, TINY.compute.fraction_bits, vector.word_fraction_bits, vector.word_bits
    ).values
    expected = {
        ("words", 3 + place): [int(each) & WORD for each in words[place]] for place in range(count)
    }
    assert writes == [expected] * chips


@pytest.mark.parametrize("chips", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_the_token_is_the_first_of_the_largest_of_all_chips(chips, seed):
    # Rows of all chips, dealt by transfers; few different values, so that some are equal.
    values = np.random.default_rng(seed).integers(-3, 2, 5 * chips * LANES)
    # Of some seeds only late ones are.
    values[: max(0, seed * 2 * chips * LANES - 3)] -= 5
    rows = np.arange(values.size)
    largest = []
    for number in range(chips):
        own = values[rows // LANES % chips == number]
        largest.append((own.max(), own.argmax()))
    job = {"target": Target.TOKEN, "gathers": 0, "first": 0, "count": chips}
    _, tokens, _ = exchanged(chips, job, [[] for _ in range(chips)], largest=largest, seed=seed)
    assert tokens == [int(values.argmax())] * chips
