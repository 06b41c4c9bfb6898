"""Who computes the attention scores, and keeps the keys they are computed from."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.reference.blocks import BlockVector, quantise
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.reference.growing import GrowingArray
from neardecode_testbench.reference.scores import AccumulatorFormat, Scores, integer_scores

__all__ = ["AttentionScorer", "FloatScorer", "IntegerScorer", "ScoredStep"]


class AttentionScorer(Protocol):
    """Keeps the keys of one sequence and computes the scores of its queries."""

    def scores(
        self, layer: int, queries: NDArray[np.float32], key: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Append the key of the next position and score the queries with all keys so far.

        Parameters:
            layer: the layer, from 0; each has keys of its own.
            queries: (heads, head_size), after RoPE.
            key: (kv_heads, head_size), after RoPE.

        Returns:
            q . k, not yet divided by sqrt(head_size), (heads, positions).
        """
        ...


class FloatScorer:
    """Scores in float32 from keys in float32.

    Parameters:
        shape: the model's shape.
    """

    def __init__(self, shape: ModelShape) -> None:
        self._shape = shape
        size = (shape.kv_heads, shape.head_size)
        self._keys = [GrowingArray(size, np.float32) for _ in range(shape.layers)]

    def scores(
        self, layer: int, queries: NDArray[np.float32], key: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As ``AttentionScorer.scores``."""
        shape = self._shape
        self._keys[layer].append(key)
        keys = self._keys[layer].array  # (kv_heads, positions, head_size)
        grouped = queries.reshape(shape.kv_heads, shape.group, shape.head_size)
        return (grouped @ keys.transpose(0, 2, 1)).reshape(shape.heads, -1)


@dataclass(frozen=True, eq=False)
class ScoredStep:
    """What the last call of an integer scorer computed, and from what."""

    layer: int
    query: BlockVector  # (heads, blocks)
    key: BlockVector  # (kv_heads, blocks), the one that was appended
    result: Scores  # (heads, positions)


class IntegerScorer:
    """Scores in exact integers from keys and queries in block-scaled integers.

    Hardware takes the place of the arithmetic by overriding ``integer``, which is given the
    quantised query and finds the quantised keys in ``keys``; the inherited method gives the
    integers to compare with.

    Parameters:
        shape: the model's shape.
        activation_bits: bits of a query's elements.
        key_bits: bits of a key's elements.
        accumulator: the format of the scores.
    """

    def __init__(
        self,
        shape: ModelShape,
        activation_bits: int,
        key_bits: int = 8,
        *,
        accumulator: AccumulatorFormat,
    ) -> None:
        self.shape = shape
        self.activation_bits = activation_bits
        self.key_bits = key_bits
        self.accumulator = accumulator
        blocks = quantise(np.zeros(shape.head_size), key_bits)
        quantise(np.zeros(1), activation_bits)
        if blocks.blocks > accumulator.max_blocks:
            raise ValueError(
                f"max_blocks must be at least {blocks.blocks}, not {accumulator.max_blocks!r}"
            )
        lead = shape.kv_heads
        self._elements = [
            GrowingArray((lead, *blocks.elements.shape), np.int32) for _ in range(shape.layers)
        ]
        self._exponents = [
            GrowingArray((lead, *blocks.exponents.shape), np.uint8) for _ in range(shape.layers)
        ]
        self.last: ScoredStep | None = None
        """The last call's integers; ``None`` before the first."""
        self.saturations = 0
        """Scores with a clamped term, over all calls."""

    def scores(
        self, layer: int, queries: NDArray[np.float32], key: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As ``AttentionScorer.scores``, rounded from the integers to float32.

        Raises:
            ValueError: if a query or the key is not finite.
        """
        query_blocks = quantise(queries, self.activation_bits)  # (heads, blocks)
        key_blocks = quantise(key, self.key_bits)  # (kv_heads, blocks)
        self._elements[layer].append(key_blocks.elements)
        self._exponents[layer].append(key_blocks.exponents)
        result = self.integer(layer, query_blocks)
        self.last = ScoredStep(layer, query_blocks, key_blocks, result)
        self.saturations += int(result.saturated.sum())
        return np.ldexp(result.values.astype(np.float64), -self.accumulator.fraction_bits).astype(
            np.float32
        )

    def keys(self, layer: int) -> BlockVector:
        """The keys of a layer so far, (kv_heads, positions, blocks), without a copy."""
        return BlockVector(self._elements[layer].array, self._exponents[layer].array, self.key_bits)

    def integer(self, layer: int, query: BlockVector) -> Scores:
        """The integer scores of a quantised query with all keys of a layer.

        Parameters:
            layer: the layer, from 0.
            query: (heads, blocks).

        Returns:
            values and saturation flags, (heads, positions).
        """
        lead = (self.shape.kv_heads, self.shape.group)
        grouped = BlockVector(
            query.elements.reshape(*lead, *query.elements.shape[1:]),
            query.exponents.reshape(*lead, *query.exponents.shape[1:]),
            query.element_bits,
        )
        # The keys of a KV head stand before all queries of its group.
        keys = self.keys(layer)[:, np.newaxis]
        values, saturated = integer_scores(keys, grouped, self.accumulator)
        return Scores(values.reshape(self.shape.heads, -1), saturated.reshape(self.shape.heads, -1))
