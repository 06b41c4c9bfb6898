"""The weights of a model in the blocks that memory holds."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import quantize
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat
from neardecode_testbench.reference.gguf_model import (
    GgufFile,
    LayerWeights,
    ModelShape,
    Weights,
)
from neardecode_testbench.reference.weights import TWICE_E2M1, WeightBlocks, gguf_blocks

__all__ = [
    "IntegerLayer",
    "IntegerWeights",
    "float_weights",
    "integer_weights",
    "read_integer_weights",
]

FORMATS = {
    GGMLQuantizationType.Q4_0: BlockFormat.Q4_0,
    GGMLQuantizationType.Q4_1: BlockFormat.Q4_1,
    GGMLQuantizationType.Q8_0: BlockFormat.Q8_0,
    GGMLQuantizationType.MXFP4: BlockFormat.MXFP4,
}
"""Types of a GGUF tensor that memory holds as they are."""
NORMS = ("attention_norm", "ffn_norm")


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """The weights of one layer; a matrix is (outputs, blocks of inputs)."""

    attention_norm: NDArray[np.float32]  # (width,)
    query: WeightBlocks
    key: WeightBlocks
    value: WeightBlocks
    attention_output: WeightBlocks
    ffn_norm: NDArray[np.float32]  # (width,)
    gate: WeightBlocks
    up: WeightBlocks
    down: WeightBlocks


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """All weights; ``output`` is ``embedding`` itself where they are tied."""

    embedding: WeightBlocks  # (vocabulary, blocks)
    layers: tuple[IntegerLayer, ...]
    output_norm: NDArray[np.float32]  # (width,)
    output: WeightBlocks  # (vocabulary, blocks)


def read_integer_weights(file: GgufFile, shape: ModelShape) -> IntegerWeights:
    """The weights of a GGUF file, which `read_weights` has checked.

    A block format stays what it is. A matrix of F32, F16 or BF16 is rounded to Q8_0.

    Raises:
        ModelError: if a matrix is of another type or its rows are not whole blocks.
    """
    queries = shape.heads * shape.head_size
    names = {
        "attention_norm": ("attn_norm", shape.width),
        "query": ("attn_q", shape.width),
        "key": ("attn_k", shape.width),
        "value": ("attn_v", shape.width),
        "attention_output": ("attn_output", queries),
        "ffn_norm": ("ffn_norm", shape.width),
        "gate": ("ffn_gate", shape.width),
        "up": ("ffn_up", shape.width),
        "down": ("ffn_down", shape.ffn),
    }

    def layer(number: int) -> IntegerLayer:
        parts = {}
        for field, (name, inputs) in names.items():
            full = f"blk.{number}.{name}.weight"
            read = _norm if field in NORMS else _matrix
            parts[field] = read(file, full, inputs)
        return IntegerLayer(**parts)

    embedding = _matrix(file, "token_embd.weight", shape.width)
    return IntegerWeights(
        embedding,
        tuple(layer(number) for number in range(shape.layers)),
        _norm(file, "output_norm.weight", shape.width),
        embedding if shape.tied else _matrix(file, "output.weight", shape.width),
    )


def integer_weights(weights: Weights, block_format: BlockFormat) -> IntegerWeights:
    """Float weights rounded to a format of GGUF, as its tools do.

    Raises:
        ValueError: if GGUF has no such format or a row is not whole blocks.
    """
    kinds = [kind for kind, known in FORMATS.items() if known is block_format]
    if not kinds:
        raise ValueError(f"block_format must be one of GGUF, not {block_format.name}")
    embedding = _quantised(weights.embedding, kinds[0])
    tied = weights.output is weights.embedding
    return IntegerWeights(
        embedding,
        tuple(
            IntegerLayer(**_mapped(layer, lambda matrix: _quantised(matrix, kinds[0])))
            for layer in weights.layers
        ),
        weights.output_norm,
        embedding if tied else _quantised(weights.output, kinds[0]),
    )


def float_weights(weights: IntegerWeights) -> Weights:
    """What the blocks are worth, as the float decoder takes it."""

    def matrix(blocks: WeightBlocks) -> NDArray[np.float32]:
        return blocks.values().reshape(len(blocks.scales), -1).astype(np.float32)

    embedding = matrix(weights.embedding)
    tied = weights.output is weights.embedding
    return Weights(
        embedding,
        tuple(LayerWeights(**_mapped(layer, matrix)) for layer in weights.layers),
        weights.output_norm,
        embedding if tied else matrix(weights.output),
    )


def _mapped(layer: LayerWeights | IntegerLayer, matrix: Callable[[Any], Any]) -> dict[str, Any]:
    """A layer's fields, its norms as they are, its matrices by ``matrix``."""
    values = {field.name: getattr(layer, field.name) for field in fields(layer)}
    return {name: value if name in NORMS else matrix(value) for name, value in values.items()}


def _norm(file: GgufFile, name: str, width: int) -> NDArray[np.float32]:
    return file.float32(name, (width,))


def _matrix(file: GgufFile, name: str, inputs: int) -> WeightBlocks:
    if inputs % BLOCK_ELEMENTS:
        raise file.error(f"tensor {name} has rows of {inputs}, which are not whole blocks of 32")
    tensor = file.tensors[name]
    if tensor.tensor_type in FORMATS:
        return _blocks(np.asarray(tensor.data), tensor.tensor_type)
    rows = int(tensor.shape[-1])
    return _quantised(file.float32(name, (rows, inputs)), GGMLQuantizationType.Q8_0)


def _quantised(matrix: NDArray[np.float32], kind: GGMLQuantizationType) -> WeightBlocks:
    if matrix.shape[-1] % BLOCK_ELEMENTS:
        raise ValueError(f"rows must be whole blocks of 32, not {matrix.shape[-1]}")
    return _blocks(quantize(matrix, kind), kind)


def _blocks(stored: NDArray[np.uint8], kind: GGMLQuantizationType) -> WeightBlocks:
    """Rows as GGUF stores them, (rows, bytes)."""
    block_format = FORMATS[kind]
    size = block_format.scale_bytes + block_format.element_bytes
    stored = stored.reshape(len(stored), -1, size)
    if block_format is not BlockFormat.MXFP4:
        return gguf_blocks(block_format, stored)
    packed = stored[..., 1:]
    nibbles = np.concatenate([packed & 15, packed >> 4], axis=-1)
    return WeightBlocks(block_format, TWICE_E2M1[nibbles], np.ascontiguousarray(stored[..., 0]))
