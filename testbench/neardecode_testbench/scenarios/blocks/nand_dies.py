"""When the banks of the NAND core dies are ready, from when they were told what.

For the n-th page of a bank, sensed in cycle q and asked for in cycle t, with P beats a page:

- ``page_ready`` and ``sense_ready`` rise in ``max(q(n) + tR, t(n - 1) + P + 1)``: once it is
  sensed and the page before it has left the register;
- ``page_ready`` falls, and a sense may follow, as the transfer or the sense is taken;
- the bus takes a transfer P cycles after the one before it, at the earliest;
- the storage is read in cycles ``t + 1`` to ``t + P`` and the beats are on the bus a cycle later.
"""

from collections import deque
from dataclasses import dataclass, field

__all__ = ["DiesModel"]


@dataclass
class _Bank:
    """A bank: pages sensed and not yet asked for, as (sensed, row), and the last transfer."""

    pages: deque[tuple[int, int]] = field(default_factory=deque)
    transferred: int | None = None


class DiesModel:
    """When banks are ready, from when they were told to sense and to transfer.

    Args:
        banks, page_beats, sense_cycles: As the dies'.
    """

    def __init__(self, banks: int, page_beats: int, sense_cycles: int):
        self._banks = [_Bank() for _ in range(banks)]
        self._page_beats = page_beats
        self._sense_cycles = sense_cycles
        self._last_transfer: int | None = None

    def _ready_from(self, bank: _Bank) -> int:
        sensed = bank.pages[0][0] + self._sense_cycles
        if bank.transferred is None:
            return sensed
        return max(sensed, bank.transferred + self._page_beats + 1)

    def page_ready(self, cycle: int) -> list[bool]:
        """Banks with a page in their register."""
        return [bool(bank.pages) and cycle >= self._ready_from(bank) for bank in self._banks]

    def sense_ready(self, cycle: int) -> list[bool]:
        """Banks whose latch is free."""
        return [
            not bank.pages or (len(bank.pages) == 1 and cycle >= self._ready_from(bank))
            for bank in self._banks
        ]

    def free(self, cycle: int) -> list[bool]:
        """Banks that neither sense, hold a page nor have theirs read."""
        return [
            not bank.pages
            and (bank.transferred is None or cycle > bank.transferred + self._page_beats)
            for bank in self._banks
        ]

    def reading(self, cycle: int) -> bool:
        """Whether a page is read for the bus."""
        return self._last_transfer is not None and cycle <= self._last_transfer + self._page_beats

    def transfer_ready(self, cycle: int) -> bool:
        """Whether the bus takes a transfer."""
        return self._last_transfer is None or cycle >= self._last_transfer + self._page_beats

    def sense(self, cycle: int, bank: int, row: int) -> None:
        """A sense was taken."""
        self._banks[bank].pages.append((cycle, row))

    def transfer(self, cycle: int, bank: int) -> int:
        """A transfer was taken; the row of its page."""
        self._banks[bank].transferred = self._last_transfer = cycle
        return self._banks[bank].pages.popleft()[1]
