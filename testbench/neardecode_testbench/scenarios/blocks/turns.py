"""Whose turn it is: the arbiter's rule, on a list."""

from collections.abc import Sequence

__all__ = ["Turns"]


class Turns:
    """Requesters take turns: the first at or after a pointer, which a used turn moves past it.

    A turn that is not used stays with its requester as long as that asks.

    Args:
        width: Requesters.
    """

    def __init__(self, width: int):
        self._width = width
        self._pointer = 0

    def peek(self, asks: Sequence[bool]) -> int:
        """Whose turn it is; somebody must ask."""
        order = [(self._pointer + step) % self._width for step in range(self._width)]
        return next(index for index in order if asks[index])

    def choose(self, asks: Sequence[bool], *, used: bool) -> int:
        """Whose turn it is, and whether that one used it."""
        chosen = self.peek(asks)
        self._pointer = (chosen + used) % self._width
        return chosen
