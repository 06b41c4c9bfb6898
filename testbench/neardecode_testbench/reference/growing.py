"""An array that grows by one position at a time."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["GrowingArray"]

FIRST_CAPACITY = 64


class GrowingArray:
    """A cache of one vector a head and position, each head's positions contiguous.

    Room doubles when it runs out, so that appending costs a constant time on average and a long
    context costs nothing until it is used.

    Parameters:
        size: (heads, ...), what one position holds.
        dtype: the element type.
    """

    def __init__(self, size: tuple[int, ...], dtype: DTypeLike) -> None:
        self._size = size
        self._room: NDArray[Any] = np.empty((size[0], FIRST_CAPACITY, *size[1:]), dtype)
        self._positions = 0

    def __len__(self) -> int:
        return self._positions

    def append(self, values: NDArray[Any]) -> None:
        """Add one position.

        Parameters:
            values: (heads, ...).

        Raises:
            ValueError: if the shape is another.
        """
        if values.shape != self._size:
            raise ValueError(f"values must have shape {self._size}, not {values.shape}")
        if self._positions == self._room.shape[1]:
            self._room = np.concatenate([self._room, np.empty_like(self._room)], axis=1)
        self._room[:, self._positions] = values
        self._positions += 1

    @property
    def array(self) -> NDArray[Any]:
        """All positions so far, (heads, positions, ...), a view that the next append outdates."""
        return self._room[:, : self._positions]
