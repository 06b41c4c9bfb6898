"""RMSNorm of the residual stream."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from neardecode.config.vector import NORM_UNIT_BITS, NORM_WEIGHT_BITS, RECIPROCAL_BITS, Vector
from neardecode_testbench.reference.arithmetic.fixed import (
    Integers,
    Words,
    clamp,
    shift_rounded,
)
from neardecode_testbench.reference.arithmetic.reciprocal import reciprocal_root

__all__ = [
    "norm_epsilon",
    "norm_weights",
    "rms_norm",
    "sum_of_squares",
]


def norm_weights(weight: ArrayLike) -> tuple[Integers, int]:
    """A norm's weights as integers, and their fraction bits.

    They are times sqrt(width), since the hardware divides by the root of the sum, not of the mean.
    The fraction bits are the most with which the largest fits `NORM_WEIGHT_BITS`.

    Parameters:
        weight: (width,).

    Raises:
        ValueError: if the largest is too small or too large for fraction bits of 0 to 30.
    """
    scaled = np.asarray(weight, np.float64) * sqrt(np.size(weight))
    largest = np.abs(scaled).max()
    limit = (1 << NORM_WEIGHT_BITS - 1) - 1
    fraction_bits = 30
    while fraction_bits >= 0 and largest * 2.0**fraction_bits > limit:
        fraction_bits -= 1
    if fraction_bits < 0:
        raise ValueError(f"weight times sqrt(width) must be at most {limit}, not {largest}")
    return np.rint(scaled * 2.0**fraction_bits).astype(np.int64), fraction_bits


def norm_epsilon(epsilon: float, width: int, residual_fraction_bits: int) -> int:
    """What the sum of squares is increased by: ``width * epsilon`` in its units, at least 1."""
    return max(1, round(epsilon * width * 4.0**residual_fraction_bits))


def sum_of_squares(residual: ArrayLike) -> np.ndarray:
    """The exact sums over the last axis, as Python integers: they take up to 78 bits."""
    residual = np.asarray(residual, np.int64)
    high, low = residual >> 16, residual & 0xFFFF
    squares = ((high * high).sum(axis=-1), (high * low).sum(axis=-1), (low * low).sum(axis=-1))
    first, middle, last = (np.asarray(part).astype(object) for part in squares)
    return np.asarray(first * 2**32 + middle * 2**17 + last, dtype=object)


def rms_norm(
    residual: ArrayLike,
    weights: ArrayLike,
    weight_fraction_bits: int,
    epsilon: int,
    vector: Vector,
) -> Words:
    """``x / sqrt(sum(x ** 2) + epsilon) * weight``, with sqrt(width) in the weight.

    The sum is exact. The reciprocal root is rounded (see `reciprocal_root`), its product with x
    rounded to `NORM_UNIT_BITS`, that one's with the weight to ``word_fraction_bits``: each to
    nearest, a half upwards. The largest error against float64 is 2 ** -13 of the value plus one
    unit of the last place of each rounding.

    Parameters:
        residual: (..., width), words of ``residual_fraction_bits``.
        weights: (width,), see `norm_weights`.
        weight_fraction_bits: of the weights.
        epsilon: see `norm_epsilon`.
        vector: the widths.

    Returns:
        (..., width), words of ``word_fraction_bits``.
    """
    residual, weights = np.asarray(residual, np.int64), np.asarray(weights, np.int64)
    inverse, exponent = reciprocal_root(sum_of_squares(residual) + epsilon)  # (...,)
    units = shift_rounded(
        residual * inverse[..., np.newaxis],
        (RECIPROCAL_BITS + exponent - NORM_UNIT_BITS)[..., np.newaxis],
    )
    products = units * weights
    shift = NORM_UNIT_BITS + weight_fraction_bits - vector.word_fraction_bits
    return clamp(shift_rounded(products, shift), vector.word_bits)
