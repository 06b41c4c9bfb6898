"""Streaming softmax in base 2, with a running maximum that is an integer.

Scores are powers of two: log2(e) / sqrt(head size) is in the query before it is quantised. Rows
come in tiles. With an integer maximum every rescale is a shift, exact but for bits that leave at
the right, and parts of a row that were computed apart merge by a maximum, shifts and sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neardecode.config.tables import power_table
from neardecode.config.vector import RECIPROCAL_BITS, Vector
from neardecode_testbench.reference.arithmetic.fixed import (
    Integers,
    Words,
    clamp,
    evaluate_lines,
    shift_rounded,
)
from neardecode_testbench.reference.arithmetic.reciprocal import reciprocal
from neardecode_testbench.reference.blocks import EXPONENT_BIAS

__all__ = [
    "LARGEST_RESCALE",
    "Merge",
    "Partial",
    "SoftmaxFormat",
    "Tile",
    "finish",
    "merge",
    "power_of_two",
    "scores_of",
    "softmax_row",
    "softmax_tile",
    "weighted_sum",
]

LARGEST_RESCALE = 63
"""Shifts that are larger are made this: it empties every accumulator."""

SMALLEST_EXPONENT = 31
"""A probability below 2 ** -31 is zero."""


@dataclass(frozen=True)
class SoftmaxFormat:
    """Widths of softmax.

    Attributes:
        activation_bits: Of an activation with its sign; a probability's mantissa has one less.
        vector: The other widths.
    """

    activation_bits: int = 12
    vector: Vector = field(default_factory=Vector)

    @property
    def mantissa_bits(self) -> int:
        """Bits of a probability's mantissa, which has no sign."""
        return self.activation_bits - 1


class Partial(NamedTuple):
    """What a part of a row comes to, beside its weighted sum of values.

    The probabilities of the part, times 2 ** maximum, sum up to ``total * 2 ** (maximum -
    sum_fraction_bits)``.
    """

    maximum: Integers  # (...,)
    total: Integers  # (...,)


class Tile(NamedTuple):
    """A tile's probabilities, relative to its partial's maximum, and what came before it.

    A probability is ``mantissa * 2 ** (exponent - 127 - mantissa_bits)``, with the mantissa's top
    bit set, or both zero.
    """

    mantissas: Integers  # (..., rows)
    exponents: Integers  # (..., rows), biased by 127
    rescale: Integers  # (...,), by how much sums of earlier tiles move to the right
    partial: Partial


class Merge(NamedTuple):
    """Partials as one, and by how much the sums of each move to the right."""

    partial: Partial
    shifts: Integers  # (partials, ...)


def scores_of(accumulators: ArrayLike, fraction_bits: int, vector: Vector) -> Words:
    """Accumulators as scores: rounded to nearest, a half upwards, clamped to ``score_bits``.

    The largest score is a whole number, so that no maximum overflows. An accumulator below the
    least score counts as clamped even where it would have been rounded up to it.
    """
    accumulators = np.asarray(accumulators, np.int64)
    rounded = shift_rounded(accumulators, fraction_bits - vector.score_fraction_bits)
    least = -(1 << vector.score_bits - 1)
    whole = ((1 << vector.maximum_bits - 1) - 1) << vector.score_fraction_bits
    dropped = fraction_bits - vector.score_fraction_bits
    below = accumulators >> dropped if dropped > 0 else rounded
    return Words(rounded.clip(least, whole), (below < least) | (rounded > whole))


def power_of_two(fractions: ArrayLike, fraction_bits: int, mantissa_bits: int) -> Integers:
    """``2 ** f`` for f in [0, 1), as an integer of ``mantissa_bits`` with its top bit set.

    ``1 + f`` less a table of straight lines, one bit below the mantissa's last (or as many as the
    fraction has), rounded to nearest. At 11 bits and a fraction of 10 the largest error is 0.09 %
    of the value, the mean one 0.03 %.
    """
    fractions = np.asarray(fractions, np.int64)
    table = power_table(fraction_bits, mantissa_bits)
    guarded = mantissa_bits + 1
    above = shift_rounded(fractions, fraction_bits - guarded)
    value = (1 << guarded) + above - evaluate_lines(table, fractions)
    return np.minimum(value + 2 >> 2, (1 << mantissa_bits) - 1)


