"""Ranges, and values of them drawn so that none is left out by chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["CONTEXTS", "TIMES_US", "dealt"]

TIMES_US = (1.0, 20.0)
"""tR, from end to end."""
CONTEXTS = (16, 2048)
"""Rows that are attended to, from end to end."""


def dealt(random: np.random.Generator, values: Sequence[Any], count: int) -> list[Any]:
    """So many of some values: the ends first, then the others, and round again, shuffled."""
    between = [values[1 + place] for place in random.permutation(len(values) - 2)]
    order = [values[0], values[-1], *between]
    found = [order[number % len(order)] for number in range(count)]
    return [found[place] for place in random.permutation(count)]
