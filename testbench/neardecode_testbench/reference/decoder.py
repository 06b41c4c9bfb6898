"""The float32 decoder of a Llama-architecture model, one token at a time.

Source: "LLaMA: Open and Efficient Foundation Language Models", arXiv 2302.13971; RoPE turns
neighbouring elements, the order in which GGUF stores query and key rows.
"""

from collections.abc import Callable, Sequence, Set
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.reference.gguf_model import ModelShape, Weights
from neardecode_testbench.reference.growing import GrowingArray
from neardecode_testbench.reference.scorers import AttentionScorer

__all__ = ["Decoder", "KvCache", "generate", "rms_norm", "rope", "silu", "softmax"]


def rms_norm(
    x: NDArray[np.float32], weight: NDArray[np.float32], epsilon: float
) -> NDArray[np.float32]:
    """``x`` divided by its root mean square and times ``weight``, all (width,)."""
    scale = np.float32(1.0 / np.sqrt(np.dot(x, x) / np.float32(x.size) + np.float32(epsilon)))
    return x * scale * weight


def rope(x: NDArray[np.float32], position: int, base: float) -> NDArray[np.float32]:
    """Turn pair i, the elements 2i and 2i + 1, by ``position * base^(-2i / head_size)`` radians.

    Parameters:
        x: (heads, head_size).
        position: the token's position, from 0.
        base: the model's RoPE base.

    Returns:
        (heads, head_size); angles are computed in float64 and their sines rounded to float32.
    """
    head_size = x.shape[-1]
    angles = position * base ** (-np.arange(0, head_size, 2) / head_size)  # (head_size / 2,)
    cosine = np.cos(angles).astype(np.float32)
    sine = np.sin(angles).astype(np.float32)
    even, odd = x[:, 0::2], x[:, 1::2]  # (heads, head_size / 2)
    turned = np.empty_like(x)
    turned[:, 0::2] = even * cosine - odd * sine
    turned[:, 1::2] = even * sine + odd * cosine
    return turned


