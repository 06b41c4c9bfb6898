"""A small random Llama-architecture model, for tests and first runs."""

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.reference.gguf_model import LayerWeights, ModelShape, Weights

__all__ = ["random_model"]

LOGIT_SPREAD = 3.0
"""Standard deviation of the logits, near that of a trained model."""


def random_model(
    seed: int,
    *,
    layers: int = 2,
    width: int = 128,
    heads: int = 4,
    kv_heads: int = 2,
    head_size: int = 64,
    ffn: int = 256,
    vocabulary: int = 256,
    context: int = 64,
) -> tuple[ModelShape, Weights]:
    """A model whose weights are drawn from ``seed``, the same on every platform.

    Matrices keep the size of what goes through them, the two that write to the residual stream
    are damped by the number of layers, and the output is apart from the embedding, so that the
    likeliest token is not simply the last one again.

    Parameters:
        seed: of PCG64.
        layers, width, heads, kv_heads, head_size, ffn, vocabulary, context: as ``ModelShape``;
            the default vocabulary is the bytes.

    Raises:
        ValueError: as ``ModelShape`` does.
    """
    shape = ModelShape(
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        ffn=ffn,
        vocabulary=vocabulary,
        context=context,
        rope_base=10000.0,
        rms_epsilon=1e-5,
        tied=False,
    )
    generator = np.random.Generator(np.random.PCG64(seed))

    def matrix(outputs: int, inputs: int, gain: float = 1.0) -> NDArray[np.float32]:
        values = generator.standard_normal((outputs, inputs)).astype(np.float32)
        return values * np.float32(gain / inputs**0.5)

    def norm() -> NDArray[np.float32]:
        values = generator.standard_normal(width).astype(np.float32)
        return np.float32(1.0) + np.float32(0.1) * values

    damping = (2 * layers) ** -0.5
    embedding = matrix(vocabulary, width, gain=width**0.5)
    drawn = tuple(
        LayerWeights(
            attention_norm=norm(),
            query=matrix(heads * head_size, width),
            key=matrix(kv_heads * head_size, width),
            value=matrix(kv_heads * head_size, width),
            attention_output=matrix(width, heads * head_size, damping),
            ffn_norm=norm(),
            gate=matrix(ffn, width),
            up=matrix(ffn, width),
            down=matrix(width, ffn, damping),
        )
        for _ in range(layers)
    )
    return shape, Weights(embedding, drawn, norm(), matrix(vocabulary, width, LOGIT_SPREAD))
