import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from neardecode.lib.one_hot import one_hot_index


@pytest.mark.parametrize("width", [2, 3, 5, 16])
def test_the_index_is_that_of_the_bit_and_zero_without_one(width):
    m = Module()
    mask, index = Signal(width), Signal(range(width))
    m.d.comb += index.eq(one_hot_index(mask))
    seen = []

    async def bench(context):
        for value in (0, *(1 << place for place in range(width))):
            context.set(mask, value)
            seen.append(context.get(index))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0, *range(width)]


def test_one_bit_needs_no_index():
    assert len(one_hot_index(Signal(1))) == 0
