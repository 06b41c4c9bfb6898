import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode_testbench.reference.blocks import BlockVector, dequantise, quantise
from neardecode_testbench.reference.scores import AccumulatorFormat, integer_scores

WIDE = AccumulatorFormat(bits=48, fraction_bits=20, max_blocks=2048)


def exact_score(
    keys: list[tuple[list[int], int]],
    query: list[tuple[list[int], int]],
    key_bits: int,
    query_bits: int,
    accumulator: AccumulatorFormat,
) -> tuple[int, bool]:
    """One row's score in Python's integers, block by block as (elements, exponent)."""
    score, saturated = 0, False
    term_bits = accumulator.bits
    blocks = 1
    while blocks < accumulator.max_blocks:
        blocks *= 2
        term_bits -= 1
    for (key, key_exponent), (activation, query_exponent) in zip(keys, query, strict=True):
        dot = sum(k * q for k, q in zip(key, activation, strict=True))
        shift = key_exponent - 127 - (key_bits - 2) + query_exponent - 127 - (query_bits - 2)
        shift += accumulator.fraction_bits
        term = dot * 2**shift if shift >= 0 else dot // 2**-shift
        clamped = max(-(2 ** (term_bits - 1)), min(2 ** (term_bits - 1) - 1, term))
        saturated |= clamped != term
        score += clamped
    return score, saturated


@st.composite
def vectors(draw, element_bits: int, blocks: int):
    limit = 2 ** (element_bits - 1) - 1
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    elements = chance.integers(-limit, limit + 1, (blocks, 32), dtype=np.int32)
    # Extremes and sparse blocks are where shifts and clamps differ.
    match draw(st.sampled_from(["random", "extreme", "one", "zero"])):
        case "extreme":
            elements = np.full((blocks, 32), draw(st.sampled_from([limit, -limit])), np.int32)
        case "one":
            elements = np.zeros((blocks, 32), np.int32)
            elements[:, 0] = draw(st.sampled_from([1, -1]))
        case "zero":
            elements = np.zeros((blocks, 32), np.int32)
    near = draw(st.integers(0, 254))
    exponents = draw(
        st.lists(
            st.integers(0, 254) | st.integers(max(near - 3, 0), near),
            min_size=blocks,
            max_size=blocks,
        )
    )
    return elements, np.array(exponents, np.uint8)


@st.composite
def accumulators(draw):
    max_blocks = draw(st.sampled_from([1, 2, 3, 4, 5, 2048, 2049]))
    least = (max_blocks - 1).bit_length() + 2
    bits = draw(st.integers(least, 64) | st.sampled_from([48, 64]))
    return AccumulatorFormat(bits, draw(st.integers(0, 300)), max_blocks)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.data(), accumulators(), st.integers(2, 24), st.integers(2, 24), st.integers(1, 4))
def test_equals_python_integers(data, accumulator, key_bits, query_bits, blocks):
    blocks = min(blocks, accumulator.max_blocks)
    rows = [data.draw(vectors(key_bits, blocks)) for _ in range(3)]
    activations, query_exponents = data.draw(vectors(query_bits, blocks))
    keys = BlockVector(
        np.stack([elements for elements, _ in rows]),
        np.stack([exponents for _, exponents in rows]),
        key_bits,
    )
    query = BlockVector(activations, query_exponents, query_bits)
    values, saturated = integer_scores(keys, query, accumulator)
    assert values.dtype == np.int64
    query_list = list(zip(activations.tolist(), query_exponents.tolist(), strict=True))
    for row, (elements, exponents) in enumerate(rows):
        key_list = list(zip(elements.tolist(), exponents.tolist(), strict=True))
        expected = exact_score(key_list, query_list, key_bits, query_bits, accumulator)
        assert (int(values[row]), bool(saturated[row])) == expected


def one(element: int, exponent: int, element_bits: int) -> BlockVector:
    """A block whose first element alone is not zero."""
    elements = np.zeros((1, 32), np.int32)
    elements[0, 0] = element
    return BlockVector(elements, np.array([exponent], np.uint8), element_bits)


def score_of(key: BlockVector, query: BlockVector, accumulator: AccumulatorFormat):
    rows = BlockVector(key.elements[np.newaxis], key.exponents[np.newaxis], key.element_bits)
    values, saturated = integer_scores(rows, query, accumulator)
    return int(values[0]), bool(saturated[0])


def test_one_times_one_is_one_in_fixed_point():
    assert score_of(one(64, 127, 8), one(1024, 127, 12), WIDE) == (2**20, False)


def test_right_shift_rounds_towards_minus_infinity():
    # 1 * 1 with a shift of -1 on top of the 16 fraction bits of the elements.
    accumulator = AccumulatorFormat(32, 15, 1)
    assert score_of(one(1, 127, 8), one(1, 127, 12), accumulator) == (0, False)
    assert score_of(one(-1, 127, 8), one(1, 127, 12), accumulator) == (-1, False)
    assert score_of(one(-1, 0, 8), one(1, 0, 12), accumulator) == (-1, False)
    assert score_of(one(1, 0, 8), one(1, 0, 12), accumulator) == (0, False)