def softmax(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The softmax over the last axis of (..., n)."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def silu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """``x / (1 + exp(-x))`` of each element."""
    # By tanh, which saturates where exp would overflow.
    half: NDArray[np.float32] = x * np.float32(0.5)
    return half + half * np.tanh(half)


class KvCache:
    """The state of one sequence: the values of its tokens. The keys are the scorer's.

    Parameters:
        shape: the model's shape.
    """

    def __init__(self, shape: ModelShape) -> None:
        size = (shape.kv_heads, shape.head_size)
        self.values = [GrowingArray(size, np.float32) for _ in range(shape.layers)]

    @property
    def positions(self) -> int:
        """Tokens that have gone through every layer: the position of the next one."""
        return len(self.values[-1])


class Decoder:
    """A model's arithmetic in float32; it has no state but the weights.

    A token costs one pass over the weights in matrix-vector products. On a busy machine numpy's
    OpenBLAS loses most of its speed to threads that wait for each other: OPENBLAS_NUM_THREADS=1,
    set before numpy is imported, then is faster.

    Parameters:
        shape: the model's shape.
        weights: its weights.
    """

    def __init__(self, shape: ModelShape, weights: Weights) -> None:
        self.shape = shape
        self.weights = weights

    @overload
    def forward(
        self,
        token: int,
        position: int,
        state: KvCache,
        scorer: AttentionScorer,
        *,
        logits: Literal[True] = True,
    ) -> NDArray[np.float32]: ...

    @overload
    def forward(
        self,
        token: int,
        position: int,
        state: KvCache,
        scorer: AttentionScorer,
        *,
        logits: bool,
    ) -> NDArray[np.float32] | None: ...

    def forward(
        self,
        token: int,
        position: int,
        state: KvCache,
        scorer: AttentionScorer,
        *,
        logits: bool = True,
    ) -> NDArray[np.float32] | None:
        """Take one token through the model.

        Parameters:
            token: its id.
            position: its place in the sequence, from 0; tokens come in order.
            state: the sequence's values, which grow by this token.
            scorer: the sequence's keys, which grow by this token, and their arithmetic.
            logits: whether the logits are wanted; without them the output matrix is not read.

        Returns:
            (vocabulary,), or ``None`` where they are not wanted.

        Raises:
            ValueError: if the token is not in the vocabulary, the position is not the next or
                lies beyond the context, or the scorer has seen another number of tokens.
        """
        shape, weights = self.shape, self.weights
        if not 0 <= token < shape.vocabulary:
            raise ValueError(f"token must be 0 to {shape.vocabulary - 1}, not {token!r}")
        if position >= shape.context:
            raise ValueError(f"position must be below the context {shape.context}, not {position}")
        if position != state.positions:
            raise ValueError(f"position must be the next, {state.positions}, not {position}")

        x = weights.embedding[token]  # (width,)
        for number, layer in enumerate(weights.layers):
            normed = rms_norm(x, layer.attention_norm, shape.rms_epsilon)  # (width,)
            query = (layer.query @ normed).reshape(shape.heads, shape.head_size)
            key = (layer.key @ normed).reshape(shape.kv_heads, shape.head_size)
            value = (layer.value @ normed).reshape(shape.kv_heads, shape.head_size)
            query = rope(query, position, shape.rope_base)  # (heads, head_size)
            key = rope(key, position, shape.rope_base)  # (kv_heads, head_size)

            scores = scorer.scores(number, query, key)  # (heads, position + 1)
            if scores.shape != (shape.heads, position + 1):
                raise ValueError(
                    f"scores must have shape {(shape.heads, position + 1)}, not {scores.shape}:"
                    " a sequence needs a scorer of its own"
                )
            state.values[number].append(value)
            values = state.values[number].array  # (kv_heads, position + 1, head_size)
            probabilities = softmax(scores * np.float32(shape.head_size**-0.5))
            grouped = probabilities.reshape(shape.kv_heads, shape.group, position + 1)
            attended = (grouped @ values).reshape(-1)  # (heads * head_size,)
            x = x + layer.attention_output @ attended  # (width,)

            normed = rms_norm(x, layer.ffn_norm, shape.rms_epsilon)  # (width,)
            gated = silu(layer.gate @ normed) * (layer.up @ normed)  # (ffn,)
            x = x + layer.down @ gated  # (width,)

        if not logits:
            return None
        return weights.output @ rms_norm(x, weights.output_norm, shape.rms_epsilon)


def generate(
    decoder: Decoder,
    scorer: AttentionScorer,
    tokens: Sequence[int],
    count: int,
    on_token: Callable[[int], None] | None = None,
    stops: Set[int] = frozenset(),
) -> list[int]:
    """Continue a prompt by the likeliest token, again and again.

    Parameters:
        decoder: the model.
        scorer: an attention scorer that has seen no token yet.
        tokens: the prompt's ids, at least one.
        count: the most tokens to generate.
        on_token: called with each generated token as soon as it is known.
        stops: tokens that end the text; the one that does is not part of the result.

    Returns:
        The generated ids without the prompt.

    Raises:
        ValueError: if the prompt is empty, ``count`` is negative, or both together do not fit the
            context.
    """
    if not tokens:
        raise ValueError("tokens must hold at least one token")
    if count < 0:
        raise ValueError(f"count must not be negative, not {count!r}")
    # The last generated token is not fed back.
    positions = len(tokens) + max(count - 1, 0)
    if positions > decoder.shape.context:
        raise ValueError(
            f"{len(tokens)} tokens of prompt and {count} to generate need {positions} positions,"
            f" the context has {decoder.shape.context}"
        )
    generated: list[int] = []
    if count == 0:
        return generated
    state = KvCache(decoder.shape)
    for position, token in enumerate(tokens[:-1]):
        decoder.forward(token, position, state, scorer, logits=False)
    token = tokens[-1]
    while len(generated) < count:
        token = int(decoder.forward(token, state.positions, state, scorer).argmax())
        if token in stops:
            break
        generated.append(token)
        if on_token is not None:
            on_token(token)
    return generated
