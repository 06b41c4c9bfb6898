"""Largest errors against float64, as the docstrings state them."""

import numpy as np
import pytest

from neardecode.config import Vector
from neardecode_testbench.reference.arithmetic.gate import gate, sigmoid
from neardecode_testbench.reference.arithmetic.norm import (
    norm_epsilon,
    norm_weights,
    rms_norm,
    sum_of_squares,
)
from neardecode_testbench.reference.arithmetic.reciprocal import reciprocal, reciprocal_root
from neardecode_testbench.reference.arithmetic.residual import add_residual
from neardecode_testbench.reference.arithmetic.rotation import query_scale, rotate, turns

VECTOR = Vector()
UNIT = 2.0**-VECTOR.word_fraction_bits
INTEGERS = np.concatenate(
    [np.arange(1, 1 << 18), np.random.default_rng(1).integers(1, 1 << 62, 50_000), [2**63 - 1]]
)


def words(values, fraction_bits=VECTOR.word_fraction_bits):
    return np.rint(np.ldexp(values, fraction_bits)).astype(np.int64)


def test_reciprocals_are_within_two_to_the_minus_14():
    inverse = reciprocal(INTEGERS)
    relative = np.ldexp(inverse.value.astype(float), -16 - inverse.exponent) * INTEGERS - 1
    assert 2**-15 < np.abs(relative).max() < 2**-14
    assert inverse.value.min() >= 2**15 - 1
    assert inverse.value.max() < 2**16


def test_reciprocal_roots_are_within_two_to_the_minus_14():
    inverse = reciprocal_root(INTEGERS)
    relative = np.ldexp(inverse.value.astype(float), -16 - inverse.exponent)
    relative = relative * np.sqrt(INTEGERS) - 1
    assert 2**-15 < np.abs(relative).max() < 2**-14


def test_reciprocal_roots_take_integers_of_any_size():
    inverse = reciprocal_root(np.array([[3 << 70], [5 << 77]], dtype=object))
    assert inverse.value.shape == (2, 1)
    exact = np.array([[3.0 * 2**70], [5.0 * 2**77]]) ** -0.5
    approximate = np.ldexp(inverse.value.astype(float), -16 - inverse.exponent)
    assert np.abs(approximate / exact - 1).max() < 2**-14


def test_the_sum_of_squares_is_exact_at_the_ends_of_the_width():
    row = np.array([-(2**31)] * 5000 + [2**31 - 1, 12345, -1])
    exact = sum(int(value) ** 2 for value in row)
    assert sum_of_squares(row) == exact
    assert exact > 2**63
    assert sum_of_squares(np.stack([row, row])).tolist() == [exact, exact]


@pytest.mark.parametrize("peak", [1, 30, 24_000])
@pytest.mark.parametrize("width", [64, 576, 4096])
def test_norms_are_within_their_stated_error(width, peak):
    random = np.random.default_rng(width)
    residual = random.normal(0, 1, (20, width))
    residual[:, 3] = peak
    weight = random.normal(0.3, 0.1, width)
    integers = words(residual, VECTOR.residual_fraction_bits)
    weights, fraction_bits = norm_weights(weight)
    epsilon = norm_epsilon(1e-5, width, VECTOR.residual_fraction_bits)
    normed = rms_norm(integers, weights, fraction_bits, epsilon, VECTOR)
    residual = np.ldexp(integers.astype(float), -VECTOR.residual_fraction_bits)
    weight = np.ldexp(weights.astype(float), -fraction_bits) / np.sqrt(width)
    mean = (residual**2).mean(axis=-1, keepdims=True)
    exact = residual / np.sqrt(mean + 1e-5) * weight
    error = np.abs(normed.values * UNIT - exact)
    largest_weight = np.abs(weight).max() * np.sqrt(width)
    # A unit's last place, times the weight, is the middle rounding.
    assert (error <= np.abs(exact) * 2**-14 + largest_weight * 2**-25 + UNIT / 2 + 1e-9).all()
    assert not normed.saturated.any()


def test_norm_weights_use_the_width():
    weights, fraction_bits = norm_weights(np.array([0.25, -1.0, 0.5, 0.0]))
    # Times sqrt(4) the largest is 2, which 14 fraction bits would make 2 ** 15.
    assert (weights.tolist(), fraction_bits) == ([4096, -16384, 8192, 0], 13)
    with pytest.raises(ValueError, match="must be at most 32767"):
        norm_weights(np.full(4, 1e5))


@pytest.mark.parametrize("scale", [1.0, query_scale(64), query_scale(128)])
def test_rotation_over_8192_positions_is_within_its_stated_error(scale):
    random = np.random.default_rng(2)
    table = turns(np.arange(8192), 64, 1e5, scale)
    head = random.normal(0, 5, (8192, 64))
    integers = words(head)
    turned = rotate(integers, table.cosines, table.sines, table.fraction_bits, VECTOR)
    angles = np.arange(8192)[:, np.newaxis] * 1e5 ** (-np.arange(0, 64, 2) / 64)
    pairs = (integers[:, 0::2] + 1j * integers[:, 1::2]) * UNIT
    exact = pairs * np.exp(1j * angles) * scale
    values = (turned.values[:, 0::2] + 1j * turned.values[:, 1::2]) * UNIT
    error = np.maximum(np.abs((values - exact).real), np.abs((values - exact).imag))
    assert (error <= np.abs(pairs) * scale * 2**-14 + UNIT).all()


def test_turns_refuse_odd_heads_and_scales_that_do_not_fit():
    with pytest.raises(ValueError, match="head_size must be even, not 3"):
        turns([0], 3, 1e4)
    with pytest.raises(ValueError, match="scale must be positive"):
        turns([0], 4, 1e4, 0.0)
    with pytest.raises(ValueError, match="scale must be positive"):
        turns([0], 4, 1e4, 1e6)


def test_the_sigmoid_is_within_two_to_the_minus_13():
    arguments = np.arange(-20 << 20, 20 << 20, 41)
    values = np.ldexp(sigmoid(arguments, VECTOR).astype(float), -16)
    exact = 1 / (1 + np.exp(-arguments * UNIT))
    assert 2**-15 < np.abs(values - exact).max() < 2**-13
    ends = sigmoid([-(2**31), 2**31 - 1, 0], VECTOR)
    assert ends[0] <= 2
    assert ends[1] >= 2**16 - 2
    assert abs(ends[2] - 2**15) <= 2


def test_the_gate_is_within_its_stated_error():
    random = np.random.default_rng(3)
    gates, ups = random.normal(0, 4, (2, 100_000))
    gate_words, up_words = words(gates), words(ups)
    gated = gate(gate_words, up_words, VECTOR)
    gates, ups = gate_words * UNIT, up_words * UNIT
    error = np.abs(np.ldexp(gated.values.astype(float), -16) - gates / (1 + np.exp(-gates)) * ups)
    assert (error <= np.abs(gates * ups) * 2**-13 + np.abs(ups) * UNIT + 2**-17).all()
    assert not gated.saturated.any()
    assert gate([2**31 - 1], [2**31 - 1], VECTOR).saturated.all()


def test_a_layer_s_result_is_rounded_once_and_added():
    sums = add_residual([10, 10, 2**31 - 1, -(2**31)], [64, 63, 1 << 30, -(1 << 30)], 20, VECTOR)
    assert sums.values.tolist() == [11, 10, 2**31 - 1, -(2**31)]
    assert sums.saturated.tolist() == [False, False, True, True]
