"""The integer decoder: a Llama-architecture model as the token decoder's hardware computes it.

This is its specification. Every value is an integer with a stated scale:

- an *accumulator*, `Compute.accumulator_bits` with `fraction_bits` behind the point, comes out of a
  slice and is never rounded before a network has added it up;
- a *word*, `Vector.word_bits` with `word_fraction_bits` behind the point, is what the vector unit
  works on; the residual stream and the product of gate and up are words with a point of their own;
- a *block* is 32 elements of `Compute.activation_bits` (A) or 8 (KV) with a power of two.

To a word rounds to nearest, a half upwards; to a block to nearest, half to even; a slice's terms
and softmax's rescales round down. Everything clamps, nothing wraps, what was clamped is counted.

| step | takes | gives | arithmetic |
| --- | --- | --- | --- |
| embed | token | `residual`, words of `residual_fraction_bits` | exact, rounded once |
| *each layer* | | | |
| norm | `residual` | `normed`, A blocks | `rms_norm`, `pack_blocks` |
| query, key, value | `normed` | accumulators, then words | `integer_products`, `to_words` |
| rotate | words | `query` (A), `key`, `value` (KV) | `rotate`, `pack_blocks` a head |
| scores | `query`, keys | accumulators, then scores | `integer_products`, `scores_of` |
| softmax | scores, a tile at a time | probabilities, `maximum`, `total` | `softmax_tile` |
| weigh | probabilities, values | `weighted`, an accumulator a lane | below |
| merge, finish | the parts | `attended`, words, then A blocks | `merge`, `finish`, `pack_blocks` |
| attention output | `attended` | accumulators; `residual` | `integer_products`, `add_residual` |
| norm | `residual` | `ffn_normed`, A blocks | as above |
| gate, up | `ffn_normed` | accumulators, then words | `integer_products`, `to_words` |
| gate | words | `gated`, A blocks, by `gated_fraction_bits` | `gate`, `pack_blocks` |
| down | `gated` | accumulators; `residual` | `integer_products`, `add_residual` |
| *at the end* | | | |
| norm | `residual` | `output_normed`, A blocks | as above |
| output | `output_normed` | `logits`, accumulators | `integer_products` |
| arg-max | `logits` | token | the least id of the largest |

*Rotate* leaves values as they are. A query's table of turns carries log2(e) / sqrt(head size), so
that a score is a power of two. *Weigh* is a slice's accumulate mode: before a tile all lanes move
to the right by the tile's rescale, rounded down; then each row adds, to each lane,
``floor(element * mantissa * 2^(element exponent - 133 + probability exponent - 127 - (A - 1) +
fraction_bits))``, clamped so that `Compute.rows` of them fit. *Merge* moves each part to the
largest maximum once, rounded down, and adds: the same in any order.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Compute
from neardecode.config.vector import Vector
from neardecode_testbench.reference.arithmetic import (
    SoftmaxFormat,
    Words,
    add_residual,
    clamp,
    gate,
    norm_epsilon,
    norm_weights,
    pack_blocks,
    query_scale,
    rms_norm,
    rotate,
    to_words,
    turns,
)
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.reference.integer.attention import (
    KV_BITS,
    Attention,
    BlockCache,
    ContextSplit,
)
from neardecode_testbench.reference.integer.products import products
from neardecode_testbench.reference.integer.weights import IntegerWeights
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.reference.weights import WeightBlocks

__all__ = ["IntegerDecoder", "IntegerState", "Observe", "generate"]

Observe = Callable[[int, str, Any], None]
"""Called with a layer (or -1), a value's name and the value, arrays or blocks, (tokens, ...)."""


@dataclass(frozen=True)
class _Norm:
    weights: NDArray[np.int64]  # (width,)
    fraction_bits: int


class IntegerState:
    """One sequence: its keys and values, and what was clamped so far.

    Parameters:
        shape: the model's shape.
    """

    def __init__(self, shape: ModelShape) -> None:
        size = (shape.kv_heads, shape.head_size)
        self.keys = [BlockCache(*size) for _ in range(shape.layers)]
        self.values = [BlockCache(*size) for _ in range(shape.layers)]
        self.saturations: Counter[str] = Counter()
        """Values that were clamped, by the name of the step."""

    @property
    def positions(self) -> int:
        """Tokens that have gone through every layer."""
        return self.values[-1].positions


