"""The float32 decoder on many tokens at once: the arithmetic of `decoder`, as matrix products."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.reference.decoder import rms_norm, silu, softmax
from neardecode_testbench.reference.gguf_model import ModelShape, Weights

__all__ = ["forward_all"]


def forward_all(shape: ModelShape, weights: Weights, tokens: Sequence[int]) -> NDArray[np.float32]:
    """What goes into the output matrix, for every token of a sequence from its start.

    Parameters:
        shape: the model's shape.
        weights: its weights.
        tokens: ids.

    Returns:
        (tokens, width); ``weights.output @ row`` are a token's logits.
    """
    count = len(tokens)
    angles = np.arange(count)[:, np.newaxis] * shape.rope_base ** (
        -np.arange(0, shape.head_size, 2) / shape.head_size
    )  # (tokens, head_size / 2)
    cosine = np.cos(angles).astype(np.float32)
    sine = np.sin(angles).astype(np.float32)
    hidden = np.triu(np.full((count, count), -np.inf, np.float32), 1)  # (query, key)

    def norm(x: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([rms_norm(row, weight, shape.rms_epsilon) for row in x])

    def heads(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return x.reshape(count, -1, shape.head_size).swapaxes(0, 1)  # (heads, tokens, head_size)

    def turn(x: NDArray[np.float32]) -> NDArray[np.float32]:
        even, odd = x[..., 0::2], x[..., 1::2]  # (heads, tokens, head_size / 2)
        turned = np.empty_like(x)
        turned[..., 0::2] = even * cosine - odd * sine
        turned[..., 1::2] = even * sine + odd * cosine
        return turned

    x: NDArray[np.float32] = weights.embedding[np.asarray(tokens)]  # (tokens, width)
    for layer in weights.layers:
        normed = norm(x, layer.attention_norm)  # (tokens, width)
        query = turn(heads(normed @ layer.query.T))  # (heads, tokens, head_size)
        key = turn(heads(normed @ layer.key.T))  # (kv_heads, tokens, head_size)
        value = heads(normed @ layer.value.T)
        attended = np.empty_like(query)
        for head in range(shape.heads):
            scores = query[head] @ key[head // shape.group].T * np.float32(shape.head_size**-0.5)
            attended[head] = softmax(scores + hidden) @ value[head // shape.group]
        x += attended.swapaxes(0, 1).reshape(count, -1) @ layer.attention_output.T

        normed = norm(x, layer.ffn_norm)
        x += (silu(normed @ layer.gate.T) * (normed @ layer.up.T)) @ layer.down.T
    return norm(x, weights.output_norm)
