import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from neardecode.lib.one_hot import first_set, one_hot_index


@pytest.mark.parametrize("width", [2, 3, 5, 16])
def test_the_index_is_that_of_the_bit_and_zero_without_one(width):
    mask, index = Signal(width), Signal(range(width))
    values = (0, *(1 << place for place in range(width)))
    assert settled(index.eq(one_hot_index(mask)), mask, index, values) == [0, *range(width)]


@pytest.mark.parametrize("width", [1, 3, 5])
def test_the_first_set_is_the_lowest_bit_alone(width):
    mask, first = Signal(width), Signal(width)
    values = range(1 << width)
    lowest = [value & -value for value in values]
    assert settled(first.eq(first_set(mask)), mask, first, values) == lowest


def settled(statement, given, told, values):
    m = Module()
    m.d.comb += statement
    seen = []

    async def bench(context):
        for value in values:
            context.set(given, value)
            seen.append(context.get(told))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def test_one_bit_needs_no_index():
    assert len(one_hot_index(Signal(1))) == 0
