"""What a vault does in every cycle, from its rules: lists and times, no counters and no masks."""

from dataclasses import dataclass, field

from numpy.typing import NDArray

from neardecode.config import Stack, StackCycles, VaultCause

__all__ = ["Asked", "VaultModel"]

NEVER = -(10**9)
START = 10
"""Cycles of the lane test."""


@dataclass(frozen=True)
class Asked:
    """A page (`beat` is None), a beat, or a beat to write (`data` is not None)."""

    page: int
    beat: int | None = None
    tag: int = 0
    data: bytes | None = None
    strobe: int = 0


@dataclass
class _Access:
    write: bool
    bank: int
    row: int
    beat: int
    left: int
    place: int
    asked: Asked


@dataclass
class _Bank:
    row: int | None = None
    activate_from: int = NEVER
    close_from: int = NEVER
    column_from: int = NEVER
    refreshing_until: int = NEVER
    owed: int = 0


@dataclass
class VaultModel:
    """A vault with its DRAM.

    Attributes:
        config: The stack section of a configuration.
        cycles: Its timings.
        memory: (pages, bytes); written as the vault writes it.
        hot: Refresh runs at twice the rate.
    """

    config: Stack
    cycles: StackCycles
    memory: NDArray
    hot: bool = False
    beats: list[tuple[bytes, int, int, int, int]] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)
    commands: list[tuple[int, str, int]] = field(default_factory=list)

    def __post_init__(self):
        config = self.config
        self.banks = [_Bank() for _ in range(config.banks)]
        self.queue: list[_Access] = []
        self.now = 0
        self.activates = [NEVER] * 4
        self.window_from = NEVER
        self.column_from = self.read_from = self.write_from = NEVER
        self.group_from = [NEVER] * config.bank_groups
        self.interval = 0
        self.owed = 0
        self.since = 0
        self.target: int | None = None
        self.last_bank = 0
        self.passed = 0
        self.pointer = 0
        self.done = 0
        self.free, self.next_place = config.buffer_beats, 0
        self.orders: list[tuple[int, Asked, bool, int]] = []
        self.delivered = 0
        self.filled: dict[int, tuple[int, bytes]] = {}
        self.written: list[int] = []
        self.output: tuple[bytes, int, int, int, int] | None = None
        self.causes = {cause.name: 0 for cause in VaultCause}

    def cycle(self, offers: dict[str, Asked | None], run: int, taken: bool) -> str | None:
        """One cycle.

        Args:
            offers: What stands at ``requests`` (the run's first page), ``reads``, ``writes``.
            run: Pages of the run at ``requests``.
            taken: Whether the reader takes a beat if there is one.

        Returns:
            The input of which a page or a beat was taken; `ran_out` says if it was a run's last.
        """
        now, queue = self.now, list(self.queue)
        enabled = now >= START
        wanted = {bank for access in queue for bank in self._wants(access)}
        blocked, drains, refresh, urgent = self._refresh(wanted, queue)
        column = self._column(queue, blocked)
        row = self._row(queue, blocked, drains)
        command, by_refresh = (refresh, True) if urgent or row is None else (row, False)
        self.ran_out = False
        source = self._accept(offers, run, queue, enabled)
        held = source is None and any(offers.values())

        if column is not None:
            cause = "BUSY"
        elif not enabled:
            cause = "LANES"
        elif queue:
            cause = self._cause(queue[0], blocked)
        elif held or (self.output is not None and not taken):
            cause = "OUTPUT"
        else:
            cause = "IDLE"
        self.causes[cause] += 1
        refreshing = bool(queue) and self._cause(queue[0], blocked) == "REFRESH"
        self._deliver(taken)
        self._pass_time(enabled, refresh, by_refresh, command, blocked, wanted)
        if command is not None:
            self._give_row(*command)
        if column is not None:
            overtakes = column is not queue[0]
            if not overtakes:
                self.passed = 0
            elif self.passed < self.config.starvation_beats and not refreshing:
                self.passed += 1
            self._give_column(column)
        self.now += 1
        return source

    # What the accesses want.

    def _number(self, access: _Access, group: int) -> int:
        return access.bank * self.config.bank_groups + group

    def _wants(self, access: _Access) -> list[int]:
        """The banks of the beats that an access still has."""
        groups = self.config.bank_groups
        beats = range(access.beat, access.beat + min(groups, access.left + 1))
        return sorted({self._number(access, beat % groups) for beat in beats})

    def _next(self, access: _Access) -> int:
        return self._number(access, access.beat % self.config.bank_groups)

    def _hits(self, access: _Access, bank: int) -> bool:
        return self.banks[bank].row == access.row

    def _goes(self, queue: list[_Access], place: int) -> bool:
        """Nothing older has to go first."""
        access = queue[place]
        return not any(
            (other.bank, other.row) == (access.bank, access.row) or (other.write and access.write)
            for other in queue[:place]
        )

    def _starved(self) -> bool:
        return self.passed == self.config.starvation_beats

    def _column(self, queue: list[_Access], blocked: set[int]) -> _Access | None:
        for place, access in enumerate(queue):
            bank = self._next(access)
            turned = self.write_from if access.write else self.read_from
            group = access.beat % self.config.bank_groups
            if (
                self._goes(queue, place)
                and self._hits(access, bank)
                and bank not in blocked
                and self.now
                >= max(
                    self.banks[bank].column_from, self.group_from[group], self.column_from, turned
                )
                and (place == 0 or not self._starved())
            ):
                return access
        return None

    def _row(self, queue: list[_Access], blocked: set[int], drains: bool):
        for place, access in enumerate(queue):
            claimed = {bank for older in queue[:place] for bank in self._wants(older)}
            held = {
                self._next(queue[other])
                for other in range(place + 1, len(queue))
                if not self._starved()
                and self._goes(queue, other)
                and self._hits(queue[other], self._next(queue[other]))
            }
            for bank in self._wants(access):
                state = self.banks[bank]
                if bank in claimed or bank in blocked:
                    continue
                if state.row is None:
                    opens = max(state.activate_from, self.window_from)
                    if self.now >= max(opens, self.activates[0] + self.cycles.faw) and not drains:
                        return ("ACTIVATE", bank, access.row)
                elif state.row != access.row and bank not in held and self.now >= state.close_from:
                    return ("PRECHARGE", bank, 0)
        return None

    def _cause(self, access: _Access, blocked: set[int]) -> str:
        bank = self._next(access)
        state = self.banks[bank]
        if self.now < state.refreshing_until or bank in blocked:
            return "REFRESH"
        if (
            not self._hits(access, bank)
            if state.row is not None
            else self.now < state.activate_from
        ):
            return "CONFLICT"
        if state.row is None or self.now < state.column_from:
            return "ACTIVATE"
        if self.now < (self.write_from if access.write else self.read_from):
            return "TURNAROUND"
        return "COLUMN"

    # Refresh.

    def _refresh(self, wanted: set[int], queue: list[_Access]):
        """Banks kept from accesses, whether rows stay closed, the command wanted, its urgency."""
        config = self.config
        if config.refresh == "all-bank":
            must = self.owed >= config.postponed
            pays = self.since == self.cycles.ras or (self.owed > 0 and not queue)
            if not pays:
                return set(), must, None, False
            command = None
            if any(bank.row is not None for bank in self.banks):
                if all(bank.row is None or self.now >= bank.close_from for bank in self.banks):
                    command = ("PRECHARGE_ALL", 0, 0)
            elif all(self.now >= bank.activate_from for bank in self.banks):
                command = ("REFRESH_ALL", 0, 0)
            return set(range(config.banks)), must, command, True
        if self.target is None:
            return set(), False, None, False
        state = self.banks[self.target]
        command = None
        if state.row is not None:
            if self.now >= state.close_from:
                command = ("PRECHARGE", self.target, 0)
        elif self.now >= max(
            state.activate_from, self.window_from, self.activates[0] + self.cycles.faw
        ):
            command = ("REFRESH_BANK", self.target, 0)
        return {self.target}, False, command, state.owed >= config.postponed

    def _pass_time(self, enabled, refresh, by_refresh, command, blocked, wanted) -> None:
        config = self.config
        must = self.owed >= config.postponed
        self.since = min(self.cycles.ras, self.since + 1) if must else 0
        choose = config.refresh == "by-bank" and self.target is None
        if choose:
            forced = [n for n, bank in enumerate(self.banks) if bank.owed >= config.postponed]
            idle = [
                n
                for n, bank in enumerate(self.banks)
                if bank.owed and n not in wanted and self.now >= bank.activate_from
            ]
            candidates = forced or idle
            edge = self.last_bank * config.bank_groups
            below = [n for n in candidates if n < edge] or candidates
            self.target = max(below) if below else None
        self.interval += (2 if self.hot else 1) if enabled else 0
        if self.interval >= self.cycles.refi:
            self.interval -= self.cycles.refi
            self.owed += 1
            for bank in self.banks:
                bank.owed += 1
        if by_refresh and command is not None:
            if command[0] == "REFRESH_ALL":
                self.owed -= 1
            elif command[0] == "REFRESH_BANK":
                self.banks[command[1]].owed -= 1
                self.target = None

    # Commands.

    def _give_row(self, kind: str, number: int, row: int) -> None:
        now, cycles = self.now, self.cycles
        self.commands.append((now, kind, number))
        state = self.banks[number]

        def later(attribute: str, bank: _Bank, cycle: int) -> None:
            setattr(bank, attribute, max(getattr(bank, attribute), cycle))

        if kind == "ACTIVATE":
            state.row = row
            later("activate_from", state, now + cycles.rc)
            later("close_from", state, now + cycles.ras)
            later("column_from", state, now + cycles.rcd)
            self.activates = [*self.activates[1:], now]
            self.window_from = max(self.window_from, now + cycles.rrd)
        elif kind in ("PRECHARGE", "PRECHARGE_ALL"):
            for bank in [state] if kind == "PRECHARGE" else self.banks:
                bank.row = None
                later("activate_from", bank, now + cycles.rp)
        elif kind == "REFRESH_BANK":
            later("activate_from", state, now + cycles.rfc_bank)
            state.refreshing_until = now + cycles.rfc_bank
            self.window_from = max(self.window_from, now + cycles.refresh_gap)
        else:
            for bank in self.banks:
                later("activate_from", bank, now + cycles.rfc)
                bank.refreshing_until = now + cycles.rfc

    def _give_column(self, access: _Access) -> None:
        now, cycles, size = self.now, self.cycles, self.config.beat_bytes
        bank = self._next(access)
        state = self.banks[bank]
        group = access.beat % self.config.bank_groups
        self.last_bank = access.bank
        self.column_from = now + cycles.ccd_s
        self.group_from[group] = now + cycles.ccd_l
        page = access.row * self.config.banks_a_group + access.bank
        beat = self.memory[page, access.beat * size : (access.beat + 1) * size]
        if access.write:
            self.read_from = max(self.read_from, now + cycles.write_to_read)
            state.close_from = max(state.close_from, now + cycles.write_to_precharge)
            assert access.asked.data is not None
            for byte in range(size):
                if access.asked.strobe >> byte & 1:
                    beat[byte] = access.asked.data[byte]
            self.written.append(now + cycles.cwl)
        else:
            self.write_from = max(self.write_from, now + cycles.read_to_write)
            state.close_from = max(state.close_from, now + cycles.rtp)
            self.filled[access.place] = (now + cycles.cl + 1, beat.tobytes())
        access.beat = (access.beat + 1) % self.config.page_beats
        access.place = (access.place + 1) % self.config.buffer_beats
        if access.left == 0:
            self.queue.remove(access)
        access.left -= 1

    # Streams.

    def _accept(self, offers, run: int, queue: list[_Access], enabled: bool) -> str | None:
        config = self.config
        room = enabled and len(queue) < config.queue
        answers = len(self.orders) < 2 * config.queue
        data = (
            sum(1 for each in queue if each.write)
            + sum(1 for cycle in self.written if cycle >= self.now)
            < config.queue + self.cycles.cwl
        )
        fits = {
            "requests": room and answers and self.free >= config.page_beats,
            "reads": room and answers and self.free > 0,
            "writes": room and data,
        }
        names = ("requests", "reads", "writes")
        turns = [(self.pointer + step) % 3 for step in range(3)]
        chosen = next((n for n in turns if offers[names[n]] and fits[names[n]]), None)
        if chosen is None:
            return None
        self.pointer = (chosen + 1) % 3
        source = names[chosen]
        asked = offers[source]
        page, beat, size = asked.page, asked.beat or 0, 1
        if source == "requests":
            page += self.done
            self.done += 1
            self.ran_out = self.done >= run
            if self.ran_out:
                self.done = 0
            size = config.page_beats
        beyond = page >= config.pages
        if source != "writes":
            self.orders.append((self.now + 1, asked, beyond, self.next_place))
        if beyond:
            return source
        self.queue.append(
            _Access(
                source == "writes",
                page % config.banks_a_group,
                page // config.banks_a_group,
                beat,
                size - 1,
                self.next_place,
                asked,
            )
        )
        if source != "writes":
            self.free -= size
            self.next_place = (self.next_place + size) % config.buffer_beats
        return source

    def _deliver(self, taken: bool) -> None:
        """The output register takes the next beat in order, if it is empty or emptied."""
        if self.output is not None:
            if not taken:
                return
            self.beats.append(self.output)
        self.output = None
        if not self.orders or self.orders[0][0] > self.now:
            return
        _, asked, beyond, first = self.orders[0]
        beats = self.config.page_beats if asked.beat is None else 1
        place = (first + self.delivered) % self.config.buffer_beats
        data = bytes(self.config.beat_bytes)
        if not beyond:
            ready, data = self.filled.get(place, (None, data))
            if ready is None or ready > self.now:
                return
            del self.filled[place]
            self.free += 1
        self.delivered += 1
        last = self.delivered == beats
        self.output = (data, self.delivered == 1, last, beyond, asked.tag)
        if last:
            self.delivered = 0
            self.orders.pop(0)
