"""Parameters of the MAC slices."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from neardecode.config.section import Section, power_of_two

__all__ = ["Compute"]


class Compute(Section):
    """The MAC slice behind a memory port."""

    activation_bits: Annotated[int, Field(ge=4, le=16)] = 12
    """Bits of an element of a block-scaled activation."""
    accumulator_bits: Annotated[int, Field(ge=24, le=64)] = 48
    """Bits of a row's accumulator."""
    fraction_bits: Annotated[int, Field(ge=0, le=48)] = 20
    """Bits of the accumulator behind its binary point."""
    blocks_a_row: Annotated[int, Field(ge=1)] = 1024
    """Most blocks of a row, and the depth of the activation buffer."""
    rows: Annotated[int, Field(ge=1)] = 65536
    """Most rows of a command."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("blocks_a_row", "rows"):
            if not power_of_two(getattr(self, name)):
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if self.term_bits < self.fraction_bits + 2:
            raise ValueError(
                f"accumulator_bits must leave at least 2 integer bits to a block's term,"
                f" but {self.accumulator_bits} bits less {self.blocks_a_row.bit_length() - 1} for"
                f" {self.blocks_a_row} blocks a row less {self.fraction_bits} fraction bits do not"
            )
        return self

    @property
    def term_bits(self) -> int:
        """Bits to which one block's term saturates, so that no sum of a row can overflow."""
        return self.accumulator_bits - (self.blocks_a_row.bit_length() - 1)