class IntegerDecoder:
    """A model's arithmetic in the integers of the hardware; no state but the weights.

    Parameters:
        shape: the model's shape.
        weights: its weights, in blocks.
        compute: widths of the slices.
        vector: widths of the vector unit.
        split: where a sequence's keys lie.

    Raises:
        ValueError: if a row of a matrix has more blocks than a slice takes.
    """

    def __init__(
        self,
        shape: ModelShape,
        weights: IntegerWeights,
        compute: Compute | None = None,
        vector: Vector | None = None,
        split: ContextSplit | None = None,
    ) -> None:
        self.shape = shape
        self.weights = weights
        self.compute = compute or Compute()
        self.vector = vector or Vector()
        self.split = split or ContextSplit()
        self.accumulator = AccumulatorFormat(
            self.compute.accumulator_bits, self.compute.fraction_bits, self.compute.blocks_a_row
        )
        widest = max(weights.layers[0].down.blocks, weights.layers[0].attention_output.blocks)
        if max(widest, weights.output.blocks) > self.compute.blocks_a_row:
            raise ValueError(
                f"blocks_a_row must be at least {widest} for this model,"
                f" not {self.compute.blocks_a_row}"
            )
        self._attention = Attention(
            shape.head_size,
            self.split,
            self.accumulator,
            self.compute.accumulator_bits - (self.compute.rows.bit_length() - 1),
            SoftmaxFormat(self.compute.activation_bits, self.vector),
        )
        self._norms = [
            (_Norm(*norm_weights(layer.attention_norm)), _Norm(*norm_weights(layer.ffn_norm)))
            for layer in weights.layers
        ]
        self._output_norm = _Norm(*norm_weights(weights.output_norm))
        self._epsilon = norm_epsilon(
            shape.rms_epsilon, shape.width, self.vector.residual_fraction_bits
        )

    def forward(
        self, tokens: Sequence[int], state: IntegerState, observe: Observe | None = None
    ) -> BlockVector:
        """Take tokens through all layers, one after another or all at once: the integers are equal.

        Parameters:
            tokens: the next ids of the sequence, at least one.
            state: the sequence, which grows by them.
            observe: called with every value that the module's table names.

        Returns:
            what `logits` takes, (tokens, blocks).

        Raises:
            ValueError: if a token is not in the vocabulary or lies beyond the context.
        """
        shape, vector = self.shape, self.vector
        ids = np.asarray(tokens, np.int64)
        if ids.ndim != 1 or not ids.size:
            raise ValueError("tokens must hold at least one token")
        if ids.min() < 0 or ids.max() >= shape.vocabulary:
            raise ValueError(f"tokens must be 0 to {shape.vocabulary - 1}, not {list(tokens)}")
        first = state.positions
        if first + len(ids) > shape.context:
            raise ValueError(
                f"positions must be below the context {shape.context}, not {first + len(ids) - 1}"
            )
        note = observe or (lambda layer, name, value: None)
        count, saturations = len(ids), state.saturations
        positions = np.arange(first, first + count)
        scale = query_scale(shape.head_size)
        query_turns = turns(positions, shape.head_size, shape.rope_base, scale)
        key_turns = turns(positions, shape.head_size, shape.rope_base)

        residual = self._embed(ids, saturations)  # (tokens, width)
        note(-1, "residual", residual)
        for number, layer in enumerate(self.weights.layers):
            attention_norm, ffn_norm = self._norms[number]
            normed = self._normed(residual, attention_norm, saturations)  # (tokens, blocks)
            note(number, "normed", normed)
            query = self._words(layer.query, normed, "query", saturations)
            key = self._words(layer.key, normed, "key", saturations)
            value = self._words(layer.value, normed, "value", saturations)
            turned = []
            for words, table in ((query, query_turns), (key, key_turns)):
                heads = words.reshape(count, -1, shape.head_size)
                rotated = rotate(
                    heads,
                    table.cosines[:, np.newaxis],
                    table.sines[:, np.newaxis],
                    table.fraction_bits,
                    vector,
                )
                turned.append(_counted(rotated, "rotated", saturations))
            queries = self._packed(turned[0], vector.word_fraction_bits)  # (tokens, heads, blocks)
            keys = pack_blocks(turned[1], vector.word_fraction_bits, KV_BITS)
            values = pack_blocks(
                value.reshape(count, -1, shape.head_size), vector.word_fraction_bits, KV_BITS
            )
            state.keys[number].append(keys)
            state.values[number].append(values)
            note(number, "query", queries)
            note(number, "key", keys)
            note(number, "value", values)

            found = self._attention.attend(
                queries, state.keys[number], state.values[number], saturations
            )
            note(number, "maximum", found.maximums)
            note(number, "total", found.totals)
            note(number, "weighted", found.weighted)
            attended = self._packed(found.words.reshape(count, -1), vector.word_fraction_bits)
            note(number, "attended", attended)
            residual = self._added(residual, layer.attention_output, attended, saturations)
            note(number, "attention_residual", residual)

            normed = self._normed(residual, ffn_norm, saturations)
            note(number, "ffn_normed", normed)
            gates = self._words(layer.gate, normed, "gate", saturations)
            ups = self._words(layer.up, normed, "up", saturations)
            product = _counted(gate(gates, ups, vector), "gated", saturations)
            gated = self._packed(product, vector.gated_fraction_bits)  # (tokens, blocks)
            note(number, "gated", gated)
            residual = self._added(residual, layer.down, gated, saturations)
            note(number, "residual", residual)

        normed = self._normed(residual, self._output_norm, saturations)
        note(-1, "output_normed", normed)
        return normed

    def logits(self, normed: BlockVector, state: IntegerState) -> NDArray[np.int64]:
        """The logits of what `forward` gave, accumulators, (tokens, vocabulary)."""
        return self._products(self.weights.output, normed, "logits", state.saturations)

    def _embed(self, ids: NDArray[np.int64], saturations: Counter[str]) -> NDArray[np.int64]:
        values = self.weights.embedding[ids].values()  # (tokens, blocks, 32)
        # 19 bits of element times mantissa, a minimum at most 30 bits away: float64 is exact.
        scaled = np.ldexp(values.reshape(len(ids), -1), self.vector.residual_fraction_bits)
        rounded = np.floor(scaled + 0.5).astype(np.int64)
        return _counted(clamp(rounded, self.vector.word_bits), "embedding", saturations)

    def _normed(
        self, residual: NDArray[np.int64], norm: _Norm, saturations: Counter[str]
    ) -> BlockVector:
        words = rms_norm(residual, norm.weights, norm.fraction_bits, self._epsilon, self.vector)
        return self._packed(_counted(words, "normed", saturations), self.vector.word_fraction_bits)

    def _packed(self, words: NDArray[np.int64], fraction_bits: int) -> BlockVector:
        return pack_blocks(words, fraction_bits, self.compute.activation_bits)

    def _products(
        self, matrix: WeightBlocks, activations: BlockVector, name: str, saturations: Counter[str]
    ) -> NDArray[np.int64]:
        found = products(matrix, activations, self.accumulator)
        saturations[name] += int(found.saturated.sum())
        return found.values

    def _words(
        self, matrix: WeightBlocks, activations: BlockVector, name: str, saturations: Counter[str]
    ) -> NDArray[np.int64]:
        sums = self._products(matrix, activations, name, saturations)
        words = to_words(
            sums,
            self.accumulator.fraction_bits,
            self.vector.word_fraction_bits,
            self.vector.word_bits,
        )
        return _counted(words, name, saturations)

    def _added(
        self,
        residual: NDArray[np.int64],
        matrix: WeightBlocks,
        activations: BlockVector,
        saturations: Counter[str],
    ) -> NDArray[np.int64]:
        sums = self._products(matrix, activations, "residual", saturations)
        words = add_residual(residual, sums, self.accumulator.fraction_bits, self.vector)
        return _counted(words, "residual", saturations)


def _counted(words: Words, name: str, saturations: Counter[str]) -> NDArray[np.int64]:
    saturations[name] += int(words.saturated.sum())
    return words.values


def generate(
    decoder: IntegerDecoder,
    tokens: Sequence[int],
    count: int,
    stops: Set[int] = frozenset(),
    observe: Observe | None = None,
) -> Iterator[int]:
    """Continue a prompt by the likeliest token, again and again.

    Parameters:
        decoder: the model.
        tokens: the prompt's ids, at least one.
        count: the most tokens to generate.
        stops: tokens that end the text; the one that does is not part of the result.
        observe: as `IntegerDecoder.forward`; the prompt goes through at once.

    Yields:
        Each generated id as soon as it is known.
    """
    state = IntegerState(decoder.shape)
    fed = tokens
    for _ in range(count):
        logits = decoder.logits(decoder.forward(fed, state, observe)[-1:], state)
        token = int(logits.argmax())
        if token in stops:
            return
        yield token
        fed = [token]
