"""Parameters of softmax and of the vector arithmetic."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from neardecode.config.section import Section

__all__ = ["RECIPROCAL_BITS", "Vector"]

RECIPROCAL_BITS = 16
"""Fraction bits of a reciprocal and of a reciprocal square root."""


class Vector(Section):
    """Fixed point of softmax, norms, rotation and gate."""

    score_bits: Annotated[int, Field(ge=8, le=32)] = 20
    """Bits of a score that enters softmax, its sign included."""
    score_fraction_bits: Annotated[int, Field(ge=6, le=12)] = 10
    """Bits of a score behind its binary point; a score is a power of two."""
    sum_fraction_bits: Annotated[int, Field(ge=16, le=30)] = 24
    """Bits of a softmax's sum behind its binary point."""
    tile_rows: Annotated[int, Field(ge=1, le=4096)] = 128
    """Most scores of a softmax's tile; two fit its buffer."""
    tokens: Annotated[int, Field(ge=1, le=1 << 24)] = 65536
    """Most probabilities that a sum is made of."""
    word_bits: Annotated[int, Field(ge=16, le=32)] = 32
    """Bits of a vector's word, its sign included."""
    word_fraction_bits: Annotated[int, Field(ge=8, le=30)] = 20
    """Bits of a word behind its binary point."""
    residual_fraction_bits: Annotated[int, Field(ge=8, le=20)] = 13
    """Bits of a word of the residual stream behind its binary point."""
    gated_fraction_bits: Annotated[int, Field(ge=8, le=30)] = 16
    """Bits of a product of gate and up behind its binary point."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.score_bits < self.score_fraction_bits + 2:
            raise ValueError(
                f"score_bits must be at least {self.score_fraction_bits + 2}, the fraction bits"
                f" and two, not {self.score_bits}"
            )
        for name in ("word_fraction_bits", "residual_fraction_bits", "gated_fraction_bits"):
            if getattr(self, name) > self.word_bits - 2:
                raise ValueError(
                    f"{name} must be at most {self.word_bits - 2}, not {getattr(self, name)}"
                )
        return self

    @property
    def sum_bits(self) -> int:
        """Bits of a softmax's sum: no probability is above 1, so no sum overflows."""
        return self.sum_fraction_bits + self.tokens.bit_length()

    @property
    def maximum_bits(self) -> int:
        """Bits of the running maximum, an integer, its sign included."""
        return self.score_bits - self.score_fraction_bits
