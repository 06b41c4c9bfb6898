"""Parameters of softmax and of the vector arithmetic."""

from math import e, log2
from typing import Annotated, Self

from pydantic import Field, model_validator

from neardecode.config.section import Section

__all__ = [
    "LOG2_E",
    "LOG2_E_BITS",
    "NORM_UNIT_BITS",
    "NORM_WEIGHT_BITS",
    "RECIPROCAL_BITS",
    "SIGMOID_FRACTION_BITS",
    "SIGMOID_MANTISSA_BITS",
    "SIGMOID_WHOLE_BITS",
    "TURN_BITS",
    "Vector",
]

RECIPROCAL_BITS = 16
"""Fraction bits of a reciprocal and of a reciprocal square root."""
NORM_WEIGHT_BITS = 16
"""Bits of a norm's weight, its sign included."""
NORM_UNIT_BITS = 24
"""Fraction bits of an element over the root of the sum of squares, at most 1 in magnitude."""
TURN_BITS = 16
"""Bits of a sine or cosine, its sign included."""
SIGMOID_FRACTION_BITS = 12
"""Fraction bits of an argument of the sigmoid."""
SIGMOID_WHOLE_BITS = 4
"""Bits of it before the binary point; larger ones are clamped."""
SIGMOID_MANTISSA_BITS = 15
"""Bits of the mantissa of a power of two inside the sigmoid."""
LOG2_E_BITS = 14
"""Fraction bits of log2(e)."""
LOG2_E = round(log2(e) * 2**LOG2_E_BITS)
"""log2(e) as an integer."""


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
    norm_elements: Annotated[int, Field(ge=1, le=1 << 20)] = 16384
    """Most elements of a vector that is normalised."""
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
