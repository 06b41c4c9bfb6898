"""How many bits are set."""

from amaranth.hdl import Value

__all__ = ["ones"]


def ones(bits: Value) -> Value:
    """The number of ones, by a tree of sums."""
    sums = list(bits)
    while len(sums) > 1:
        odd = sums[len(sums) & ~1 :]
        sums = [a + b for a, b in zip(sums[::2], sums[1::2], strict=False)] + odd
    return sums[0]
