"""SiLU of a gate times up, and what it is made of."""

import numpy as np
from numpy.typing import ArrayLike

from neardecode.config.tables import reciprocal_table
from neardecode.config.vector import (
    LOG2_E,
    LOG2_E_BITS,
    RECIPROCAL_BITS,
    SIGMOID_FRACTION_BITS,
    SIGMOID_MANTISSA_BITS,
    SIGMOID_WHOLE_BITS,
    Vector,
)
from neardecode_testbench.reference.arithmetic.fixed import (
    Integers,
    Words,
    clamp,
    evaluate_lines,
    shift_rounded,
)
from neardecode_testbench.reference.arithmetic.softmax import power_of_two

__all__ = ["gate", "sigmoid"]


def sigmoid(words: ArrayLike, vector: Vector) -> Integers:
    """``1 / (1 + exp(-x))`` with `RECIPROCAL_BITS` of fraction.

    |x| is rounded to 12 bits of fraction and clamped below 16; times log2(e) it gives an exponent t
    of 12 bits of fraction, rounded down; 2 ** -t has 16 bits of fraction, the reciprocal of
    1 + 2 ** -t comes of a table, and a negative x takes what is left to 1. The largest error
    against float64 is 2 ** -13.

    Parameters:
        words: (...), of ``word_fraction_bits``.
        vector: the widths.
    """
    words = np.asarray(words, np.int64)
    size = shift_rounded(np.abs(words), vector.word_fraction_bits - SIGMOID_FRACTION_BITS)
    size = np.minimum(size, (1 << SIGMOID_FRACTION_BITS + SIGMOID_WHOLE_BITS) - 1)
    exponent = size * LOG2_E >> LOG2_E_BITS
    # -exponent = -whole + fraction.
    whole = -(-exponent >> SIGMOID_FRACTION_BITS)
    fraction = -exponent & ((1 << SIGMOID_FRACTION_BITS) - 1)
    mantissa = power_of_two(fraction, SIGMOID_FRACTION_BITS, SIGMOID_MANTISSA_BITS)
    power = mantissa << RECIPROCAL_BITS - SIGMOID_MANTISSA_BITS + 1 >> whole
    # 1 + 1 is the one sum that the reciprocal's argument cannot hold.
    power = np.minimum(power, (1 << RECIPROCAL_BITS) - 1)
    value = evaluate_lines(reciprocal_table(RECIPROCAL_BITS), power)
    return np.where(words < 0, (1 << RECIPROCAL_BITS) - value, value)


def gate(gates: ArrayLike, ups: ArrayLike, vector: Vector) -> Words:
    """``gate / (1 + exp(-gate)) * up``.

    The gate times its sigmoid is exact, then rounded to ``word_fraction_bits``; the product with up
    is exact, rounded to ``gated_fraction_bits`` and clamped; each to nearest, a half upwards. The
    largest error against float64 is |gate * up| * 2 ** -13 plus |up| of a word's last place and one
    of the result's.

    Parameters:
        gates, ups: (...), words of ``word_fraction_bits``.
        vector: the widths.

    Returns:
        (...), words of ``gated_fraction_bits``.
    """
    gates, ups = np.asarray(gates, np.int64), np.asarray(ups, np.int64)
    swished = shift_rounded(gates * sigmoid(gates, vector), RECIPROCAL_BITS)
    shift = 2 * vector.word_fraction_bits - vector.gated_fraction_bits
    return clamp(shift_rounded(swished * ups, shift), vector.word_bits)
