"""The exact integer arithmetic of an attention score, as the hardware does it.

A block's dot product is an integer; its power of two is applied by a shift, the result is clamped
to the width of a term, and terms are added in any order.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.reference.blocks import EXPONENT_BIAS, BlockVector

__all__ = ["AccumulatorFormat", "Scores", "floored_terms", "integer_scores"]


@dataclass(frozen=True)
class AccumulatorFormat:
    """The fixed-point accumulator of a score: worth ``integer * 2^-fraction_bits``.

    Raises:
        ValueError: if ``bits`` is not 2 to 64, ``fraction_bits`` is negative, ``max_blocks`` is not
            positive, or a term would be left with fewer than 2 bits.
    """

    bits: int
    """Bits of the sum, with its sign."""
    fraction_bits: int
    max_blocks: int
    """The most blocks that are ever added up."""

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 64:
            raise ValueError(f"bits must be 2 to 64, not {self.bits!r}")
        if self.fraction_bits < 0:
            raise ValueError(f"fraction_bits must not be negative, not {self.fraction_bits!r}")
        if self.max_blocks < 1:
            raise ValueError(f"max_blocks must be positive, not {self.max_blocks!r}")
        if self.term_bits < 2:
            raise ValueError(
                f"bits must be at least {self.bits - self.term_bits + 2}"
                f" for {self.max_blocks} blocks, not {self.bits!r}"
            )

    @property
    def term_bits(self) -> int:
        """Bits of one block's share, with its sign: ``max_blocks`` of them fit ``bits``."""
        return self.bits - (self.max_blocks - 1).bit_length()


class Scores(NamedTuple):
    """Attention scores as integers."""

    values: NDArray[np.int64]  # (..., rows)
    saturated: NDArray[np.bool_]  # (..., rows), whether any of the row's terms was clamped


def integer_scores(keys: BlockVector, query: BlockVector, accumulator: AccumulatorFormat) -> Scores:
    """The scores of one query, or of one a leading index, with rows of keys.

    For block b with exponents ek and eq as stored: the dot product d of the 32 elements, exact;
    s = (ek - 127 - (key_bits - 2)) + (eq - 127 - (query_bits - 2)) + fraction_bits; the term is
    floor(d * 2^s) clamped to signed ``term_bits``; the score is the sum of the terms.

    Parameters:
        keys: (..., rows, blocks).
        query: (..., blocks); leading axes broadcast with those of ``keys``.
        accumulator: the format of the score.

    Returns:
        values and saturation flags, (..., rows).

    Raises:
        ValueError: if the blocks differ in number or are more than ``max_blocks``.
    """
    if keys.blocks != query.blocks:
        raise ValueError(f"query must have {keys.blocks} blocks as the keys, not {query.blocks}")
    if keys.blocks > accumulator.max_blocks:
        raise ValueError(f"blocks must be at most {accumulator.max_blocks}, not {keys.blocks}")

    # (..., rows, blocks); two elements of 24 bits make 2^46, 32 products 2^51.
    dots = np.einsum(
        "...rbe,...be->...rb", keys.elements, query.elements, dtype=np.int64, casting="safe"
    )
    constant = accumulator.fraction_bits - 2 * EXPONENT_BIAS
    constant -= (keys.element_bits - 2) + (query.element_bits - 2)
    shifts = (
        keys.exponents.astype(np.int64) + query.exponents[..., np.newaxis, :].astype(np.int64)
    ) + constant  # (..., rows, blocks)

    terms, clamped = floored_terms(dots, shifts, accumulator.term_bits)
    # max_blocks terms of [-2^(term_bits - 1), 2^(term_bits - 1) - 1] cannot overflow: they are at
    # most 2^(bits - term_bits), so the sum lies in [-2^(bits - 1), 2^(bits - 1) - 1].
    return Scores(terms.sum(axis=-1), np.any(clamped, axis=-1))


def floored_terms(
    integers: NDArray[np.int64], shifts: NDArray[np.int64], term_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``floor(integer * 2^shift)`` clamped to signed ``term_bits``, and where it was clamped.

    Parameters:
        integers, shifts: of one shape or broadcast against each other; integers below 2^62.
        term_bits: 2 to 64.
    """
    largest = (1 << (term_bits - 1)) - 1
    smallest = -largest - 1
    # Bounded to what int64 can shift by. No larger shift changes anything: to the left by
    # term_bits every product but 0 leaves the range, to the right by 63 only the sign is left.
    left = shifts.clip(0, min(term_bits, 63))
    right = (-shifts).clip(0, 63)
    floored = integers >> right
    # What a product may be so that its left shift stays in range: this also keeps the shift below
    # from overflowing.
    high = np.int64(largest) >> left
    low = np.where(shifts < term_bits, np.int64(smallest) >> left, 0)
    above = np.greater(floored, high)
    below = np.less(floored, low)
    clamped = above | below
    terms = np.left_shift(np.where(clamped, 0, floored), left)
    terms[above] = largest
    terms[below] = smallest
    return terms, clamped
