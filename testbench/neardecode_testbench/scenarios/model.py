"""Which model to run, small enough to hand to another process."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from neardecode.config import BlockFormat
from neardecode_testbench.reference.decoder import Decoder
from neardecode_testbench.reference.gguf_model import (
    GgufFile,
    ModelShape,
    read_shape,
    read_weights,
)
from neardecode_testbench.reference.integer.weights import (
    IntegerWeights,
    integer_weights,
    read_integer_weights,
)
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.tokenizer import ByteTokenizer, GgufTokenizer, Tokenizer

__all__ = ["ModelSource"]


@dataclass(frozen=True)
class ModelSource:
    """A GGUF file, or the random model.

    Attributes:
        path: The GGUF file, or None for the random model.
        seed: The random model's.
    """

    path: Path | None = None
    seed: int = 1

    def shape(self) -> ModelShape:
        """The model's shape, read once a process."""
        return _read(self)[0]

    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, read once a process."""
        return _read(self)[1]

    def decoder(self) -> Decoder:
        """The model in floating point, loaded once a process."""
        return _load(self)

    def integer_weights(self) -> tuple[ModelShape, IntegerWeights]:
        """The model's shape, and its weights in the blocks that memory holds."""
        if self.path is None:
            shape, weights = random_model(self.seed)
            return shape, integer_weights(weights, BlockFormat.Q8_0)
        shape = self.shape()
        return shape, read_integer_weights(_open(self.path), shape)


@cache
def _open(path: Path) -> GgufFile:
    return GgufFile(path)


@cache
def _read(source: ModelSource) -> tuple[ModelShape, Tokenizer]:
    if source.path is None:
        return random_model(source.seed)[0], ByteTokenizer()
    file = _open(source.path)
    shape = read_shape(file)
    tokens = len(file.array("tokenizer.ggml.tokens"))
    if tokens != shape.vocabulary:
        raise file.error(f"has {tokens} tokens and an embedding of {shape.vocabulary}")
    return shape, GgufTokenizer(file)


@cache
def _load(source: ModelSource) -> Decoder:
    if source.path is None:
        return Decoder(*random_model(source.seed))
    shape, _ = _read(source)
    return Decoder(shape, read_weights(_open(source.path), shape))
