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
from neardecode_testbench.reference.weights import Factor, WeightBlocks, fp16_factor

__all__ = ["EXACT_BITS", "products"]

EXACT_BITS = 53
"""Bits up to which float64 holds every integer."""
LARGEST_ELEMENT = 128
CHUNK_VECTORS = 128
CHUNK_TERMS = 1 << 15
CHUNK_WEIGHTS = 1 << 19
"""Terms and weights in work at a time: what a core's own cache holds as float64."""


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
        matrix = _Rows(blocks[part], accumulator)
        for vector in range(0, len(shifts), some_vectors):
            these = slice(vector, vector + some_vectors)
            total, wrong = matrix.times(vectors[:, these], sums[:, these])
            values[these, part] = total
            if wrong is not None:
                saturated[these, part] = wrong
    return Scores(values.reshape(*lead, rows), saturated.reshape(*lead, rows))


class _Rows:
    """Some rows as exact floats."""

    def __init__(self, blocks: WeightBlocks, accumulator: AccumulatorFormat) -> None:
        scale = blocks.scale_factor()
        self.elements = blocks.elements.astype(np.float64)  # (rows, blocks, 32)
        self.units = np.ascontiguousarray(_float(scale).T)  # (blocks, rows)
        self.minimums: NDArray[np.float64] | None = None  # (blocks, rows)
        self.invalid = scale.invalid.any(axis=-1)  # (rows,)
        bits = accumulator.term_bits
        if blocks.minimums is not None:
            least = fp16_factor(blocks.minimums)
            self.minimums = np.ascontiguousarray(_float(least).T)
            self.invalid |= least.invalid.any(axis=-1)
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
        rows, count, _ = self.elements.shape
        total = np.zeros((vectors.shape[1], rows))
        terms = np.empty_like(total)
        wrong = np.zeros(total.shape, np.bool_) if self.invalid.any() else None
        if wrong is not None:
            wrong[:, self.invalid] = True
        for block in range(count):
            np.matmul(vectors[block], self.elements[:, block].T, out=terms)
            terms *= self.units[block]
            # No term is larger than this; most blocks need not be looked at one by one.
            bound = BLOCK_ELEMENTS * LARGEST_ELEMENT * _peak(self.units[block])
            wrong = self._add(total, terms, bound * _peak(vectors[block]), wrong)
            if self.minimums is not None:
                np.multiply(sums[block][:, np.newaxis], self.minimums[block], out=terms)
                bound = _peak(self.minimums[block]) * _peak(sums[block])
                wrong = self._add(total, terms, bound, wrong)
        return total, wrong

    def _add(
        self,
        total: NDArray[np.float64],
        terms: NDArray[np.float64],
        bound: float,
        wrong: NDArray[np.bool_] | None,
    ) -> NDArray[np.bool_] | None:
        np.floor(terms, out=terms)
        if bound >= self.largest:
            clamped = (terms > self.largest) | (terms < -self.largest - 1)
            if clamped.any():
                np.clip(terms, -self.largest - 1, self.largest, out=terms)
                wrong = clamped if wrong is None else wrong | clamped
        total += terms
        return wrong


def _float(factor: Factor) -> NDArray[np.float64]:
    return np.ldexp(factor.mantissa.astype(np.float64), factor.exponent)


def _peak(values: NDArray[np.float64]) -> float:
    return max(-values.min(initial=0), values.max(initial=0))
