"""Straight lines and powers of two, every argument against the integer reference."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from neardecode.config.tables import (
    LineTable,
    power_table,
    reciprocal_root_table,
    reciprocal_table,
)
from neardecode.lib.lines import StraightLines
from neardecode.lib.power import PowerOfTwo
from neardecode_testbench.reference.arithmetic.fixed import evaluate_lines
from neardecode_testbench.reference.arithmetic.softmax import power_of_two


def evaluate(component, source, sink, arguments):
    values = []

    async def bench(context):
        for argument in arguments:
            context.set(source, int(argument))
            values.append(context.get(sink))

    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()
    return values


@pytest.mark.parametrize(
    "table",
    [
        power_table(10, 11),
        power_table(6, 3),
        reciprocal_table(16),
        reciprocal_root_table(16),
        LineTable(1, 3, 2, (-9, 100), (-7, 5)),
    ],
    ids=["power", "coarse power", "reciprocal", "reciprocal root", "signed"],
)
def test_lines_are_those_of_the_reference(table):
    size = 1 << table.argument_bits
    arguments = sorted({*range(0, size, max(1, size // 3001)), size - 1})
    lines = StraightLines(table)
    values = evaluate(lines, lines.argument, lines.value, arguments)
    assert values == evaluate_lines(table, arguments).tolist()


@pytest.mark.parametrize("mantissa_bits", [3, 7, 11, 15])
@pytest.mark.parametrize("fraction_bits", [6, 10, 12])
def test_powers_are_those_of_the_reference(fraction_bits, mantissa_bits):
    power = PowerOfTwo(fraction_bits, mantissa_bits)
    fractions = np.arange(1 << fraction_bits)
    values = evaluate(power, power.fraction, power.mantissa, fractions)
    assert values == power_of_two(fractions, fraction_bits, mantissa_bits).tolist()


def test_refuses_what_is_no_table():
    with pytest.raises(TypeError, match="table must be a LineTable, not 3"):
        StraightLines(3)
