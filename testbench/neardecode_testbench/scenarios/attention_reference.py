"""What a layer's attention comes to: the integer reference over the rows that each part reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Config
from neardecode_testbench.reference.arithmetic import SoftmaxFormat
from neardecode_testbench.reference.blocks import BlockVector, dequantise
from neardecode_testbench.reference.integer.attention import (
    KV_BITS,
    Attended,
    Attention,
    BlockCache,
    ContextSplit,
)
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.scenarios.attention_context import LayerContext

__all__ = ["RULES", "TileChoice", "TileRule", "attend", "choose_tiles"]

TileChoice = Mapping[tuple[int, int], frozenset[int]]
"""For a part and a KV head the tiles that a selection names."""
TileRule = Literal["random", "window", "top"]
RULES: tuple[TileRule, ...] = get_args(TileRule)


@dataclass(frozen=True)
class _Given(ContextSplit):
    """Parts that follow each other, of given lengths."""

    lengths: tuple[int, ...] = ()

    def members(self, part: int, positions: int) -> NDArray[np.int64]:
        """Those of a part."""
        first = sum(self.lengths[:part])
        return np.arange(first, first + self.lengths[part])


def choose_tiles(
    config: Config,
    parts: Sequence[NDArray[np.int64]],
    context: LayerContext,
    rule: TileRule,
    share: float,
    seed: int = 1,
) -> TileChoice:
    """Which tiles of each part and KV head matter; at least one.

    ``random`` draws them. ``window`` takes the first and the newest (source of the idea: Xiao et
    al., arXiv 2309.17453). ``top`` takes those whose keys could score highest, by the least and the
    largest key of each element (source: Tang et al., arXiv 2406.10774).

    Args:
        config: Of the unit.
        parts: The tokens of each part, in its order.
        context: Queries and keys.
        rule: How they are chosen.
        share: Of a part's tiles.
        seed: Of those drawn.
    """
    random = np.random.default_rng(seed)
    choice = {}
    for head in range(context.keys.kv_heads):
        keys = dequantise(context.keys.head(head))  # (tokens, elements)
        heads = slice(head * context.group, (head + 1) * context.group)
        queries = dequantise(context.queries[0, heads])  # (group, elements)
        for part, members in enumerate(parts):
            rows = config.vector.tile_rows
            tiles = -(-len(members) // rows)
            count = max(1, round(share * tiles))
            if rule == "random":
                order = random.permutation(tiles)
            elif rule == "window":
                order = np.r_[0, np.arange(tiles - 1, 0, -1)]
            else:
                bounds = [
                    np.maximum(queries * tile.max(0), queries * tile.min(0)).sum(-1).max()
                    for tile in (
                        keys[members[at : at + rows]] for at in range(0, len(members), rows)
                    )
                ]
                order = np.argsort(bounds)[::-1]
            choice[part, head] = frozenset(order[:count].tolist())
    return choice


def _read(
    members: NDArray[np.int64], tiles: frozenset[int] | None, tile_rows: int
) -> NDArray[np.int64]:
    """Of a part's tokens, in order, those in tiles that are read: the last one is in any case."""
    if tiles is None or not len(members):
        return members
    tile = np.arange(len(members)) // tile_rows
    return members[np.isin(tile, [*tiles, tile[-1]])]


def attend(
    config: Config,
    parts: Sequence[NDArray[np.int64]],
    context: LayerContext,
    choice: TileChoice | None = None,
    clamps: bool = False,
) -> Attended:
    """What the integer reference gives.

    Args:
        config: Of the unit.
        parts: The tokens of each part that holds any, in its order.
        context: Queries, keys and values.
        choice: The tiles that are read; None for all.
        clamps: It may clamp.

    Raises:
        ValueError: if it clamped anything and may not.
    """
    compute = config.compute
    clamped: Counter[str] = Counter()
    found = []
    for head in range(context.keys.kv_heads):
        chosen = [
            _read(
                members,
                None if choice is None else choice[part, head],
                config.vector.tile_rows,
            )
            for part, members in enumerate(parts)
        ]
        attention = Attention(
            compute.head_elements,
            _Given(len(parts), lengths=tuple(map(len, chosen))),
            AccumulatorFormat(
                compute.accumulator_bits, compute.fraction_bits, compute.blocks_a_row
            ),
            compute.sum_term_bits,
            SoftmaxFormat(compute.activation_bits, config.vector),
        )
        rows = np.concatenate(chosen)
        keys, values = (_rows(cache, head, rows) for cache in (context.keys, context.values))
        queries = context.queries[:, head * context.group : (head + 1) * context.group]
        found.append(attention.attend(queries, keys, values, clamped))
    if sum(clamped.values()) and not clamps:
        raise ValueError(f"the reference clamped {dict(clamped)}: choose other magnitudes")
    return Attended(*(np.concatenate(each, axis=1) for each in zip(*found, strict=True)))


def _rows(cache: BlockCache, head: int, rows: NDArray[np.int64]) -> BlockCache:
    """Some rows of one head."""
    vectors = cache.head(head)[rows]
    some = BlockCache(1, vectors.elements[0].size)
    some.append(
        BlockVector(vectors.elements[:, np.newaxis], vectors.exponents[:, np.newaxis], KV_BITS)
    )
    return some
