"""Which bit is set, and the lowest of them alone."""

from amaranth.hdl import Cat, Value
from amaranth.utils import ceil_log2

__all__ = ["first_set", "one_hot_index"]


def first_set(bits: Value) -> Value:
    """The lowest bit that is set, alone."""
    return (bits & -bits)[: len(bits)]


def one_hot_index(mask: Value) -> Value:
    """The index of the one bit of a mask that is set; zero where none is."""
    width = len(mask)
    return Cat(
        (mask & sum(1 << index for index in range(width) if index >> bit & 1)).any()
        for bit in range(ceil_log2(width))
    )