def softmax_tile(scores: ArrayLike, before: Partial | None, form: SoftmaxFormat) -> Tile:
    """The probabilities of the next tile of a row, or of one row a leading index.

    The maximum is the largest of the earlier one and the tile's largest score, rounded up. A
    probability is 2 ** (score - maximum), zero below 2 ** -31; the sum takes it rounded down to
    ``sum_fraction_bits``.

    Parameters:
        scores: (..., rows), of ``score_bits``, ``score_fraction_bits`` of them fraction.
        before: of the row's earlier tiles; None in its first.
        form: the widths.
    """
    scores = np.asarray(scores, np.int64)
    vector = form.vector
    fraction_bits, mantissa_bits = vector.score_fraction_bits, form.mantissa_bits
    largest = -(-scores.max(axis=-1) >> fraction_bits)  # (...,), rounded up
    if before is None:
        maximum = largest
        rescale, earlier = np.zeros_like(maximum), np.zeros_like(maximum)
    else:
        maximum = np.maximum(before.maximum, largest)
        rescale = np.minimum(maximum - before.maximum, LARGEST_RESCALE)
        earlier = before.total >> rescale

    below = maximum[..., np.newaxis] - (scores >> fraction_bits)  # (..., rows), 0 or more
    mantissas = power_of_two(scores & ((1 << fraction_bits) - 1), fraction_bits, mantissa_bits)
    zero = below > SMALLEST_EXPONENT
    mantissas = np.where(zero, 0, mantissas)
    exponents = np.where(zero, 0, EXPONENT_BIAS + 1 - below)
    terms = mantissas << vector.sum_fraction_bits >> mantissa_bits - 1 + below.clip(0, 31)
    total = earlier + terms.sum(axis=-1)
    return Tile(mantissas, exponents, rescale, Partial(maximum, total))


def merge(partials: Sequence[Partial]) -> Merge:
    """Parts of a row as one: the largest maximum, and sums moved to it.

    Sums of weighted values move to the right by the same shifts and are added. The result does not
    depend on the order of the parts.
    """
    maximum = np.max([partial.maximum for partial in partials], axis=0)
    shifts = np.stack(
        [np.minimum(maximum - partial.maximum, LARGEST_RESCALE) for partial in partials]
    )
    total = sum(partial.total >> shift for partial, shift in zip(partials, shifts, strict=True))
    return Merge(Partial(maximum, np.asarray(total, np.int64)), shifts)


def weighted_sum(
    tile: Tile, values: ArrayLike, form: SoftmaxFormat, fraction_bits: int
) -> Integers:
    """A tile's probabilities times integers, each product rounded down to ``fraction_bits``.

    What a slice's accumulate mode gives for values whose block's scale is one.

    Parameters:
        tile: (..., rows).
        values: (..., rows, n).
        form: the widths.
        fraction_bits: of the result.

    Returns:
        (..., n).
    """
    values = np.asarray(values, np.int64)
    shift = tile.exponents - EXPONENT_BIAS - form.mantissa_bits + fraction_bits  # (..., rows)
    shift = shift[..., np.newaxis]
    products = tile.mantissas[..., np.newaxis] * values
    return (products << shift.clip(0, 30) >> (-shift).clip(0, 62)).sum(axis=-2)


def finish(accumulators: ArrayLike, total: ArrayLike, fraction_bits: int, vector: Vector) -> Words:
    """Weighted sums divided by the sum of the weights.

    The sum's reciprocal is rounded (see `reciprocal`, error below 2 ** -14 of it); the product with
    an accumulator is exact, then rounded to nearest, a half upwards, and clamped.

    Parameters:
        accumulators: (..., n), below 2 ** 45 in magnitude, ``fraction_bits`` of them fraction.
        total: (...,), at least 1/2 in its units, which no row is below: its largest score less the
            maximum is above -1.
        fraction_bits: of the accumulators.
        vector: the widths of sum and result.

    Returns:
        words of ``word_bits``, ``word_fraction_bits`` of them fraction, (..., n).
    """
    inverse, exponent = reciprocal(total)  # (...,)
    product = np.asarray(accumulators, np.int64) * inverse[..., np.newaxis]
    shift = RECIPROCAL_BITS + exponent - vector.sum_fraction_bits
    shift = shift + fraction_bits - vector.word_fraction_bits
    return clamp(shift_rounded(product, shift[..., np.newaxis]), vector.word_bits)


def softmax_row(scores: ArrayLike, tile_rows: int, form: SoftmaxFormat) -> np.ndarray:
    """A row's probabilities as float64, computed in tiles and divided by their sum exactly.

    Against softmax in float64 the sum of absolute errors of a row is below 0.1 % for real scores
    of a language model.

    Parameters:
        scores: (..., rows), see `softmax_tile`.
        tile_rows: rows of a tile.
        form: the widths.
    """
    scores = np.asarray(scores, np.int64)
    before: Partial | None = None
    tiles: list[tuple[Integers, np.ndarray]] = []
    for first in range(0, scores.shape[-1], tile_rows):
        tile = softmax_tile(scores[..., first : first + tile_rows], before, form)
        before = tile.partial
        powers = tile.exponents - EXPONENT_BIAS - form.mantissa_bits
        tiles.append((before.maximum, np.ldexp(tile.mantissas.astype(float), powers)))
    assert before is not None
    weights = np.concatenate(
        [
            np.ldexp(values, (maximum - before.maximum)[..., np.newaxis])
            for maximum, values in tiles
        ],
        axis=-1,
    )
    total = np.ldexp(before.total.astype(float), -form.vector.sum_fraction_bits)
    return weights / total[..., np.newaxis]
