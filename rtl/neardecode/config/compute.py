"""Parameters of the MAC slices."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat
from neardecode.config.section import Section, power_of_two

__all__ = ["TAG_BITS", "Compute", "FormatName"]

TAG_BITS = 16
"""Bits of the tag that a command carries and its results return."""

FormatName = Literal["Q4_0", "Q4_1", "Q8_0", "MXINT8", "MXFP4"]
"""A `BlockFormat` by its name."""


def _as_tuple(names: object) -> object:
    # TOML has lists only, and a frozen section holds none.
    return tuple(names) if isinstance(names, list) else names


class Compute(Section):
    """The MAC slice behind a memory port."""

    formats: Annotated[tuple[FormatName, ...], BeforeValidator(_as_tuple), Field(min_length=1)] = (
        "MXINT8",
    )
    """Block formats that a slice multiplies; a command names one of them."""
    vectors: Annotated[int, Field(ge=1, le=8)] = 1
    """Activation vectors that every beat is multiplied by at once."""
    head_elements: Annotated[int, Field(ge=0, le=1024)] = 0
    """Accumulators a vector, for probabilities times V; 0 leaves the mode out."""
    selection: bool = False
    """A command can name the pages that matter; the others are not read."""
    skip_zeros: bool = False
    """A command can name pages that leave out beats of zeros, and their time."""
    commands_ahead: Annotated[int, Field(ge=2, le=64)] = 4
    """Commands whose pages may be asked for before the first of them is done."""
    clock_divider: Literal[1, 2, 4] = 1
    """The slice moves in one of so many cycles."""
    near_memory: bool = True
    """Slices lie beside their memory; otherwise across the stack's edge, as a central array."""
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
        if len(set(self.formats)) < len(self.formats):
            raise ValueError(f"formats must differ, not {', '.join(self.formats)}")
        if self.head_elements:
            if "MXINT8" not in self.formats:
                raise ValueError("head_elements must be 0 where MXINT8 is not among the formats")
            if not power_of_two(self.head_elements) or self.head_elements < BLOCK_ELEMENTS:
                raise ValueError(
                    f"head_elements must be a power of two of at least {BLOCK_ELEMENTS},"
                    f" not {self.head_elements}"
                )
            if self.sum_term_bits < self.fraction_bits + 2:
                raise ValueError(
                    f"accumulator_bits must leave at least 2 integer bits to a row's term of a"
                    f" sum, but {self.accumulator_bits} bits less {self.row_bits} for {self.rows}"
                    f" rows less {self.fraction_bits} fraction bits do not"
                )
        if self.term_bits - ("Q4_1" in self.formats) < self.fraction_bits + 2:
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

    @property
    def sum_term_bits(self) -> int:
        """Bits to which a row's term of a sum over rows saturates: `rows` of them fit."""
        return self.accumulator_bits - self.row_bits

    @property
    def result_bits(self) -> int:
        """Bits of a result: row, a value and a flag a vector, error and tag."""
        return self.row_bits + self.vectors * (self.accumulator_bits + 1) + 1 + TAG_BITS

    @property
    def row_bits(self) -> int:
        """Bits of a row's number."""
        return self.rows.bit_length() - 1

    @property
    def block_formats(self) -> tuple[BlockFormat, ...]:
        """The formats themselves, in the order of their values."""
        return tuple(sorted((BlockFormat[name] for name in self.formats), key=lambda f: f.value))
