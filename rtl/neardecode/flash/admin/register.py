"""A register as data: where it stands, and its fields."""

import enum
from dataclasses import dataclass

__all__ = ["Access", "Field", "Register"]


class Access(enum.Enum):
    """Who gives a field its value."""

    CONSTANT = "RO"
    """Nobody: it keeps its reset value."""
    STATUS = "RO, live"
    """The controller."""
    SETTING = "RW"
    """The host."""
    CLEAR = "RW1C"
    """The controller; the host clears bits by writing ones to them."""
    TRIGGER = "WO"
    """Nobody; reads as zero, writing it has an effect."""


@dataclass(frozen=True)
class Field:
    """Bits of a register.

    Attributes:
        name: Its symbol, or a short one of ours.
        low: Its lowest bit in the register.
        width: Its bits.
        access: Who gives its value.
        reset: What a constant is, or a setting after reset.
        legal: What a setting may be; empty for anything.
    """

    name: str
    low: int
    width: int
    access: Access = Access.CONSTANT
    reset: int = 0
    legal: tuple[int, ...] = ()


@dataclass(frozen=True)
class Register:
    """A register; bits that belong to no field read as zero.

    Attributes:
        symbol: Its symbol.
        mmio: Whether it is one of table 16, not of table 15.
        offset: Its byte offset.
        size: Its bytes, read and written four at a time.
        fields: Its fields, none of them across two dwords unless constant.
    """

    symbol: str
    mmio: bool
    offset: int
    size: int
    fields: tuple[Field, ...]
