from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode_testbench.reference.blocks import BlockVector, dequantise, quantise


def exact_block(values: list[float], element_bits: int) -> tuple[list[int], int]:
    """Elements and stored exponent of up to 32 values, in exact arithmetic."""
    largest = max(abs(Fraction(value)) for value in values)
    if largest == 0:
        return [0] * 32, 0
    exponent = 0
    while Fraction(2) ** (exponent + 1) <= largest:
        exponent += 1
    while Fraction(2) ** exponent > largest:
        exponent -= 1
    exponent = max(exponent, -127)
    limit = 2 ** (element_bits - 1) - 1
    # Fraction rounds half to even.
    rounded = [round(Fraction(v) / Fraction(2) ** (exponent - element_bits + 2)) for v in values]
    elements = [max(-limit, min(limit, q)) for q in rounded]
    return elements + [0] * (32 - len(values)), exponent + 127


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(derandomize=True, deadline=None)
@given(st.lists(floats, min_size=1, max_size=32), st.integers(2, 24))
def test_rounds_as_exact_arithmetic_does(values, element_bits):
    blocks = quantise(np.array(values, np.float32), element_bits)
    elements, exponent = exact_block(values, element_bits)
    assert blocks.elements.tolist() == [elements]
    assert blocks.exponents.tolist() == [exponent]
    assert blocks.elements.dtype == np.int32
    assert blocks.exponents.dtype == np.uint8


@settings(derandomize=True, deadline=None)
@given(st.lists(floats, min_size=32, max_size=32), st.integers(2, 16))
def test_error_is_half_a_step_or_one_at_the_clamp(values, element_bits):
    array = np.array(values, np.float32)
    blocks = quantise(array, element_bits)
    step = 2.0 ** (int(blocks.exponents[0]) - 127 - (element_bits - 2))
    error = np.abs(dequantise(blocks).astype(np.float64) - array)
    clamped = np.abs(blocks.elements[0]) == 2 ** (element_bits - 1) - 1
    assert (error <= np.where(clamped, step, step / 2) * (1 + 2**-23)).all()


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [
        (1.0, 127),
        (np.nextafter(np.float32(2), np.float32(1)), 127),
        (2.0, 128),
        (np.nextafter(np.float32(1), np.float32(0)), 126),
        (np.finfo(np.float32).max, 254),
        (np.float32(2.0**-126), 1),
        (np.float32(2.0**-149), 0),
    ],
)
def test_exponent_is_exact_at_powers_of_two(largest, exponent):
    assert quantise(np.array([largest, -largest / 2], np.float32), 8).exponents.tolist() == [
        exponent
    ]


def test_mxint8_of_one_is_sixty_four():
    blocks = quantise([1.0, -0.5, 1 / 64], 8)
    assert blocks.elements[0, :4].tolist() == [64, -32, 1, 0]


def test_ties_round_to_even():
    # In steps of 1/64, below a largest value that sets the exponent.
    steps = np.array([64, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    assert quantise(steps / 64, 8).elements[0, :7].tolist() == [64, 0, 2, 2, 0, -2, -2]


def test_rounding_up_past_the_largest_element_is_clamped():
    largest = np.nextafter(np.float32(2), np.float32(1))
    assert quantise([largest, -largest], 8).elements[0, :2].tolist() == [127, -127]


def test_a_block_of_zeros_has_exponent_zero():
    blocks = quantise(np.array([0.0, -0.0]), 12)
    assert not blocks.elements.any()
    assert blocks.exponents.tolist() == [0]
    assert not dequantise(blocks).any()


def test_each_block_has_its_own_exponent_and_padding_is_zero():
    values = np.zeros((2, 3, 70), np.float32)
    values[1, 2, :] = np.repeat([1, 4, 16], [32, 32, 6])
    blocks = quantise(values, 8)
    assert blocks.elements.shape == (2, 3, 3, 32)
    assert blocks.exponents[1, 2].tolist() == [127, 129, 131]
    assert not blocks.elements[1, 2, 2, 6:].any()
    assert blocks.blocks == 3
    np.testing.assert_array_equal(dequantise(blocks)[..., :70], values)
    assert dequantise(blocks).shape == (2, 3, 96)
    assert dequantise(blocks).dtype == np.float32


def test_indexing_takes_leading_axes_without_copying():
    blocks = quantise(np.arange(128, dtype=np.float32).reshape(2, 64), 8)
    row = blocks[1]
    assert row.elements.shape == (2, 32)
    assert row.element_bits == 8
    assert np.shares_memory(row.elements, blocks.elements)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**128])
def test_refuses_what_no_exponent_holds(value):
    with pytest.raises(ValueError, match=r"^values must be finite and below 2\^128$"):
        quantise([1.0, value], 8)


@pytest.mark.parametrize("element_bits", [1, 25])
def test_refuses_wrong_element_bits(element_bits):
    line = f"^element_bits must be 2 to 24, not {element_bits}$"
    with pytest.raises(ValueError, match=line):
        quantise([1.0], element_bits)
    with pytest.raises(ValueError, match=line):
        BlockVector(np.zeros((1, 32), np.int32), np.zeros(1, np.uint8), element_bits)


def test_refuses_a_scalar():
    with pytest.raises(ValueError, match=r"^values must have at least one axis$"):
        quantise(1.0, 8)


def test_refuses_shapes_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"^elements must have shape \(2, 32\), not \(1, 32\)$"):
        BlockVector(np.zeros((1, 32), np.int32), np.zeros(2, np.uint8), 8)
