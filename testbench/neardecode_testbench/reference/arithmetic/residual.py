"""The residual stream: words that layers add to."""

import numpy as np
from numpy.typing import ArrayLike

from neardecode.config.vector import Vector
from neardecode_testbench.reference.arithmetic.fixed import Words, clamp, shift_rounded

__all__ = ["add_residual"]


def add_residual(
    residual: ArrayLike, accumulators: ArrayLike, fraction_bits: int, vector: Vector
) -> Words:
    """The residual stream plus what a layer gives, which is rounded once, then both clamped.

    Rounded to ``residual_fraction_bits``, to nearest, a half upwards: the error is half a unit of
    the last place.

    Parameters:
        residual: (...), words of ``residual_fraction_bits``.
        accumulators: (...), below 2 ** 62 in magnitude.
        fraction_bits: of the accumulators.
        vector: the widths.
    """
    addend = shift_rounded(accumulators, fraction_bits - vector.residual_fraction_bits)
    return clamp(np.asarray(residual, np.int64) + addend, vector.word_bits)
