"""The exact integer arithmetic of probabilities times V, as the hardware does it.

Every element has a sum of its own over the rows; rows come in order, and the sums may be kept from
one run of rows to the next, shifted to the right where the running maximum has grown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.blocks import EXPONENT_BIAS
from neardecode_testbench.reference.scores import floored_terms
from neardecode_testbench.reference.weights import WeightBlocks

__all__ = ["Probabilities", "SumFormat", "Sums", "integer_sums"]


@dataclass(frozen=True)
class SumFormat:
    """The accumulators of sums over rows.

    Attributes:
        bits: Of an accumulator, with its sign.
        fraction_bits: Of them behind the binary point.
        max_rows: The most rows that are added up; the others add nothing, and say so.
    """

    bits: int
    fraction_bits: int
    max_rows: int

    @property
    def term_bits(self) -> int:
        """Bits of one row's share, with its sign: ``max_rows`` of them fit ``bits``."""
        return self.bits - (self.max_rows - 1).bit_length()


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Weights of rows: each is worth ``mantissa * 2^(exponent - 127 - mantissa_bits)``."""

    mantissas: NDArray[np.int64]  # (rows, vectors), unsigned
    exponents: NDArray[np.uint8]  # (rows, vectors)
    mantissa_bits: int
    """Bits of a mantissa: one less than those of an activation."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums so far."""

    values: NDArray[np.int64]  # (vectors, elements)
    saturated: NDArray[np.bool_]  # (vectors,)
    rows: int
    """Rows that were added since the sums were begun."""


def integer_sums(
    rows: WeightBlocks,
    probabilities: Probabilities,
    accumulator: SumFormat,
    kept: Sums | None = None,
    rescale: NDArray[np.int64] | None = None,
) -> Sums:
    """Adds rows of V, each times a probability a vector, to sums.

    For a row's probability with mantissa p and exponent x as stored, and an element's integer w in
    a block with the exponent e as stored:

        s    = (e - 127 - 6) + (x - 127 - mantissa_bits) + fraction_bits
        term = floor(w * p * 2^s), clamped to signed term_bits

    is added to the element's sum. Sums that are kept are first shifted right by ``rescale`` bits,
    rounded down. A clamped term marks its vector saturated until the sums are begun anew, and so
    does a row beyond ``max_rows``, which adds nothing.

    Parameters:
        rows: (rows, blocks), MXINT8.
        probabilities: (rows, vectors).
        accumulator: their format.
        kept: sums to go on from, or None to begin.
        rescale: (vectors,), or None for no shift.
    """
    if rows.format is not BlockFormat.MXINT8:
        raise ValueError(f"rows must be in MXINT8, not {rows.format.name}")
    count, vectors = probabilities.mantissas.shape
    scale = rows.scale_factor()
    size = rows.blocks * rows.elements.shape[-1]
    if kept is None:
        kept = Sums(np.zeros((vectors, size), np.int64), np.zeros(vectors, np.bool_), 0)
    values = kept.values
    if rescale is not None:
        values = values >> rescale[:, np.newaxis]
    counted = min(count, accumulator.max_rows - kept.rows)
    constant = accumulator.fraction_bits - EXPONENT_BIAS - probabilities.mantissa_bits
    shifts = probabilities.exponents.T[..., np.newaxis].astype(np.int64) + scale.exponent + constant
    products = (
        rows.elements.astype(np.int64) * probabilities.mantissas.T[..., np.newaxis, np.newaxis]
    )  # (vectors, rows, blocks, 32)
    terms, clamped = floored_terms(products, shifts[..., np.newaxis], accumulator.term_bits)
    total = terms[:, :counted].sum(axis=1).reshape(vectors, size)
    wrong = np.any(clamped, axis=(1, 2, 3)) | (counted < count)
    return Sums(values + total, kept.saturated | wrong, kept.rows + counted)
