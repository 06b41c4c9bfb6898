"""A Llama-architecture model read from a GGUF file.

Source: the GGUF specification (keys ``general.*`` and ``llama.*``, tensor names ``blk.N.*``).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, ReaderTensor
from gguf.quants import dequantize
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "GgufFile",
    "LayerWeights",
    "ModelError",
    "ModelShape",
    "Weights",
    "load_model",
    "read_shape",
    "read_weights",
]

MAGIC = b"GGUF"
TENSOR_TYPES = (
    GGMLQuantizationType.F32,
    GGMLQuantizationType.F16,
    GGMLQuantizationType.BF16,
    GGMLQuantizationType.Q8_0,
    GGMLQuantizationType.Q4_0,
    GGMLQuantizationType.Q4_1,
    GGMLQuantizationType.MXFP4,
)


class ModelError(ValueError):
    """A model that cannot be used: one line that names the file and what is wrong with it."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes and constants of a Llama-architecture model.

    Raises:
        ValueError: if a size is not positive, the heads do not share the KV heads evenly, or the
            head size is odd (RoPE turns pairs).
    """

    layers: int
    width: int
    """Elements of the residual stream."""
    heads: int
    """Query heads."""
    kv_heads: int
    """Key and value heads; each serves ``group`` query heads."""
    head_size: int
    ffn: int
    """Elements between the two halves of the feed-forward network."""
    vocabulary: int
    context: int
    """Tokens in the longest sequence."""
    rope_base: float
    rms_epsilon: float
    tied: bool
    """Whether the output matrix is the embedding."""

    def __post_init__(self) -> None:
        for name in (
            "layers",
            "width",
            "heads",
            "kv_heads",
            "head_size",
            "ffn",
            "vocabulary",
            "context",
            "rope_base",
            "rms_epsilon",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of kv_heads {self.kv_heads}, not {self.heads}"
            )
        if self.head_size % 2:
            raise ValueError(f"head_size must be even, not {self.head_size}")

    @property
    def group(self) -> int:
        """Query heads that share one KV head."""
        return self.heads // self.kv_heads


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer, float32; a matrix is (outputs, inputs)."""

    attention_norm: NDArray[np.float32]  # (width,)
    query: NDArray[np.float32]  # (heads * head_size, width)
    key: NDArray[np.float32]  # (kv_heads * head_size, width)
    value: NDArray[np.float32]  # (kv_heads * head_size, width)
    attention_output: NDArray[np.float32]  # (width, heads * head_size)
    ffn_norm: NDArray[np.float32]  # (width,)
    gate: NDArray[np.float32]  # (ffn, width)
    up: NDArray[np.float32]  # (ffn, width)
    down: NDArray[np.float32]  # (width, ffn)


@dataclass(frozen=True)
class Weights:
    """All weights of a model, float32; ``output`` is ``embedding`` itself where they are tied."""

    embedding: NDArray[np.float32]  # (vocabulary, width)
    layers: tuple[LayerWeights, ...]  # (layers,)
    output_norm: NDArray[np.float32]  # (width,)
    output: NDArray[np.float32]  # (vocabulary, width)


