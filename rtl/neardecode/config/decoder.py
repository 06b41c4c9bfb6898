"""Parameters of the token decoder."""

from math import e, log2, sqrt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neardecode.config.formats import BLOCK_ELEMENTS
from neardecode.config.section import Section, power_of_two
from neardecode.config.vector import TURN_BITS

__all__ = ["KEY_TURN_FRACTION_BITS", "Decoder"]

KEY_TURN_FRACTION_BITS = TURN_BITS - 2
"""Fraction bits of a key's sines and cosines."""


class Decoder(Section):
    """What runs a model's program: sequencer, vector unit and their memories."""

    lanes: Annotated[int, Field(ge=2, le=BLOCK_ELEMENTS)] = 16
    """Words that the vector unit takes in a cycle."""
    width: Annotated[int, Field(ge=1)] = 1024
    """Most elements of the residual stream."""
    words: Annotated[int, Field(ge=1)] = 4096
    """Most results of a matrix that are kept; gate and up together are one matrix."""
    activation_blocks: Annotated[int, Field(ge=1)] = 64
    """Most blocks of a vector that slices multiply with."""
    descriptors: Annotated[int, Field(ge=2)] = 1024
    """Most descriptors of a program."""
    group: Annotated[int, Field(ge=1, le=8)] = 3
    """Query heads that share a KV head."""
    head_elements: Annotated[int, Field(ge=BLOCK_ELEMENTS)] = 64
    """Elements of a head."""
    table_beats: Annotated[int, Field(ge=1)] = 64
    """Beats of norms' weights that are read ahead."""
    prefetch: Annotated[int, Field(ge=1, le=64)] = 4
    """Matrices whose weights are asked for, from the one in work on."""
    sequences: Annotated[int, Field(ge=1, le=8)] = 1
    """Sequences that are decoded side by side: a weight is read once for all of them."""
    split: Literal["context", "heads"] = "context"
    """What of the attention chips share: each head's tokens, or the KV heads."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("lanes", "width", "words", "activation_blocks", "descriptors", "table_beats"):
            if not power_of_two(getattr(self, name)):
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if not power_of_two(self.head_elements):
            raise ValueError(f"head_elements must be a power of two, not {self.head_elements}")
        for name in ("width", "words"):
            if getattr(self, name) < self.lanes:
                raise ValueError(f"{name} must be at least {self.lanes}, the lanes")
        return self

    @property
    def query_turn_fraction_bits(self) -> int:
        """Fraction bits of a query's sines and cosines, times log2(e) / sqrt(head size)."""
        scale = log2(e) / sqrt(self.head_elements)
        limit = (1 << TURN_BITS - 1) - 1
        return max(bits for bits in range(31) if scale * 2.0**bits <= limit)

    @property
    def partials(self) -> int:
        """Most results of a matrix that are kept for an exchange between chips."""
        return max(self.width, self.words // 2)

    @property
    def transfers(self) -> int:
        """Transfers of the vector unit in the longer of its memories."""
        return max(self.words, self.width) // self.lanes

    @property
    def head_transfers(self) -> int:
        """Transfers of the vector unit a head."""
        return self.head_elements // self.lanes
