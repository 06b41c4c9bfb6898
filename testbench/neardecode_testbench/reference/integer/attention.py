"""Attention of one layer in exact integers, for one token or many at once.

Keys may lie in several memories, which work side by side: the split says how they are dealt. A
part of a row of scores goes through softmax in tiles; the parts meet at the end.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS
from neardecode_testbench.reference.arithmetic import (
    Partial,
    SoftmaxFormat,
    finish,
    merge,
    scores_of,
    softmax_tile,
)
from neardecode_testbench.reference.blocks import EXPONENT_BIAS, BlockVector
from neardecode_testbench.reference.integer.products import products
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.reference.weights import key_blocks

__all__ = ["KV_BITS", "Attended", "Attention", "BlockCache", "ContextSplit"]

KV_BITS = 8
"""Bits of an element of a key or value in memory: MXINT8."""
ABSENT = -(1 << 40)
"""The score of a key that a query does not see: its probability is zero in any tile."""
CHUNK_TERMS = 1 << 16
"""Terms in work at a time."""


@dataclass(frozen=True)
class ContextSplit:
    """How the tokens of a sequence are dealt to memories that compute side by side.

    Token t belongs to part ``t // tokens % parts``. A part takes its tokens in order, in tiles of
    ``Vector.tile_rows``. How heads, rows and columns of matrices are dealt changes no result.

    Raises:
        ValueError: if a number is not positive.
    """

    parts: int = 1
    """Vaults or channels that hold a head's keys, over all chips."""
    tokens: int = 1
    """Tokens in a row that one part holds before the next takes over."""

    def __post_init__(self) -> None:
        for name in ("parts", "tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")

    def members(self, part: int, positions: int) -> NDArray[np.int64]:
        """The positions, in order, that a part holds of a sequence."""
        every = np.arange(positions)
        return every[every // self.tokens % self.parts == part]


class BlockCache:
    """Keys or values of one layer as MXINT8, one vector a KV head and position."""

    def __init__(self, kv_heads: int, head_size: int) -> None:
        blocks = -(-head_size // BLOCK_ELEMENTS)
        self._elements = np.empty((kv_heads, 0, blocks, BLOCK_ELEMENTS), np.int8)
        self._exponents = np.empty((kv_heads, 0, blocks), np.uint8)

    def append(self, vectors: BlockVector) -> None:
        """Add positions, (positions, kv_heads, blocks)."""
        elements = vectors.elements.swapaxes(0, 1).astype(np.int8)
        self._elements = np.concatenate([self._elements, elements], axis=1)
        exponents = vectors.exponents.swapaxes(0, 1)
        self._exponents = np.concatenate([self._exponents, exponents], axis=1)

    def head(self, number: int) -> BlockVector:
        """The vectors of one KV head, (positions, blocks)."""
        elements = self._elements[number].astype(np.int32)
        return BlockVector(elements, self._exponents[number], KV_BITS)

    @property
    def kv_heads(self) -> int:
        """KV heads."""
        return self._exponents.shape[0]

    @property
    def positions(self) -> int:
        """Positions so far."""
        return self._exponents.shape[1]


class Attended(NamedTuple):
    """What attention gives, and what the parts came to before they met."""

    words: NDArray[np.int64]  # (tokens, heads, head_size), of ``word_fraction_bits``
    maximums: NDArray[np.int64]  # (tokens, heads, parts)
    totals: NDArray[np.int64]  # (tokens, heads, parts)
    weighted: NDArray[np.int64]  # (tokens, heads, parts, head_size), accumulators


@dataclass(frozen=True)
class Attention:
    """Attention's widths; the arithmetic is stated in `integer.decoder`."""

    head_size: int
    split: ContextSplit
    accumulator: AccumulatorFormat
    """Of scores, at most 53 bits; weighted sums have its fraction bits."""
    row_term_bits: int
    """Bits to which a row's share of a weighted sum is clamped."""
    softmax: SoftmaxFormat

    def attend(
        self,
        queries: BlockVector,
        keys: BlockCache,
        values: BlockCache,
        saturations: Counter[str],
    ) -> Attended:
        """Attention of the newest tokens, whose keys and values are in the caches.

        The row of scores of a query covers the keys up to its own position.

        Parameters:
            queries: (tokens, heads, blocks), rotated and scaled.
            keys, values: of the layer.
            saturations: counts what was clamped, as `scores`, `weighted` and `attended`.
        """
        heads = queries.exponents.shape[1]
        group = heads // keys.kv_heads
        found = [
            self._head(
                queries[:, number * group : (number + 1) * group],
                keys.head(number),
                values.head(number),
                saturations,
            )
            for number in range(keys.kv_heads)
        ]
        return Attended(*(np.concatenate(part, axis=1) for part in zip(*found, strict=True)))

    def _head(
        self,
        queries: BlockVector,
        keys: BlockVector,
        values: BlockVector,
        saturations: Counter[str],
    ) -> Attended:
        """The queries (tokens, group, blocks) of one KV head, with its (positions, blocks)."""
        vector = self.softmax.vector
        fraction_bits = self.accumulator.fraction_bits
        tokens, _ = queries.exponents.shape[:2]
        positions = len(keys.exponents)
        own = np.arange(positions - tokens, positions)  # (tokens,)

        sums = products(key_blocks(keys), queries, self.accumulator)  # (tokens, group, positions)
        scores = scores_of(sums.values, fraction_bits, vector)
        unseen = (np.arange(positions) > own[:, np.newaxis])[
            :, np.newaxis
        ]  # (tokens, 1, positions)
        saturations["scores"] += int(((sums.saturated | scores.saturated) & ~unseen).sum())
        seen = np.where(unseen, ABSENT, scores.values)
        shift = values.exponents.astype(np.int64) - EXPONENT_BIAS - (KV_BITS - 2) + fraction_bits
        # Exact: 8 bits times a power of two.
        scaled = np.ldexp(values.elements.astype(np.float64), shift[..., np.newaxis])
        scaled = scaled.reshape(positions, -1)[:, : self.head_size]

        parts = [
            self._part(seen[..., members], scaled[members], saturations)
            for members in (self.split.members(part, positions) for part in range(self.split.parts))
        ]
        merged = merge([partial for partial, _ in parts])
        weighted = np.stack([sums for _, sums in parts])  # (parts, tokens, group, head_size)
        total = (weighted >> merged.shifts[..., np.newaxis]).sum(axis=0)
        words = finish(total, merged.partial.total, fraction_bits, vector)
        saturations["attended"] += int(words.saturated.sum())
        return Attended(
            words.values,
            np.stack([partial.maximum for partial, _ in parts], axis=-1),
            np.stack([partial.total for partial, _ in parts], axis=-1),
            np.moveaxis(weighted, 0, 2),
        )

    def _part(
        self, scores: NDArray[np.int64], values: NDArray[np.float64], saturations: Counter[str]
    ) -> tuple[Partial, NDArray[np.int64]]:
        """One part's tiles: its partials (tokens, group) and weighted sums.

        Parameters:
            scores: (tokens, group, members), absent ones far below all others.
            values: (members, head_size), times two to the fraction bits.
            saturations: as `attend`.
        """
        lead = scores.shape[:-1]
        lowest = np.full(lead, -1 << (self.softmax.vector.maximum_bits - 1), np.int64)
        partial = Partial(lowest, np.zeros(lead, np.int64))
        # Queries last, so that numpy's inner loops are long.
        sums = np.zeros((values.shape[1], partial.total.size))
        rows = self.softmax.vector.tile_rows
        for first in range(0, len(values), rows):
            tile = softmax_tile(scores[..., first : first + rows], partial, self.softmax)
            partial = tile.partial
            # Integers below 2^52 over a power of two: exact, then rounded down as a shift does.
            sums = np.floor(np.ldexp(sums, -tile.rescale.reshape(-1)))
            powers = tile.exponents - EXPONENT_BIAS - self.softmax.mantissa_bits
            weights = np.ldexp(tile.mantissas.astype(np.float64), powers)
            weights = np.ascontiguousarray(weights.reshape(sums.shape[1], -1).T)
            self._accumulate(sums, weights, values[first : first + rows], saturations)
        return partial, sums.T.reshape(*lead, -1).astype(np.int64)

    def _accumulate(
        self,
        sums: NDArray[np.float64],
        weights: NDArray[np.float64],
        values: NDArray[np.float64],
        saturations: Counter[str],
    ) -> None:
        """Add ``floor(weight * value)`` of each row to ``sums``.

        A mantissa of 15 bits times an element of 8 and powers of two is exact; so is a sum of
        terms, below 2^52.

        Parameters:
            sums: (head_size, queries).
            weights: (rows, queries).
            values: (rows, head_size).
            saturations: as `attend`.
        """
        largest = 2.0 ** (self.row_term_bits - 1) - 1
        some = max(1, CHUNK_TERMS // sums.size)
        # No weight is above 1.
        clamps = np.abs(values).max(initial=0) >= largest
        room = np.empty((some, *sums.shape))
        for row in range(0, len(values), some):
            these = slice(row, row + some)
            terms = room[: len(values[these])]
            np.multiply(values[these, :, np.newaxis], weights[these, np.newaxis], out=terms)
            np.floor(terms, out=terms)
            if clamps:
                over = (terms > largest) | (terms < -largest - 1)
                saturations["weighted"] += int(over.sum())
                np.clip(terms, -largest - 1, largest, out=terms)
            if some == 1:
                sums += terms[0]
            else:
                sums += terms.sum(axis=0)
