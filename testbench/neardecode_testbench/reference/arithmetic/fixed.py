"""Fixed point in int64: clamp, round, pack into blocks, straight lines."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neardecode.config.formats import BLOCK_ELEMENTS
from neardecode.config.tables import LineTable
from neardecode_testbench.reference.blocks import EXPONENT_BIAS, EXPONENT_MAX, BlockVector

__all__ = [
    "Integers",
    "Words",
    "bit_length",
    "clamp",
    "evaluate_lines",
    "pack_blocks",
    "shift_rounded",
    "to_words",
]

Integers = NDArray[np.int64]


class Words(NamedTuple):
    """Integers of a bounded width, and which of them were clamped to it."""

    values: Integers  # (..., n)
    saturated: NDArray[np.bool_]  # (..., n)


def clamp(values: ArrayLike, bits: int) -> Words:
    """The nearest signed integers of ``bits``."""
    values = np.asarray(values, np.int64)
    largest = (1 << bits - 1) - 1
    clamped = values.clip(-largest - 1, largest)
    return Words(clamped, clamped != values)


def shift_rounded(values: ArrayLike, shift: ArrayLike) -> Integers:
    """``floor(values * 2 ** -shift + 1 / 2)``: round to nearest, a half upwards.

    A shift of zero or less moves to the left, exactly. The hardware adds one at the last bit
    dropped.

    Parameters:
        values: below 2 ** 62 in magnitude.
        shift: at most 62; broadcasts with ``values``.
    """
    values, shift = np.asarray(values, np.int64), np.asarray(shift, np.int64)
    down = shift.clip(1, 62)
    rounded = ((values >> down - 1) + 1) >> 1
    return np.where(shift > 0, rounded, values << (-shift).clip(0, 62))


def to_words(accumulators: ArrayLike, fraction_bits: int, bits: int, word_bits: int) -> Words:
    """Accumulators of ``fraction_bits`` as words of ``word_bits``, ``bits`` of them fraction.

    Rounded to nearest, a half upwards, then clamped.
    """
    return clamp(shift_rounded(accumulators, fraction_bits - bits), word_bits)


def bit_length(values: ArrayLike) -> Integers:
    """Bits of non-negative integers below 2 ** 63: ``floor(log2(x)) + 1``, 0 for 0."""
    values = np.asarray(values, np.int64)
    high, low = values >> 32, values & 0xFFFFFFFF
    # Integers of 32 bits are exact in float64, so frexp's exponent is their length.
    lengths = np.where(high > 0, np.frexp(high)[1] + 32, np.frexp(low)[1])
    return lengths.astype(np.int64)


def pack_blocks(values: ArrayLike, fraction_bits: int, element_bits: int) -> BlockVector:
    """Fixed-point numbers as block-scaled integers, as the hardware packs them.

    For numbers x = value * 2 ** -fraction_bits and E = floor(log2(max |x|)) of a block of 32: the
    exponent is E + 127, an element x / 2 ** E * 2 ** (element_bits - 2), rounded half to even,
    then clamped to +-(2 ** (element_bits - 1) - 1). A block of zeros has exponent 0.

    The error is at most half a unit of an element's last place, one where it was clamped. 8 bits
    give MXINT8.

    Parameters:
        values: (..., n), below 2 ** 62 in magnitude; padded with zeros to whole blocks.
        fraction_bits: bits of a value below its binary point.
        element_bits: bits of an element, with its sign.

    Raises:
        ValueError: if a block's exponent would leave 1 to 254.
    """
    values = np.asarray(values, np.int64)
    *lead, n = values.shape
    blocks = -(-n // BLOCK_ELEMENTS)
    padded = np.zeros((*lead, blocks * BLOCK_ELEMENTS), np.int64)
    padded[..., :n] = values
    padded = padded.reshape(*lead, blocks, BLOCK_ELEMENTS)  # (..., blocks, 32)

    magnitudes = np.abs(padded)
    top = bit_length(magnitudes.max(axis=-1)) - 1  # (..., blocks); -1 for zeros
    exponents = np.where(top < 0, 0, top - fraction_bits + EXPONENT_BIAS)
    if not ((top < 0) | ((exponents > 0) & (exponents <= EXPONENT_MAX))).all():
        raise ValueError(f"fraction_bits {fraction_bits} lets an exponent leave 1 to 254")

    shift = (top - (element_bits - 2))[..., np.newaxis]
    down = shift.clip(1, 62)
    quotient = magnitudes >> down
    remainder = magnitudes - (quotient << down)
    half = np.int64(1) << down - 1
    up = (remainder > half) | ((remainder == half) & (quotient & 1 == 1))
    limit = (1 << element_bits - 1) - 1
    elements = np.where(shift > 0, quotient + up, magnitudes << (-shift).clip(0, element_bits))
    elements = np.where(padded < 0, -1, 1) * elements.clip(0, limit)
    return BlockVector(elements.astype(np.int32), exponents.astype(np.uint8), element_bits)


def evaluate_lines(table: LineTable, arguments: ArrayLike) -> Integers:
    """A table of straight lines at integer arguments of ``table.argument_bits``."""
    arguments = np.asarray(arguments, np.int64)
    high = arguments >> table.low_bits
    low = arguments & ((1 << table.low_bits) - 1)
    bases = np.array(table.bases, np.int64)[high]
    slopes = np.array(table.slopes, np.int64)[high]
    return bases + (slopes * low >> table.drop)
