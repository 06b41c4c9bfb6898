"""Streaming softmax in integers."""

import numpy as np
import pytest

from neardecode.config import Vector
from neardecode_testbench.reference.arithmetic.softmax import (
    Partial,
    SoftmaxFormat,
    finish,
    merge,
    power_of_two,
    scores_of,
    softmax_row,
    softmax_tile,
    weighted_sum,
)

FORM = SoftmaxFormat()
VECTOR = FORM.vector


def random_scores(rows, seed=1, spread=4.0):
    scores = np.random.default_rng(seed).normal(0, spread, rows)
    return scores_of(np.rint(scores * 2**20), 20, VECTOR).values


@pytest.mark.parametrize("fraction_bits", [6, 8, 10, 12])
@pytest.mark.parametrize(
    ("mantissa_bits", "largest"),
    [(3, 0.2), (7, 0.012), (8, 7e-3), (9, 4e-3), (11, 9e-4), (15, 1e-4)],
)
def test_powers_are_within_their_error_and_normalised(fraction_bits, mantissa_bits, largest):
    fractions = np.arange(1 << fraction_bits)
    mantissas = power_of_two(fractions, fraction_bits, mantissa_bits)
    exact = 2.0 ** (fractions / (1 << fraction_bits))
    assert mantissas.min() >= 1 << mantissa_bits - 1
    assert mantissas.max() < 1 << mantissa_bits
    assert np.abs(mantissas / 2.0 ** (mantissa_bits - 1) / exact - 1).max() < largest


def test_at_eleven_bits_the_mean_error_of_a_power_is_below_a_30th_of_a_percent():
    fractions = np.arange(1024)
    relative = power_of_two(fractions, 10, 11) / 1024 / 2.0 ** (fractions / 1024) - 1
    assert np.abs(relative).mean() < 3e-4


def test_scores_are_rounded_and_clamped_to_a_whole_number():
    words = scores_of(
        np.array([0, 511, 512, -512, -513, 1 << 40, -(1 << 40), (-1 << 29) - 1]), 20, VECTOR
    )
    largest = 511 << 10
    assert words.values.tolist() == [0, 0, 1, 0, -1, largest, -(1 << 19), -(1 << 19)]
    assert words.saturated.tolist() == [False] * 5 + [True] * 3


@pytest.mark.parametrize("tile_rows", [1, 7, 64, 512])
def test_the_sum_of_absolute_errors_of_a_row_is_below_a_thousandth(tile_rows):
    scores = random_scores((20, 512))
    exact = 2.0 ** ((scores - scores.max(axis=-1, keepdims=True)) / 1024)
    exact /= exact.sum(axis=-1, keepdims=True)
    row = softmax_row(scores, tile_rows, FORM)
    assert np.abs(row - exact).sum(axis=-1).max() < 1e-3


def test_a_probability_of_the_maximum_itself_is_exactly_one():
    tile = softmax_tile([3 << 10, 2 << 10, (3 << 10) - 1], None, FORM)
    assert tile.partial.maximum == 3
    assert tile.mantissas[:2].tolist() == [1024, 1024]
    assert tile.exponents.tolist() == [128, 127, 127]


def test_probabilities_below_two_to_the_minus_31_are_zero():
    tile = softmax_tile([0, -31 << 10, (-31 << 10) - 1], None, FORM)
    assert tile.mantissas.tolist() == [1024, 1024, 0]
    assert tile.exponents.tolist() == [128, 97, 0]
    assert tile.partial.total == 1 << VECTOR.sum_fraction_bits


def test_a_larger_maximum_moves_the_sum_and_a_smaller_one_does_not():
    first = softmax_tile([0, 0], None, FORM)
    second = softmax_tile([5 << 10], first.partial, FORM)
    assert second.rescale == 5
    assert second.partial.total == (2 << 24 >> 5) + (1 << 24)
    third = softmax_tile([-(5 << 10)], second.partial, FORM)
    assert third.rescale == 0
    assert third.partial.maximum == 5
    far = softmax_tile([500 << 10], second.partial, FORM)
    assert far.rescale == 63
    assert far.partial.total == 1 << 24


def test_partials_merge_in_any_order_to_nearly_the_whole():
    scores = random_scores((4, 96), seed=2)
    values = np.random.default_rng(3).integers(-2000, 2000, (96, 8))
    whole = softmax_tile(scores, None, FORM)
    parts = [softmax_tile(scores[:, part::3], None, FORM) for part in range(3)]
    sums = [weighted_sum(part, values[offset::3], FORM, 20) for offset, part in enumerate(parts)]
    merged = merge([part.partial for part in parts])
    total = sum(one >> shift[:, np.newaxis] for one, shift in zip(sums, merged.shifts, strict=True))
    reverse = merge([part.partial for part in parts[::-1]])
    assert (merged.partial.total == reverse.partial.total).all()
    assert (merged.partial.maximum == whole.partial.maximum).all()
    assert np.abs(merged.partial.total - whole.partial.total).max() < 100
    finished = finish(total, merged.partial.total, 20, VECTOR)
    exact = np.exp2(scores / 1024)
    exact = exact / exact.sum(axis=-1, keepdims=True) @ values
    assert np.abs(finished.values / 2**20 - exact).max() < 2000 * 1e-3


def test_finishing_divides_by_the_sum_and_saturates():
    total = np.array([3 << 23, 1 << 24])
    accumulators = np.array([[6 << 20, -(3 << 20)], [1 << 40, -(1 << 40)]])
    words = finish(accumulators, total, 20, VECTOR)
    assert np.abs(words.values[0] / 2**20 - [4, -2]).max() < 4 * 2**-14
    assert words.saturated.tolist() == [[False, False], [True, True]]


def test_the_sum_cannot_overflow():
    vector = Vector(tokens=8)
    tile = softmax_tile(np.zeros(8, np.int64), None, SoftmaxFormat(12, vector))
    assert tile.partial.total == 8 << 24 < 1 << vector.sum_bits


def test_a_row_s_first_tile_does_not_care_what_was_before():
    tile = softmax_tile([0], Partial(np.int64(-20), np.int64(0)), FORM)
    assert tile.partial == softmax_tile([0], None, FORM).partial
