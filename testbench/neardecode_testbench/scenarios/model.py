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

    def decoder(self) -> Decoder:
        """The model, loaded once a process."""
        return _load(self)[0]

    def integer_weights(self) -> tuple[ModelShape, IntegerWeights]:
        """The model's shape, and its weights in the blocks that memory holds."""
        if self.path is None:
            shape, weights = random_model(self.seed)
            return shape, integer_weights(weights, BlockFormat.Q8_0)
        file = GgufFile(self.path)
        shape = read_shape(file)
        return shape, read_integer_weights(file, shape)

    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return _load(self)[1]


@cache
def _load(source: ModelSource) -> tuple[Decoder, Tokenizer]:
    if source.path is None:
        return Decoder(*random_model(source.seed)), ByteTokenizer()
    file = GgufFile(source.path)
    shape = read_shape(file)
    tokens = len(file.array("tokenizer.ggml.tokens"))
    if tokens != shape.vocabulary:
        raise file.error(f"has {tokens} tokens and an embedding of {shape.vocabulary}")
    return Decoder(shape, read_weights(file, shape)), GgufTokenizer(file)
