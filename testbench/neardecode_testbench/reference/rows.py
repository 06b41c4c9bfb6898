"""The exact integer arithmetic of a matrix-vector product, as the hardware does it.

One row of blocks gives one sum; `integer_scores` is the same for keys in MXINT8.
"""

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS
from neardecode_testbench.reference.blocks import EXPONENT_BIAS, BlockVector
from neardecode_testbench.reference.scores import AccumulatorFormat, Scores, floored_terms
from neardecode_testbench.reference.weights import WeightBlocks, fp16_factor

__all__ = ["check_blocks", "integer_products"]

CHUNK_ELEMENTS = 1 << 24
"""Elements that are turned into floats at a time."""


def check_blocks(
    blocks: WeightBlocks, activations: BlockVector, accumulator: AccumulatorFormat
) -> None:
    """Refuses rows and activations that do not belong together.

    Raises:
        ValueError: if the blocks differ in number or are more than ``max_blocks``, or have
            another number of axes.
    """
    if blocks.scales.ndim != 2:
        raise ValueError(f"blocks must be (rows, blocks), not {blocks.scales.shape}")
    if blocks.blocks != activations.blocks:
        raise ValueError(
            f"activations must have {blocks.blocks} blocks as the rows, not {activations.blocks}"
        )
    if blocks.blocks > accumulator.max_blocks:
        raise ValueError(f"blocks must be at most {accumulator.max_blocks}, not {blocks.blocks}")


def integer_products(
    blocks: WeightBlocks, activations: BlockVector, accumulator: AccumulatorFormat
) -> Scores:
    """The product of rows of weights with an activation vector, or with one a leading index.

    For block b of a row, with its integers w, its scale worth ``mantissa * 2^exponent``
    (`WeightBlocks.scale_factor`: the mantissa is signed, 1 where the scale is a power of two), the
    activations' integers a and their exponent x as stored:

        dot  = sum of w * a over the 32 elements, exact
        s    = exponent + (x - 127 - (activation_bits - 2)) + fraction_bits
        term = floor(dot * mantissa * 2^s), clamped to signed term_bits

    In Q4_1 a block gives a second term, ``floor(sum of a * minimum's mantissa * 2^s')`` with s' of
    the minimum's exponent, and both are clamped to one bit less, so that together they fit a
    term. Each is rounded by itself. The row's value is the sum of its terms, exact in any order,
    worth ``value * 2^-fraction_bits``. A clamped term, or a scale or minimum that is an infinity
    or a NaN (and counts as 0), marks the row saturated.

    Parameters:
        blocks: (rows, blocks).
        activations: (..., blocks).
        accumulator: the format of the sum; ``max_blocks`` is the configuration's blocks_a_row.

    Returns:
        values and saturation flags, (..., rows).

    Raises:
        ValueError: if the blocks differ in number or are more than ``max_blocks``, or have
            another number of axes.
    """
    check_blocks(blocks, activations, accumulator)
    lead = activations.exponents.shape[:-1]
    flat = BlockVector(
        activations.elements.reshape(-1, blocks.blocks, BLOCK_ELEMENTS),
        activations.exponents.reshape(-1, blocks.blocks),
        activations.element_bits,
    )
    rows = blocks.scales.shape[0]
    values = np.empty((flat.exponents.shape[0], rows), np.int64)
    saturated = np.empty(values.shape, np.bool_)
    step = max(1, CHUNK_ELEMENTS // max(1, blocks.blocks * BLOCK_ELEMENTS))
    for start in range(0, rows, step):
        part = slice(start, start + step)
        for index in range(len(values)):
            values[index, part], saturated[index, part] = _products(
                blocks[part], flat[index], accumulator
            )
    return Scores(values.reshape(*lead, rows), saturated.reshape(*lead, rows))


def _products(blocks: WeightBlocks, vector: BlockVector, accumulator: AccumulatorFormat) -> Scores:
    """As ``integer_products``, of one vector (blocks,) with a part of the rows."""
    constant = accumulator.fraction_bits - EXPONENT_BIAS - (vector.element_bits - 2)
    offsets = vector.exponents.astype(np.int64) + constant  # (blocks,)
    term_bits = accumulator.term_bits - (blocks.minimums is not None)

    scale = blocks.scale_factor()  # (rows, blocks)
    dots = _dots(blocks.elements, vector)  # (rows, blocks)
    terms, clamped = floored_terms(dots * scale.mantissa, scale.exponent + offsets, term_bits)
    wrong = clamped | scale.invalid
    if blocks.minimums is not None:
        least = fp16_factor(blocks.minimums)
        sums = vector.elements.sum(axis=-1, dtype=np.int64)  # (blocks,)
        more, clamped = floored_terms(sums * least.mantissa, least.exponent + offsets, term_bits)
        terms = terms + more
        wrong |= clamped | least.invalid
    # As in integer_scores, max_blocks such terms cannot overflow the accumulator.
    return Scores(terms.sum(axis=-1), np.any(wrong, axis=-1))


def _dots(elements: NDArray[np.int8], vector: BlockVector) -> NDArray[np.int64]:
    """Sums over each block, (rows, blocks)."""
    # Floats are many times faster than integers. They hold every partial sum exactly: of 32
    # products of 2^7 and 2^(element_bits - 1), below 2^24 or 2^53.
    kind = np.float32 if vector.element_bits <= 13 else np.float64
    dots = np.einsum("rbe,be->rb", elements.astype(kind), vector.elements.astype(kind))
    return dots.astype(np.int64)
