"""RoPE by a table of sines and cosines, which lies in memory beside the weights."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neardecode.config.vector import TURN_BITS, Vector
from neardecode_testbench.reference.arithmetic.fixed import (
    Integers,
    Words,
    clamp,
    shift_rounded,
)

__all__ = ["Turns", "query_scale", "rotate", "turns"]


class Turns(NamedTuple):
    """Sines and cosines, times a scale, as integers."""

    cosines: Integers  # (positions, pairs)
    sines: Integers  # (positions, pairs)
    fraction_bits: int


def query_scale(head_size: int) -> float:
    """What a query is multiplied by, so that its scores are powers of two."""
    return float(np.log2(np.e) / np.sqrt(head_size))


def turns(positions: ArrayLike, head_size: int, base: float, scale: float = 1.0) -> Turns:
    """The table for pair i at a position: an angle of ``position * base ** (-2 i / head_size)``.

    Made by the compiler in float64 and rounded to the nearest integer, so that the error is half a
    unit of the last place at every position: 2 ** -15 of the scale where that is a power of two,
    at most 2 ** -14 of it elsewhere. A query's table holds `query_scale`, which
    thereby costs the hardware nothing.

    Parameters:
        positions: (positions,).
        head_size: elements of a head; two make a pair.
        base: the model's RoPE base.
        scale: what both are multiplied by.

    Raises:
        ValueError: if the head size is odd, or the scale does not fit fraction bits of 0 to 30.
    """
    if head_size < 2 or head_size % 2:
        raise ValueError(f"head_size must be even, not {head_size!r}")
    limit = (1 << TURN_BITS - 1) - 1
    fraction_bits = 30
    while fraction_bits >= 0 and scale * 2.0**fraction_bits > limit:
        fraction_bits -= 1
    if fraction_bits < 0 or not scale > 0:
        raise ValueError(f"scale must be positive and at most {limit}, not {scale!r}")
    angles = np.asarray(positions, np.float64)[:, np.newaxis] * base ** (
        -np.arange(0, head_size, 2) / head_size
    )  # (positions, pairs)
    unit = scale * 2.0**fraction_bits
    return Turns(
        np.rint(np.cos(angles) * unit).astype(np.int64),
        np.rint(np.sin(angles) * unit).astype(np.int64),
        fraction_bits,
    )


def rotate(
    words: ArrayLike, cosines: ArrayLike, sines: ArrayLike, fraction_bits: int, vector: Vector
) -> Words:
    """Turn pairs, the elements 2i and 2i + 1, and multiply them by the table's scale.

    Two products each, exact, added, rounded to nearest, a half upwards, and clamped; the result has
    the words' fraction bits. The largest error against float64 is one unit of the last place plus
    2 ** -14 of the pair's length times the scale.

    Parameters:
        words: (..., head_size).
        cosines, sines: (..., head_size / 2), see `turns`.
        fraction_bits: of the table.
        vector: the widths.
    """
    words = np.asarray(words, np.int64)
    cosines, sines = np.asarray(cosines, np.int64), np.asarray(sines, np.int64)
    even, odd = words[..., 0::2], words[..., 1::2]
    turned = np.stack([even * cosines - odd * sines, even * sines + odd * cosines], axis=-1)
    return clamp(shift_rounded(turned, fraction_bits).reshape(words.shape), vector.word_bits)
