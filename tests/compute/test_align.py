import numpy as np
import pytest
from amaranth.sim import Simulator

from neardecode.compute.align import Align
from neardecode_testbench.reference.scores import floored_terms


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize(("integer_bits", "term_bits"), [(5, 4), (5, 5), (4, 7), (6, 3)])
def test_every_integer_and_shift_gives_the_reference_s_term(integer_bits, term_bits, narrow):
    shifts = [*range(-integer_bits - 2, term_bits + 3), -512, 511]
    high = 1 << integer_bits - 1
    integers = np.arange(-high, high)
    terms, clamped = floored_terms(
        integers[:, np.newaxis], np.array(shifts)[np.newaxis], term_bits - narrow
    )
    align = Align(integer_bits, term_bits)

    async def bench(context):
        context.set(align.narrow, narrow)
        for row, integer in enumerate(integers.tolist()):
            context.set(align.integer, integer)
            for column, shift in enumerate(shifts):
                context.set(align.shift, shift)
                found = context.get(align.term), context.get(align.clamped)
                assert found == (terms[row, column], clamped[row, column]), (integer, shift)

    simulator = Simulator(align)
    simulator.add_testbench(bench)
    simulator.run()
    assert clamped.any()
    assert not clamped.all()