class GgufFile:
    """A GGUF file, its metadata and its tensors as they are stored.

    Parameters:
        path: the file.

    Raises:
        ModelError: if the file cannot be opened, is not GGUF, or is cut short anywhere.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                start = file.read(len(MAGIC))
        except OSError as error:
            raise self.error(f"cannot be read: {error.strerror or error}") from error
        if not start:
            raise self.error("is empty")
        if not MAGIC.startswith(start):
            raise self.error(f"is not a GGUF file: it starts with {start!r}, not {MAGIC!r}")
        try:
            self._reader = _BoundedReader(self.path)
        except _TornError as error:
            raise self.error(str(error)) from None
        # The reader has no exception of its own: what it meets in a damaged file comes out as
        # whatever the parsing code stumbled over.
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise self.error(f"is damaged ({type(error).__name__}: {reason})") from error
        if self._reader.byte_order != "I":
            raise self.error("has the other byte order, which is not supported")
        self.tensors: Mapping[str, ReaderTensor] = {t.name: t for t in self._reader.tensors}
        """The tensors as stored; ``data`` is (..., bytes) for block formats."""

    def error(self, reason: str) -> ModelError:
        """The exception that says ``reason`` of this file."""
        return ModelError(f"{self.path}: {reason}")

    def get(self, key: str) -> Any:
        """The value of a metadata key (a number, a text, a flag or a list), ``None`` if absent.

        Raises:
            ModelError: if a text is not UTF-8.
        """
        field = self._reader.get_field(key)
        if field is None:
            return None
        try:
            return field.contents()
        except UnicodeDecodeError as error:
            raise self.error(f"{key} is not UTF-8") from error

    def integer(self, key: str, default: int | None = None) -> int:
        """The whole number at ``key``.

        Raises:
            ModelError: if it is absent and there is no default, or is not a whole number.
        """
        value = self._required(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"{key} must be one whole number, not {_brief(value)}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The number at ``key``; raises as ``integer`` does."""
        value = self._required(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{key} must be one number, not {_brief(value)}")
        return float(value)

    def text(self, key: str, default: str | None = None) -> str:
        """The text at ``key``; raises as ``integer`` does."""
        value = self._required(key, default)
        if not isinstance(value, str):
            raise self.error(f"{key} must be text, not {_brief(value)}")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        """The flag at ``key``; raises as ``integer`` does."""
        value = self._required(key, default)
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, not {_brief(value)}")
        return value

    def array(self, key: str) -> list[Any]:
        """The array at ``key``.

        Raises:
            ModelError: if it is absent or not an array.
        """
        value = self._required(key, None)
        if not isinstance(value, list):
            raise self.error(f"{key} must be an array, not {_brief(value)}")
        return value

    def float32(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A tensor's values, dequantised, in memory of its own, as ``shape``.

        Raises:
            ModelError: if the tensor is absent, has another shape, is of a type that is not
                supported, or holds a value that is not finite.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            raise self.error(f"tensor {name} is missing")
        stored = tuple(int(size) for size in reversed(tensor.shape))
        if stored != shape:
            raise self.error(f"tensor {name} must have shape {shape}, not {stored}")
        if tensor.tensor_type not in TENSOR_TYPES:
            known = ", ".join(kind.name for kind in TENSOR_TYPES)
            raise self.error(
                f"tensor {name} is of type {tensor.tensor_type.name}, supported are {known}"
            )
        values = np.array(dequantize(np.asarray(tensor.data), tensor.tensor_type), np.float32)
        if not np.isfinite(values).all():
            raise self.error(f"tensor {name} holds a value that is not finite")
        return values.reshape(shape)

    def _required(self, key: str, default: Any) -> Any:
        value = self.get(key)
        if value is None:
            value = default
        if value is None:
            raise self.error(f"metadata {key} is missing")
        return value


class _TornError(Exception):
    pass


class _BoundedReader(GGUFReader):
    """A reader that refuses to read past the end, where the original gives short arrays."""

    @property
    def data(self) -> NDArray[np.uint8]:
        """The file, as an array without what a memory map does at every slice of it."""
        return self._data

    @data.setter
    def data(self, mapped: np.memmap) -> None:
        self._data = np.asarray(mapped)

    def _get(
        self,
        offset: int,
        dtype: DTypeLike,
        count: int = 1,
        override_order: Literal["I", "S", "<"] | None = None,
    ) -> NDArray[Any]:
        end = int(offset) + np.dtype(dtype).itemsize * int(count)
        if end > len(self.data):
            raise _TornError(
                f"is cut short or damaged: it has {len(self.data)} bytes and asks for byte {end}"
            )
        return super()._get(offset, dtype, count, override_order)


def _brief(value: Any) -> str:
    return f"an array of {len(value)}" if isinstance(value, list) else repr(value)


def read_shape(file: GgufFile) -> ModelShape:
    """The shape that a file's metadata gives.

    Raises:
        ModelError: if the architecture is not Llama, a key is missing or contradicts another, or
            the model needs what this decoder has not: experts, RoPE scaling, partial RoPE.
    """
    architecture = file.text("general.architecture")
    if architecture != "llama":
        raise file.error(f"the architecture is {architecture!r}, supported is 'llama'")
    _refuse_variants(file)

    width = file.integer("llama.embedding_length")
    heads = file.integer("llama.attention.head_count")
    head_size = file.get("llama.attention.key_length")
    if head_size is None:
        if heads < 1 or width % heads:
            raise file.error(f"the width {width} is not a multiple of the {heads} heads")
        head_size = width // heads
    value_size = file.integer("llama.attention.value_length", head_size)
    if value_size != head_size:
        raise file.error(f"keys have {head_size} elements and values {value_size}: must be equal")
    rope_size = file.integer("llama.rope.dimension_count", head_size)
    if rope_size != head_size:
        raise file.error(f"RoPE turns {rope_size} of a head's {head_size} elements: must be all")

    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise file.error("tensor token_embd.weight is missing")
    rows = int(embedding.shape[-1])
    try:
        return ModelShape(
            layers=file.integer("llama.block_count"),
            width=width,
            heads=heads,
            kv_heads=file.integer("llama.attention.head_count_kv", heads),
            head_size=head_size,
            ffn=file.integer("llama.feed_forward_length"),
            vocabulary=file.integer("llama.vocab_size", rows),
            context=file.integer("llama.context_length"),
            rope_base=file.number("llama.rope.freq_base", 10000.0),
            rms_epsilon=file.number("llama.attention.layer_norm_rms_epsilon"),
            tied="output.weight" not in file.tensors,
        )
    except ModelError:
        raise
    except ValueError as error:
        raise file.error(str(error)) from error


def _refuse_variants(file: GgufFile) -> None:
    if file.integer("llama.expert_count", 0):
        raise file.error("a mixture of experts is not supported")
    scaling = file.text("llama.rope.scaling.type", "none")
    if scaling != "none":
        raise file.error(f"RoPE scaling {scaling!r} is not supported")
    # A factor without a type means linear scaling.
    for key in ("llama.rope.scaling.factor", "llama.rope.scale_linear"):
        factor = file.number(key, 1.0)
        if factor not in (0.0, 1.0):
            raise file.error(f"RoPE scaling is not supported ({key} is {factor:g})")
    if "rope_freqs.weight" in file.tensors:
        raise file.error("RoPE scaling is not supported (tensor rope_freqs.weight)")


def read_weights(file: GgufFile, shape: ModelShape) -> Weights:
    """The weights of ``shape``, dequantised to float32.

    Raises:
        ModelError: if a tensor is missing, has another shape or an unsupported type, or if the
            file has a tensor that this architecture does not use (a bias, for one).
    """
    queries = shape.heads * shape.head_size
    keys = shape.kv_heads * shape.head_size
    layer_tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "attention_norm": ("attn_norm", (shape.width,)),
        "query": ("attn_q", (queries, shape.width)),
        "key": ("attn_k", (keys, shape.width)),
        "value": ("attn_v", (keys, shape.width)),
        "attention_output": ("attn_output", (shape.width, queries)),
        "ffn_norm": ("ffn_norm", (shape.width,)),
        "gate": ("ffn_gate", (shape.ffn, shape.width)),
        "up": ("ffn_up", (shape.ffn, shape.width)),
        "down": ("ffn_down", (shape.width, shape.ffn)),
    }
    expected = {"token_embd.weight", "output_norm.weight", "output.weight"}
    expected.update(
        f"blk.{layer}.{name}.weight"
        for layer in range(shape.layers)
        for name, _ in layer_tensors.values()
    )
    for name in file.tensors:
        if name not in expected:
            raise file.error(f"tensor {name} has no place in a Llama model of this shape")

    embedding = file.float32("token_embd.weight", (shape.vocabulary, shape.width))
    layers = tuple(
        LayerWeights(
            **{
                field: file.float32(f"blk.{layer}.{name}.weight", size)
                for field, (name, size) in layer_tensors.items()
            }
        )
        for layer in range(shape.layers)
    )
    output_norm = file.float32("output_norm.weight", (shape.width,))
    if shape.tied:
        output = embedding
    else:
        output = file.float32("output.weight", (shape.vocabulary, shape.width))
    return Weights(embedding, layers, output_norm, output)


def load_model(path: str | os.PathLike[str]) -> tuple[ModelShape, Weights]:
    """Shape and weights of a Llama-architecture GGUF file.

    Raises:
        ModelError: if the file cannot be read or used.
    """
    file = GgufFile(path)
    shape = read_shape(file)
    return shape, read_weights(file, shape)
