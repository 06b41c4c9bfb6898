"""Tables of straight lines, which hardware and reference each evaluate for themselves.

A function of a fraction is cut into equal segments. In each it is ``base + slope * low``, with
``low`` the fraction's bits below those that choose the segment, rounded down once. Slopes are the
segments' own, and bases make the largest error of a segment least.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import floor

__all__ = [
    "LineTable",
    "power_table",
    "reciprocal_root_table",
    "reciprocal_table",
]


@dataclass(frozen=True)
class LineTable:
    """``(bases[high] << drop) + slopes[high] * low >> drop``, floor, for an integer argument.

    The argument has ``index_bits + low_bits`` bits: ``high`` above ``low``.
    """

    index_bits: int
    low_bits: int
    drop: int
    """Bits of a slope's product behind a base's last one."""
    bases: tuple[int, ...]
    slopes: tuple[int, ...]

    @property
    def argument_bits(self) -> int:
        """Bits of an argument."""
        return self.index_bits + self.low_bits


def _fit(
    function: Callable[[float], float],
    index_bits: int,
    low_bits: int,
    value_bits: int,
    drop: int,
    middle: float,
) -> LineTable:
    """Lines through a function of [0, 1), in units of ``2 ** -value_bits``.

    An argument stands for its integer and ``middle`` of its last place.
    """
    bases, slopes = [], []
    lows = range(1 << low_bits)
    for high in range(1 << index_bits):
        exact = [
            function((high * len(lows) + low + middle) / (len(lows) << index_bits)) * 2**value_bits
            for low in lows
        ]
        steepness = (exact[-1] - exact[0]) / max(len(lows) - 1, 1) * 2**drop
        best: tuple[float, int, int] | None = None
        for slope in (floor(steepness), floor(steepness) + 1):
            errors = [value - (slope * low >> drop) for low, value in zip(lows, exact, strict=True)]
            base = floor((max(errors) + min(errors)) / 2 + 0.5)
            error = max(max(errors) - base, base - min(errors))
            if best is None or error < best[0]:
                best = (error, base, slope)
        assert best is not None
        bases.append(best[1])
        slopes.append(best[2])
    return LineTable(index_bits, low_bits, drop, tuple(bases), tuple(slopes))


@cache
def power_table(fraction_bits: int, mantissa_bits: int) -> LineTable:
    """What ``1 + f`` is above ``2 ** f``, in units of ``2 ** -(mantissa_bits + 1)``.

    ``f`` has ``fraction_bits``. 16 segments, 32 where the mantissa has more than 12 bits. The
    difference is at most 0.0861, so its table is narrow and its slopes take few bits.
    """
    index_bits = 4 if mantissa_bits <= 12 else 5
    low_bits = fraction_bits - index_bits
    table = _fit(
        lambda f: 1 + f - 2.0**f,
        index_bits,
        low_bits,
        mantissa_bits + 1,
        # A slope's unit is 2 ** -(mantissa_bits - 1) a unit of f.
        max(low_bits - 2, 0),
        0.0,
    )
    # Two units are half of a mantissa's last place: with more, 2 ** 0 would be rounded below 1.
    return replace(table, bases=(min(table.bases[0], 2), *table.bases[1:]))


@cache
def reciprocal_table(value_bits: int) -> LineTable:
    """``1 / z`` for z in [1, 2), of whose fraction ``value_bits`` are given, 64 segments."""
    return _fit(lambda f: 1 / (1 + f), 6, value_bits - 6, value_bits, value_bits - 8, 0.5)


@cache
def reciprocal_root_table(value_bits: int) -> LineTable:
    """``z ** -0.5`` for z in [1, 4), 64 segments for [1, 2) and as many for [2, 4).

    The argument's top bit says which; below it are the ``value_bits`` of z's fraction after its
    own top bit.
    """

    def root(f: float) -> float:
        return (1 + 2 * f) ** -0.5 if f < 0.5 else (4 * f) ** -0.5

    return _fit(root, 7, value_bits - 6, value_bits, value_bits - 8, 0.5)
