"""Activations wait for their blocks and go out as often as asked."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from neardecode.config import PRESETS
from neardecode.decoder.activations import ActivationStore

CONFIG = PRESETS["decoder-tiny"]


@pytest.mark.parametrize(("blocks", "times"), [(1, 1), (4, 1), (3, 2), (16, 1), (2, 4)])
@pytest.mark.parametrize("seed", range(2))
def test_blocks_written_in_any_order_are_sent_in_order_and_again(blocks, times, seed):
    store = ActivationStore(CONFIG)
    simulator = Simulator(store)
    simulator.add_clock(1e-9)
    random = np.random.default_rng(seed)
    exponents = random.integers(1, 255, blocks)
    sent = []

    async def write(context):
        # What an earlier vector left is not sent.
        context.set(store.blocks.valid, 1)
        context.set(store.blocks.payload.place, 0)
        context.set(store.blocks.payload.block.exponent, 0)
        await context.tick()
        context.set(store.blocks.valid, 0)
        context.set(store.clear, 1)
        context.set(store.jobs.payload.blocks, blocks)
        context.set(store.jobs.payload.times, times)
        context.set(store.jobs.valid, 1)
        await context.tick()
        context.set(store.jobs.valid, 0)
        context.set(store.clear, 0)
        assert context.get(store.missing)
        for place in random.permutation(blocks):
            while random.random() < 0.5:
                await context.tick()
            context.set(store.blocks.valid, 1)
            context.set(store.blocks.payload.place, int(place))
            context.set(store.blocks.payload.block.exponent, int(exponents[place]))
            context.set(store.blocks.payload.block.elements[5], int(place) - 3)
            await context.tick()
            context.set(store.blocks.valid, 0)
        for _ in range(8 * blocks * times + 8):
            await context.tick()
        assert not context.get(store.busy)

    async def take(context):
        while True:
            context.set(store.sent.ready, int(random.random() < 0.6))
            if context.get(store.sent.valid) and context.get(store.sent.ready):
                block = store.sent.payload
                sent.append(
                    (
                        context.get(block.exponent),
                        context.get(block.elements[5]),
                        context.get(block.last),
                    )
                )
            await context.tick()

    simulator.add_testbench(write)
    simulator.add_testbench(take, background=True)
    simulator.run()
    expected = [(int(each), place - 3, 0) for place, each in enumerate(exponents)] * times
    expected[-1] = (*expected[-1][:2], 1)
    assert sent == expected
