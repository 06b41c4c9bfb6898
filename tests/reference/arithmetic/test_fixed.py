import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode.config.tables import LineTable
from neardecode_testbench.reference.arithmetic.fixed import (
    bit_length,
    clamp,
    evaluate_lines,
    pack_blocks,
    shift_rounded,
    to_words,
)
from neardecode_testbench.reference.blocks import quantise


def test_clamps_to_the_ends_of_the_width_and_says_so():
    words = clamp([-129, -128, 0, 127, 128], 8)
    assert words.values.tolist() == [-128, -128, 0, 127, 127]
    assert words.saturated.tolist() == [True, False, False, False, True]


@settings(derandomize=True, deadline=None)
@given(st.integers(-(2**62) + 1, 2**62 - 1), st.integers(1, 62))
def test_rounds_to_nearest_and_a_half_upwards(value, shift):
    assert shift_rounded(value, shift) == value + (1 << shift - 1) >> shift


def test_a_shift_of_zero_or_less_is_exact():
    assert shift_rounded([5, -5], [0, -3]).tolist() == [5, -40]


def test_accumulators_become_words_of_fewer_fraction_bits():
    words = to_words([3, 2, 1, -3, 1 << 40], 2, 1, 32)
    assert words.values.tolist() == [2, 1, 1, -1, (1 << 31) - 1]
    assert words.saturated.tolist() == [False, False, False, False, True]


@given(st.integers(0, 2**63 - 1))
@settings(derandomize=True, deadline=None)
def test_bit_lengths_are_those_of_python(value):
    assert bit_length(value) == value.bit_length()


@pytest.mark.parametrize("element_bits", [8, 10, 12, 16])
@pytest.mark.parametrize("fraction_bits", [0, 13, 20])
def test_packs_as_the_reference_quantises_floats(element_bits, fraction_bits):
    random = np.random.default_rng(1)
    values = random.integers(-(2**31), 2**31, (300, 70)) >> random.integers(0, 32, (300, 70))
    values[0] = 0
    values[1, :33] = 0
    values[2] = -(2**31)
    blocks = pack_blocks(values, fraction_bits, element_bits)
    expected = quantise(np.ldexp(values.astype(float), -fraction_bits), element_bits)
    assert (blocks.elements == expected.elements).all()
    assert (blocks.exponents == expected.exponents).all()


def test_refuses_exponents_that_leave_their_byte():
    with pytest.raises(ValueError, match="fraction_bits 127 lets an exponent leave 1 to 254"):
        pack_blocks([1], 127, 8)


def test_lines_are_a_base_and_a_slope_rounded_down():
    table = LineTable(1, 2, 1, (10, 20), (3, -3))
    assert evaluate_lines(table, range(8)).tolist() == [10, 11, 13, 14, 20, 18, 17, 15]
