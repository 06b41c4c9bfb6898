"""Heads whose tokens lie on several chips become, on every chip, what one would have had."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from neardecode.config import PRESETS, Config
from neardecode.decoder.chip_port import ChipPort
from neardecode.decoder.shared_heads import SharedHeads
from neardecode.fabric.reduction_tree import ReductionTree
from neardecode.token_chips import chip_topology
from neardecode_testbench.reference.arithmetic import Partial, merge

TINY = PRESETS["decoder-tiny"]
VAULTS = TINY.stack.vaults


def of_chips(chips):
    config = Config.model_validate({**TINY.model_dump(), "chips": chips})
    return config.attending(TINY.decoder.group, TINY.decoder.head_elements)


class Joined(wiring.Component):
    """Shared heads of several chips and what joins them."""

    def __init__(self, config):
        self.heads = [SharedHeads(config) for _ in range(config.chips)]
        self._ports = [ChipPort(config, 1) for _ in range(config.chips)]
        self._tree = ReductionTree(
            chip_topology(config.chips),
            width=config.compute.accumulator_bits,
            lanes=config.decoder.lanes,
            link_latency=2,
        )
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = self._tree
        for number, (heads, port) in enumerate(zip(self.heads, self._ports, strict=True)):
            m.submodules += [heads, port]
            connect(m, heads.unit, port.units[0])
            connect(m, port.network.commands, self._tree.commands[number])
            connect(m, port.network.contributions, self._tree.contributions[number])
            connect(m, self._tree.results[number], port.network.results)
            m.d.comb += heads.number.eq(number)
        return m


@pytest.mark.parametrize(("chips", "empty"), [(2, ()), (2, (1,)), (3, (2,)), (4, ())])
def test_parts_of_all_chips_are_merged_on_every_chip(chips, empty):
    config = of_chips(chips)
    vectors, elements = config.compute.vectors, config.compute.head_elements
    random = np.random.default_rng(chips)
    heads = 3
    held = [number for number in range(chips) if number not in empty]
    # (heads, chips, vectors); of a chip without tokens, nothing.
    maxima = random.integers(-40, 40, (heads, chips, vectors))
    maxima[1] = maxima[1, 0, 0]
    maxima[2, 0] += 100
    totals = random.integers(1 << 20, 1 << 30, (heads, chips, vectors))
    sums = random.integers(-(1 << 40), 1 << 40, (heads, chips, elements, vectors))
    joined = Joined(config)
    simulator = Simulator(joined)
    simulator.add_clock(1e-9)
    found = [[] for _ in range(chips)]
    flags = [[] for _ in range(chips)]

    def chip(number):
        unit = joined.heads[number]

        async def begin(context):
            # What an empty chip's units show means nothing.
            for vault in range(VAULTS):
                for v in range(vectors):
                    context.set(unit.partials[vault].payload.vectors[v].total, 12345)
                    context.set(unit.sums[vault].payload.values[v], -678)
            for _ in range(int(random.integers(0, 9))):
                await context.tick()
            context.set(unit.jobs.payload.heads, heads)
            context.set(unit.jobs.payload.empty, number in empty)
            context.set(unit.jobs.valid, 1)
            await context.tick().until(unit.jobs.ready)
            context.set(unit.jobs.valid, 0)
            waited = 0
            while len(found[number]) < heads * (2 + elements) * vectors:
                await context.tick()
                waited += 1
                assert waited < 4000

        def give(vault):
            async def run(context):
                for head in range(vault, heads, VAULTS):
                    partial, sum_ = unit.partials[vault], unit.sums[vault]
                    for _ in range(int(random.integers(0, 30))):
                        await context.tick()
                    for v in range(vectors):
                        one = partial.payload.vectors[v]
                        context.set(one.maximum, int(maxima[head, number, v]))
                        context.set(one.total, int(totals[head, number, v]))
                    context.set(partial.payload.error, head == 1)
                    context.set(partial.valid, 1)
                    await context.tick().until(partial.ready)
                    context.set(partial.valid, 0)
                    for element in range(elements):
                        while random.random() < 0.2:
                            await context.tick()
                        for v in range(vectors):
                            context.set(sum_.payload.values[v], int(sums[head, number, element, v]))
                        context.set(sum_.payload.saturated, int(head == 2 and element == 7))
                        context.set(sum_.valid, 1)
                        await context.tick().until(sum_.ready)
                        context.set(sum_.valid, 0)

            return run

        async def take(context):
            for head in range(heads):
                vault = head % VAULTS
                partial, sum_ = unit.merged_partials[vault], unit.merged_sums[vault]
                for _ in range(int(random.integers(0, 40))):
                    await context.tick()
                context.set(partial.ready, 1)
                (bits,) = (
                    await context.tick().sample(partial.payload.as_value()).until(partial.valid)
                )
                context.set(partial.ready, 0)
                view = partial.payload.shape().from_bits(bits)
                ones = [view.vectors[v] for v in range(vectors)]
                found[number] += [one.maximum for one in ones] + [one.total for one in ones]
                error = view.error
                saturated = 0
                for element in range(elements):
                    while random.random() < 0.2:
                        await context.tick()
                    context.set(sum_.ready, 1)
                    values = (
                        await context.tick()
                        .sample(sum_.payload.as_value(), sum_.payload.element)
                        .until(sum_.valid)
                    )
                    context.set(sum_.ready, 0)
                    assert values[1] == element
                    view = sum_.payload.shape().from_bits(values[0])
                    found[number] += [int(view.values[v]) for v in range(vectors)]
                    saturated |= int(view.saturated)
                flags[number].append((error, saturated))

        simulator.add_testbench(begin)
        simulator.add_testbench(take)
        if number not in empty:
            for vault in range(VAULTS):
                simulator.add_testbench(give(vault))

    for number in range(chips):
        chip(number)
    simulator.run()
    expected = []
    for head in range(heads):
        merged = merge([Partial(maxima[head, c], totals[head, c]) for c in held])
        weighted = sum(
            sums[head, c] >> merged.shifts[place] for place, c in enumerate(held)
        )  # (elements, vectors)
        expected += [*merged.partial.maximum, *merged.partial.total, *weighted.reshape(-1)]
    for number in range(chips):
        assert found[number] == [int(each) for each in expected]
        own = number not in empty
        assert flags[number] == [(int(own and h == 1), int(own and h == 2)) for h in range(heads)]
