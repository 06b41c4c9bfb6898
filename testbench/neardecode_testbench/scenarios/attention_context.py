"""Keys, values and queries to attend to, and a configuration that attends to them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from neardecode.config import Config
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.integer.attention import KV_BITS, BlockCache
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState

__all__ = [
    "LayerContext",
    "decoder_context",
    "random_context",
]


@dataclass(frozen=True, eq=False)
class LayerContext:
    """Queries of the newest token, keys and values of all.

    Attributes:
        queries: (1, heads, blocks).
        keys, values: Of one layer.
    """

    queries: BlockVector
    keys: BlockCache
    values: BlockCache

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.queries.exponents.shape[1]

    @property
    def group(self) -> int:
        """Query heads of a KV head."""
        return self.heads // self.keys.kv_heads


def random_context(
    config: Config, kv_heads: int, tokens: int, seed: int, spread: int = 4
) -> LayerContext:
    """Random queries, keys and values, of exponents that differ by up to ``spread``."""
    random = np.random.default_rng(seed)
    compute = config.compute
    blocks = compute.head_elements // 32

    def drawn(*shape: int, bits: int) -> BlockVector:
        limit = 1 << bits - 1
        elements = random.integers(-limit + 1, limit, size=(*shape, blocks, 32))
        exponents = random.integers(127 - spread, 128, size=(*shape, blocks))
        return BlockVector(elements.astype(np.int32), exponents.astype(np.uint8), bits)

    caches = [BlockCache(kv_heads, compute.head_elements) for _ in range(2)]
    for cache in caches:
        cache.append(drawn(tokens, kv_heads, bits=KV_BITS))
    queries = drawn(1, kv_heads * compute.vectors, bits=compute.activation_bits)
    return LayerContext(queries, *caches)


class _LayerDoneError(Exception):
    """The layer has been computed."""


def decoder_context(decoder: IntegerDecoder, tokens: Sequence[int], layer: int) -> LayerContext:
    """What a layer of a model is given when it reads tokens one after the other.

    Args:
        decoder: The exact integer decoder.
        tokens: Ids.
        layer: Which layer.
    """
    found: dict[str, BlockVector] = {}

    def keep(number: int, name: str, value: object) -> None:
        if number == layer and isinstance(value, BlockVector):
            found[name] = value
            if name == "value":
                raise _LayerDoneError

    with suppress(_LayerDoneError):
        decoder.forward(tokens, IntegerState(decoder.shape), keep)
    size = (decoder.shape.kv_heads, decoder.shape.head_size)
    keys, values = BlockCache(*size), BlockCache(*size)
    keys.append(found["key"])
    values.append(found["value"])
    return LayerContext(found["query"][-1:], keys, values)
