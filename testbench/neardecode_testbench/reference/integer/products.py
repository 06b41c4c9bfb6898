"""`integer_products` for many vectors at once: the same integers, by matrix products of floats.

A block's dot product times its scale is an integer below 2^38 times a power of two, which float64
holds, whatever the order in which it is added up:

    8-bit element 2^7 x 16-bit activation 2^15 x 32 elements 2^5 x fp16 mantissa 2^11 = 2^38

So a matrix product over one block's 32 elements gives every term before its rounding, exactly;
rounding down, clamping and adding up the blocks follow, on integers below 2^53.
"""

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS
from neardecode_testbench.reference.blocks import EXPONENT_BIAS, BlockVector
from neardecode_testbench.reference.rows import check_blocks
from neardecode_testbench.reference.scores import AccumulatorFormat, Scores
from neardecode_testbench.reference.weights import WeightBlocks

__all__ = ["EXACT_BITS", "products"]

EXACT_BITS = 53
"""Bits up to which float64 holds every integer."""
LARGEST_ELEMENT = 128
CHUNK_VECTORS = 128
CHUNK_TERMS = 1 << 15
CHUNK_WEIGHTS = 1 << 19
"""Vectors, sums and weights in work at a time: weights that a core's own cache holds as float64."""


def products(
    blocks: WeightBlocks, activations: BlockVector, accumulator: AccumulatorFormat
) -> Scores:
    """What `integer_products` gives, from the same arguments.

    Parameters:
        blocks: (rows, blocks).
        activations: (..., blocks), at most 16 bits an element.
        accumulator: at most 53 bits.

    Returns:
        values and saturation flags, (..., rows).

    Raises:
        ValueError: if the blocks differ in number or are more than ``max_blocks``, or a width is
            too large for float64.
    """
    check_blocks(blocks, activations, accumulator)
    if accumulator.bits > EXACT_BITS:
        raise ValueError(f"accumulator bits must be at most {EXACT_BITS}, not {accumulator.bits}")
    if activations.element_bits > 16:
        raise ValueError(f"element_bits must be at most 16, not {activations.element_bits}")

    lead = activations.exponents.shape[:-1]
    count, rows = blocks.blocks, blocks.scales.shape[0]
    shifts = activations.exponents.reshape(-1, count).astype(np.int64)
    shifts += accumulator.fraction_bits - EXPONENT_BIAS - (activations.element_bits - 2)
    elements = activations.elements.reshape(-1, count, BLOCK_ELEMENTS).astype(np.float64)
    scaled = np.ldexp(elements, shifts[..., np.newaxis])  # (vectors, blocks, 32)
    vectors = np.ascontiguousarray(scaled.transpose(1, 0, 2))  # (blocks, vectors, 32)
    sums = vectors.sum(axis=-1)  # (blocks, vectors), of integers times one power of two: exact

    values = np.empty((len(shifts), rows), np.int64)
    saturated = np.zeros(values.shape, np.bool_)
    some_vectors = min(max(len(shifts), 1), CHUNK_VECTORS)
    some_rows = max(1, min(CHUNK_TERMS // some_vectors, CHUNK_WEIGHTS // (count * BLOCK_ELEMENTS)))
    for row in range(0, rows, some_rows):
        part = slice(row, row + some_rows)
        matrix = _Rows(blocks, part, accumulator)
        for vector in range(0, len(shifts), some_vectors):
            these = slice(vector, vector + some_vectors)
            total, wrong = matrix.times(vectors[:, these], sums[:, these])
            values[these, part] = total
            if wrong is not None:
                saturated[these, part] = wrong
    return Scores(values.reshape(*lead, rows), saturated.reshape(*lead, rows))


class _Rows:
    """Some rows of a matrix as exact floats."""

    def __init__(self, blocks: WeightBlocks, part: slice, accumulator: AccumulatorFormat) -> None:
        units, minimums, invalid = blocks.exact
        self.elements = blocks.elements[part].astype(np.float64)  # (rows, blocks, 32)
        self.units = units[part].T[:, np.newaxis]  # (blocks, 1, rows)
        self.largest_units = _peaks(self.units)
        self.minimums: NDArray[np.float64] | None = None  # (blocks, 1, rows)
        self.invalid = invalid[part].any(axis=-1)  # (rows,)
        bits = accumulator.term_bits
        if minimums is not None:
            self.minimums = minimums[part].T[:, np.newaxis]
            self.largest_minimums = _peaks(self.minimums)
            bits -= 1
        self.largest = 2.0 ** (bits - 1) - 1

    def times(
        self, vectors: NDArray[np.float64], sums: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        """The rows' sums (vectors, rows), and which saturated, ``None`` if none did.

        Parameters:
            vectors: (blocks, vectors, 32).
            sums: (blocks, vectors).
        """
        terms = np.matmul(vectors, self.elements.transpose(1, 2, 0))  # (blocks, vectors, rows)
        terms *= self.units
        largest = BLOCK_ELEMENTS * LARGEST_ELEMENT * _peaks(vectors) * self.largest_units
        wrong = self._floor(terms, largest)
        total = terms.sum(axis=0)
        if self.minimums is not None:
            np.multiply(sums[..., np.newaxis], self.minimums, out=terms)
            also = self._floor(terms, _peaks(sums[..., np.newaxis]) * self.largest_minimums)
            wrong = also if wrong is None else wrong if also is None else wrong | also
            total += terms.sum(axis=0)
        if self.invalid.any():
            wrong = np.zeros(total.shape, np.bool_) if wrong is None else wrong
            wrong[:, self.invalid] = True
        return total, wrong

    def _floor(
        self, terms: NDArray[np.float64], bounds: NDArray[np.float64]
    ) -> NDArray[np.bool_] | None:
        """Rounds down and clamps terms of which none of a block is larger than its bound."""
        np.floor(terms, out=terms)
        # Most blocks need not be looked at term by term.
        large = bounds >= self.largest  # (blocks,)
        if not large.any():
            return None
        some = terms[large]
        clamped = (some > self.largest) | (some < -self.largest - 1)
        if not clamped.any():
            return None
        terms[large] = np.clip(some, -self.largest - 1, self.largest)
        return np.asarray(clamped.any(axis=0))


def _peaks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest absolute value of each block, (blocks,)."""
    return np.maximum(values.max(axis=(1, 2), initial=0), -values.min(axis=(1, 2), initial=0))