@pytest.mark.parametrize("bits", [8, 37, 63, 64])
def test_saturates_at_both_ends_of_a_term(bits):
    accumulator = AccumulatorFormat(bits, 0, 1)
    largest = 2 ** (bits - 1) - 1
    assert score_of(one(1, 254, 8), one(1, 254, 12), accumulator) == (largest, True)
    assert score_of(one(-1, 254, 8), one(1, 254, 12), accumulator) == (-largest - 1, True)


@pytest.mark.parametrize("bits", [8, 37, 63, 64])
def test_smallest_term_is_reached_without_saturating(bits):
    # -1 shifted left by bits - 1 is exactly the smallest term, +1 is one too many.
    accumulator = AccumulatorFormat(bits, bits - 1 + 16, 1)
    assert score_of(one(-1, 127, 8), one(1, 127, 12), accumulator) == (-(2 ** (bits - 1)), False)
    assert score_of(one(1, 127, 8), one(1, 127, 12), accumulator) == (2 ** (bits - 1) - 1, True)


def test_a_zero_block_never_saturates():
    assert score_of(one(0, 254, 8), one(2047, 254, 12), WIDE) == (0, False)


def test_one_saturated_term_marks_the_row_and_no_other():
    elements = np.ones((2, 2, 32), np.int32)
    exponents = np.array([[127, 127], [127, 254]], np.uint8)
    query = BlockVector(np.ones((2, 32), np.int32), np.full(2, 127, np.uint8), 12)
    values, saturated = integer_scores(BlockVector(elements, exponents, 8), query, WIDE)
    assert saturated.tolist() == [False, True]
    assert values[0] == 2 * 32 * 2**4
    assert values[1] == 32 * 2**4 + 2**36 - 1


def test_saturated_terms_of_all_blocks_do_not_overflow_the_sum():
    blocks = 2048
    keys = BlockVector(
        np.full((2, blocks, 32), 127, np.int32) * np.array([1, -1])[:, None, None],
        np.full((2, blocks), 254, np.uint8),
        8,
    )
    query = BlockVector(np.full((blocks, 32), 2047, np.int32), np.full(blocks, 254, np.uint8), 12)
    for bits in (48, 64):
        accumulator = AccumulatorFormat(bits, 20, blocks)
        values, saturated = integer_scores(keys, query, accumulator)
        assert values.tolist() == [2 ** (bits - 1) - blocks, -(2 ** (bits - 1))]
        assert saturated.all()


def test_is_the_dot_product_of_what_the_blocks_are_worth():
    chance = np.random.default_rng(1)
    keys = quantise(chance.standard_normal((50, 64)).astype(np.float32), 8)
    query = quantise(chance.standard_normal(64).astype(np.float32), 12)
    values, saturated = integer_scores(keys, query, WIDE)
    exact = dequantise(keys).astype(np.float64) @ dequantise(query).astype(np.float64)
    # Each of two terms loses less than one step to the floor.
    difference = exact - values * 2.0**-20
    assert (difference >= 0).all()
    assert (difference < 2 * 2.0**-20).all()
    assert not saturated.any()


def test_leading_axes_broadcast():
    chance = np.random.default_rng(2)
    keys = quantise(chance.standard_normal((3, 1, 7, 64)), 8)
    query = quantise(chance.standard_normal((3, 2, 64)), 12)
    values, _ = integer_scores(keys, query, WIDE)
    assert values.shape == (3, 2, 7)
    alone, _ = integer_scores(keys[2, 0], query[2, 1], WIDE)
    assert values[2, 1].tolist() == alone.tolist()


def test_no_rows_give_no_scores():
    keys = quantise(np.zeros((0, 64)), 8)
    values, saturated = integer_scores(keys, quantise(np.zeros(64), 12), WIDE)
    assert values.shape == saturated.shape == (0,)


@pytest.mark.parametrize(
    ("max_blocks", "term_bits"), [(1, 48), (2, 47), (3, 46), (4, 46), (2048, 37), (2049, 36)]
)
def test_term_bits_leave_room_for_all_blocks(max_blocks, term_bits):
    assert AccumulatorFormat(48, 20, max_blocks).term_bits == term_bits


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((65, 0, 1), "bits must be 2 to 64, not 65"),
        ((1, 0, 1), "bits must be 2 to 64, not 1"),
        ((48, -1, 1), "fraction_bits must not be negative, not -1"),
        ((48, 20, 0), "max_blocks must be positive, not 0"),
        ((12, 0, 2048), "bits must be at least 13 for 2048 blocks, not 12"),
    ],
)
def test_accumulator_refuses_wrong_arguments(arguments, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        AccumulatorFormat(*arguments)


def test_refuses_blocks_that_do_not_match_or_fit():
    keys = quantise(np.zeros((1, 64)), 8)
    with pytest.raises(ValueError, match=r"^query must have 2 blocks as the keys, not 1$"):
        integer_scores(keys, quantise(np.zeros(32), 12), WIDE)
    with pytest.raises(ValueError, match=r"^blocks must be at most 1, not 2$"):
        integer_scores(keys, quantise(np.zeros(64), 12), AccumulatorFormat(48, 20, 1))
