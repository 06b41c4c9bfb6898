"""Pages of a flash channel: asked for, queued at their banks, sensed, and moved into buffers."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from neardecode.config import Config

__all__ = ["Page", "Pages"]

REGISTER = 1
"""Cycles from a page in its register to its transfer."""
PRESENT = 3
"""Cycles from a transfer to its first beat in the page buffer."""
HIT = 2
"""Cycles from a request's acceptance to its first beat, where its page is in a buffer."""
LONG_AGO, NEVER = -(1 << 60), 1 << 60


@dataclass
class Page:
    """A page that a bank senses once, for all who read it.

    Attributes:
        number: Which page.
        readers: How many still read it.
        served: When the latest of them was done.
        present: When its first beat is in the page buffer; None until that is known.
    """

    number: int
    readers: int = 0
    served: int = LONG_AGO
    present: int | None = None


class Pages:
    """What is asked of one channel, in order, and when each page is there.

    Each time is set as soon as all that it follows from is known; a reader says when it was done
    with a page. Where pages of several banks are ready, the banks take turns on the bus.

    Args:
        config: The configuration.
        until: The cycle up to which pages are given to the bus; by default all that are known are.

    Attributes:
        reads: Pages that were taken and are to be read, each with when it is there at the soonest.
        accepted: When the latest that was taken stood in front of the queues.
        queried: When the one behind it may be taken there.
    """

    def __init__(self, config: Config, until: int = NEVER):
        self._until = until
        flash = config.flash
        self._banks, self._beats = flash.banks, flash.page_beats
        self._sense_cycles = config.sense_cycles
        self.reads: deque[tuple[Page, int]] = deque()
        self.accepted = self.queried = LONG_AGO
        self._asked: deque[tuple[int, int]] = deque()
        # Of each bank when its latest pages were sensed, its two newest pages, those that wait to
        # be sensed with the pages two places before them, and when it and its register are free.
        self._queued = flash.queue_pages - 2
        self._senses: list[deque[int]] = [
            deque([LONG_AGO] * self._queued, self._queued) for _ in range(self._banks)
        ]
        self._newest: list[deque[Page]] = [
            deque([Page(-1), Page(-1)], 2) for _ in range(self._banks)
        ]
        self._waiting: list[deque[tuple[Page, Page, int]]] = [deque() for _ in range(self._banks)]
        self._free = [LONG_AGO] * self._banks
        self._moved = [LONG_AGO] * self._banks
        self._banks_to_look_at: set[int] = set()
        self._orders: deque[int] = deque([LONG_AGO] * (4 * self._banks - 1))
        # By bank its page in the latch and the one that is to cross the bus, each with when it is
        # ready; when the bus is free, and when it was given to which bank.
        self._latched: dict[int, tuple[int, Page]] = {}
        self._crossing: dict[int, tuple[int, Page]] = {}
        self._bus, self._chosen, self._last_bank = LONG_AGO, LONG_AGO, self._banks - 1

    def ask(self, numbers: Sequence[int], asked: int) -> None:
        """Pages one after the other, from a cycle on."""
        self._asked += [(number, asked) for number in numbers]
        self._advance()

    def served(self, page: Page, served: int) -> None:
        """A reader is done with its page, the oldest that is read."""
        page.served = max(page.served, served)
        page.readers -= 1
        self._banks_to_look_at.add(page.number % self._banks)
        self._orders.append(served)
        self._advance()

    def run(self, until: int) -> None:
        """Gives pages to the bus up to a cycle, behind which more of them may be asked for."""
        self._until = until
        self._advance()

    @property
    def left(self) -> int:
        """Pages that were asked for and are not taken."""
        return len(self._asked)

    @property
    def last_free(self) -> int:
        """When the last page that is left stands in front of the queues, if it is the only one."""
        return max(self._asked[-1][1], self.queried)

    @property
    def bus_next(self) -> int:
        """When the next page is chosen for the bus, as far as that is known."""
        if not self._crossing:
            return NEVER
        return max(self._chosen + 1, min(ready for ready, _ in self._crossing.values()))

    def _advance(self) -> None:
        """Takes, senses and moves pages as far as what they wait for is known."""
        while True:
            while self._take_page():
                pass
            while self._banks_to_look_at:
                self._sense(self._banks_to_look_at.pop())
            if not self._crossing or self.bus_next > self._until:
                return
            self._cross()

    def _cross(self) -> None:
        """A page crosses the bus, of the first bank behind the last one's that has any.

        It is chosen as soon as there is one, while the one before it still crosses.
        """
        now = self.bus_next
        bank = min(
            (each for each, (ready, _) in self._crossing.items() if ready <= now),
            key=lambda each: (each - self._last_bank - 1) % self._banks,
        )
        _, page = self._crossing.pop(bank)
        self._chosen = max(now, self._bus)
        self._bus, self._last_bank = self._chosen + self._beats, bank
        self._moved[bank] = self._bus
        page.present = self._chosen + PRESENT
        self._banks_to_look_at.add(bank)

    def _take_page(self) -> bool:
        """The next page goes to its bank's queue, once the page two before it is sensed."""
        if not self._asked or not self._orders:
            return False
        number, asked = self._asked[0]
        bank = number % self._banks
        newest, waiting = self._newest[bank], self._waiting[bank]
        found = next((each for each in newest if each.number == number), None)
        if found is None and len(waiting) == self._queued:
            return False
        accepted = max(asked, self.queried)
        before = LONG_AGO if found is not None else self._senses[bank][len(waiting)]
        self.queried = max(accepted + 1, before + 1, self._orders.popleft() + 1)
        self.accepted = accepted
        page = found or Page(number)
        if found is None:
            waiting.append((page, newest[0], self.queried))
            newest.append(page)
            self._banks_to_look_at.add(bank)
        page.readers += 1
        self.reads.append((page, self.queried - 1 + HIT))
        self._asked.popleft()
        return True

    def _sense(self, bank: int) -> None:
        """A bank's oldest page is sensed, once the page two before it is read; it waits in the
        latch until the register was read."""
        waiting = self._waiting[bank]
        if bank not in self._latched and waiting and not waiting[0][1].readers:
            page, before, queried = waiting.popleft()
            sensed = max(queried + 1, self._free[bank], before.served + 1)
            self._senses[bank].append(sensed)
            self._latched[bank] = sensed + self._sense_cycles - 1, page
        if bank in self._latched and bank not in self._crossing:
            there, page = self._latched.pop(bank)
            moved = max(there, self._moved[bank])
            self._free[bank] = moved + 1
            self._crossing[bank] = moved + REGISTER, page
            self._banks_to_look_at.add(bank)
