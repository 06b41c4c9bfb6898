"""A DRAM vault, command by command: when its pages are taken and when their beats leave.

The rules are those of the controller (first ready, first served; rows opened ahead; refresh of idle
banks), written once more on plain numbers. Cycles in which nothing can happen are passed over.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from neardecode.config import Stack, StackCycles
from neardecode_testbench.model.refresh import Refresh, refresh_of

__all__ = ["PageRead", "Vault"]

LONG_AGO = -(1 << 60)
START = 10
"""Cycles after reset in which the TSVs are tested."""
PAGES, WRITES = 0, 2
"""Places of the front's round."""


@dataclass
class PageRead:
    """A run of pages that is asked for.

    Attributes:
        page: The first.
        pages: How many.
        asked: When.
        taken: When the last of them was taken.
        beats: When each beat was taken by the reader.
        takes: Whether the reader takes a beat in a cycle; it always does where there is none.
    """

    page: int
    pages: int
    asked: int
    taken: int = -1
    beats: list[int] = field(default_factory=list)
    takes: Callable[[int], bool] | None = None


class _Access:
    """An access in the queue."""

    __slots__ = ("bank", "beat", "end", "left", "place", "row", "write")

    def __init__(self, write: bool, bank: int, row: int, beat: int, left: int, place: int):
        self.write, self.bank, self.row = write, bank, row
        self.beat, self.left, self.place = beat, left, place


