"""Points that no other beats in everything."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["OBJECTIVES", "pareto_front"]

OBJECTIVES = {
    "tokens_a_second": max,
    "joules": min,
    "memory_usd": min,
    "tsv_mm2": min,
}
"""What is looked for in each figure of a point."""


def pareto_front(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[int]:
    """Which rows are not beaten.

    One beats another if it is nowhere worse and somewhere better.

    Args:
        rows: With a number for each name.
        names: Keys of `OBJECTIVES`.
    """
    signs = [1 if OBJECTIVES[name] is min else -1 for name in names]
    points = [
        tuple(sign * row[name] for sign, name in zip(signs, names, strict=True)) for row in rows
    ]
    return [
        number
        for number, point in enumerate(points)
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points
        )
    ]