class Vault:
    """The vault of a memory; times are cycles since reset.

    Args:
        stack: The section.
        cycles: Its timings.
    """

    def __init__(self, stack: Stack, cycles: StackCycles):
        self.stack, self.cycles = stack, cycles
        banks, groups = stack.banks, stack.bank_groups
        self._groups, self._beats = groups, stack.page_beats
        self.open_rows = [-1] * banks
        self.to_activate = [LONG_AGO] * banks
        self.refreshing = [LONG_AGO] * banks
        self.to_precharge = [LONG_AGO] * banks
        self.to_column = [LONG_AGO] * banks
        self._to_group = [LONG_AGO] * groups
        self._to_next = self._to_read = self._to_write = LONG_AGO
        self._fourth = deque([LONG_AGO] * 4, maxlen=4)
        self._to_any = LONG_AGO
        self._queue: list[_Access] = []
        self._passed = 0
        self.last_bank = 0
        self._refresh: Refresh = refresh_of(stack, cycles, START)
        # The front.
        self.urgent: deque[PageRead] = deque()
        self.tables: deque[PageRead] = deque()
        self.attends: deque[PageRead] = deque()
        self._readers = (self.urgent, self.tables, self.attends)
        self._writes: deque[tuple[int, int, int]] = deque()
        self._held: PageRead | None = None
        self._done = 0
        self._turn = 0
        self._written = -1
        # The read buffer: places given, the orders and when each place is filled.
        self._free = stack.buffer_beats
        self._orders: deque[tuple[PageRead, int, int]] = deque()
        self._filled: deque[int] = deque()
        self._first_place = self._next_place = 0
        self._order_beat = 0
        self._out: PageRead | None = None
        self.now = 0
        self.changed = False

    @property
    def window(self) -> int:
        """When a row may be opened as far as all banks together let it."""
        return max(self._to_any, self._fourth[0] + self.cycles.faw)

    # What is asked.

    def run_out(self, request: PageRead) -> None:
        """Goes on until all beats of a run were taken."""
        while len(request.beats) < request.pages * self._beats:
            self.step(self.now + 1)

    def write(self, asked: int, page: int, beat: int) -> int:
        """When a beat that is offered is taken."""
        self._writes.append((asked, page, beat))
        self._written = -1
        while self._written < 0:
            self.step(asked)
        return self._written

    def run(self, until: int) -> None:
        """Goes on to a cycle, which is not simulated yet."""
        while self.now < until:
            self.step(until)

    def step(self, horizon: int) -> None:
        """A cycle, or as many as pass before anything is asked, up to a horizon."""
        if not (self._queue or self._orders or self._out):
            # Until then there is nothing but refresh.
            arrives = min(
                horizon,
                horizon,
                *(each[0].asked for each in self._readers if each),
                *(each[0] for each in list(self._writes)[:1]),
            )
            if arrives > self.now:
                self._refresh.alone(self, self.now, arrives)
                self.now = arrives
                return
        self.tick(self.now)

    def tick(self, now: int) -> None:
        """One cycle."""
        refresh, queue = self._refresh, self._queue
        room = len(queue) < self.stack.queue
        fits = self._free >= self._beats and len(self._orders) < 2 * self.stack.queue
        self._give(now)
        refresh.begin_cycle(now)
        row = column = None
        wanted = 0
        if queue:
            wanted = self._wanted()
            row, column = self._choose(now)
        given = row is None or refresh.urgent
        if row is not None and not given:
            self._give_row(now, row)
        refresh.end_cycle(self, now, wanted, given)
        taken = self._front(now, fits) if room and now >= START else None
        if column is not None:
            self._give_column(now, column)
        if taken is not None:
            queue.append(taken)
        self.now = now + 1

    @property
    def waits_only(self) -> bool:
        """Nothing is asked for, and no command is to be given."""
        return not (self._queue or self._writes or any(self._readers))

    def next_event(self, now: int) -> int:
        """The next cycle in which something may happen of itself, where it only waits."""
        times = [self._refresh.next_event(self, now)]
        if self._filled and self._filled[0] > now and self._out is None:
            times.append(self._filled[0])
        return min(times)

    # Commands.

    def _wanted(self) -> int:
        """Banks that some access still has beats in."""
        groups, wanted = self._groups, 0
        for access in self._queue:
            wanted |= self._wants(access) << access.bank * groups
        return wanted

    def _wants(self, access: _Access) -> int:
        groups = self._groups
        if access.left >= groups - 1:
            return (1 << groups) - 1
        first = access.beat % groups
        mask = (1 << access.left + 1) - 1 << first
        return (mask | mask >> groups) & (1 << groups) - 1

    def _choose(self, now: int) -> tuple[tuple[int, int] | None, _Access | None]:
        """The row command and the access whose beat goes, if any."""
        queue, groups = self._queue, self._groups
        starved = self._passed >= self.stack.starvation_beats
        blocked = self._refresh.blocked
        open_rows, window = self.open_rows, self.window <= now and not self._refresh.drains
        reads, writes = self._to_read <= now, self._to_write <= now
        follows = self._to_next <= now
        column: _Access | None = None
        row: tuple[int, int] | None = None
        pages: set[tuple[int, int]] = set()
        claimed: dict[int, int] = {}
        write_seen = False
        frees: list[bool] = []
        for place, access in enumerate(queue):
            key = access.bank, access.row
            free = key not in pages and not (access.write and write_seen)
            frees.append(free)
            pages.add(key)
            write_seen |= access.write
            group = access.beat % groups
            bank = access.bank * groups + group
            if (
                column is None
                and free
                and follows
                and (writes if access.write else reads)
                and (place == 0 or not starved)
                and open_rows[bank] == access.row
                and self.to_column[bank] <= now
                and self._to_group[group] <= now
                and not blocked >> bank & 1
            ):
                column = access
        for place, access in enumerate(queue):
            if row is not None:
                break
            wants = self._wants(access) & ~claimed.get(access.bank, 0)
            claimed[access.bank] = claimed.get(access.bank, 0) | self._wants(access)
            group = 0
            while wants:
                if wants & 1:
                    bank = access.bank * groups + group
                    if not blocked >> bank & 1:
                        if open_rows[bank] < 0:
                            if window and self.to_activate[bank] <= now:
                                row = bank, access.row
                                break
                        elif (
                            open_rows[bank] != access.row
                            and self.to_precharge[bank] <= now
                            and not self._keeps(place, bank, group, frees, starved)
                        ):
                            row = bank, -1
                            break
                wants >>= 1
                group += 1
        return row, column

    def _keeps(self, place: int, bank: int, group: int, frees: list[bool], starved: bool) -> bool:
        """Whether a younger access has its next beat in the row that is open."""
        if starved:
            return False
        row = self.open_rows[bank]
        return any(
            other.bank == bank // self._groups
            and other.row == row
            and frees[number]
            and other.beat % self._groups == group
            for number, other in enumerate(self._queue[place + 1 :], place + 1)
        )

    def _give_row(self, now: int, command: tuple[int, int]) -> None:
        bank, row = command
        if row < 0:
            self.precharge(bank, now)
            return
        cycles = self.cycles
        self.open_rows[bank] = row
        self.to_activate[bank] = max(self.to_activate[bank], now + cycles.rc)
        self.to_precharge[bank] = max(self.to_precharge[bank], now + cycles.ras)
        self.to_column[bank] = max(self.to_column[bank], now + cycles.rcd)
        self._to_any = max(self._to_any, now + cycles.rrd)
        self._fourth.append(now)

    def precharge(self, bank: int, now: int) -> None:
        """A bank's row is closed."""
        self.open_rows[bank] = -1
        self.to_activate[bank] = max(self.to_activate[bank], now + self.cycles.rp)

    def refreshed(self, now: int, cycles: int, banks: list[int], gap: int) -> None:
        """Banks are refreshed from a cycle on."""
        for bank in banks:
            self.to_activate[bank] = max(self.to_activate[bank], now + cycles)
            self.refreshing[bank] = now + cycles
        self._to_any = max(self._to_any, now + gap)

    def _give_column(self, now: int, access: _Access) -> None:
        cycles, groups, queue = self.cycles, self._groups, self._queue
        group = access.beat % groups
        bank = access.bank * groups + group
        self._to_next = now + cycles.ccd_s
        self._to_group[group] = now + cycles.ccd_l
        if access.write:
            self.to_precharge[bank] = max(self.to_precharge[bank], now + cycles.write_to_precharge)
            self._to_read = max(self._to_read, now + cycles.write_to_read)
        else:
            self.to_precharge[bank] = max(self.to_precharge[bank], now + cycles.rtp)
            self._to_write = max(self._to_write, now + cycles.read_to_write)
            self._filled[access.place - self._first_place] = now + cycles.cl + 1
        self.last_bank = access.bank
        if queue[0] is access:
            self._passed = 0
        elif not self._waits_for_refresh(now):
            self._passed = min(self._passed + 1, self.stack.starvation_beats)
        access.beat += 1
        access.left -= 1
        access.place += 1
        if access.left < 0:
            queue.remove(access)

    def _waits_for_refresh(self, now: int) -> bool:
        """Whether the oldest access waits for one."""
        oldest = self._queue[0]
        bank = oldest.bank * self._groups + oldest.beat % self._groups
        return self.refreshing[bank] > now or bool(self._refresh.blocked >> bank & 1)

    # Front and read buffer.

    def _front(self, now: int, fits: bool) -> _Access | None:
        """What is taken in this cycle, if anything."""
        request = self._held
        if request is None:
            for reader in self._readers:
                if reader and reader[0].asked <= now:
                    request = reader[0]
                    break
        self._held = request
        stack, beats = self.stack, self._beats
        reads = request is not None and fits
        writes = bool(self._writes) and self._writes[0][0] <= now
        if not reads and not writes:
            return None
        if reads and (not writes or self._turn == PAGES):
            assert request is not None
            page = request.page + self._done
            self._done += 1
            place = self._next_place
            self._next_place += beats
            self._free -= beats
            self._filled.extend([1 << 60] * beats)
            self._orders.append((request, now + 1, beats))
            if self._done == request.pages:
                request.taken, self._done, self._held = now, 0, None
                for reader in self._readers:
                    if reader and reader[0] is request:
                        reader.popleft()
                        break
            self._turn = WRITES
            row, bank = divmod(page, stack.banks_a_group)
            return _Access(False, bank, row, 0, beats - 1, place)
        _, page, beat = self._writes.popleft()
        self._written = now
        self._turn = PAGES
        row, bank = divmod(page, stack.banks_a_group)
        return _Access(True, bank, row, beat, 0, 0)

    def _give(self, now: int) -> None:
        """A beat leaves the output, another comes to it."""
        out = self._out
        if out is not None:
            if out.takes is not None and not out.takes(now):
                return
            out.beats.append(now)
            self._out = None
            self.changed = True
        if self._orders and self._orders[0][1] <= now and self._filled and self._filled[0] <= now:
            request, open_, left = self._orders.popleft()
            self._filled.popleft()
            self._first_place += 1
            self._free += 1
            self._out = request
            self.changed = True
            if left > 1:
                self._orders.appendleft((request, open_, left - 1))
