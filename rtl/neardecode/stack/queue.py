"""The accesses of a vault that wait, and which of them goes next."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Stack, VaultCause
from neardecode.lib.one_hot import first_set, one_hot_index
from neardecode.stack.access import Access
from neardecode.stack.command import ColumnCommand, RowCommand, RowKind
from neardecode.stack.wait import OldestWait

__all__ = ["AccessQueue"]


class AccessQueue(wiring.Component):
    """First ready, first served, with a bound on how long the oldest is overtaken.

    The rules:

    1. A beat is ready when its row is open and no timing, refresh or turn of the bus is in its way.
       Each cycle the oldest access with a ready beat gives it.
    2. Accesses of one page go in their order, and so do all writes.
    3. The oldest access that wants a bank decides which row it opens; it closes another row when no
       younger access has its next beat there.
    4. When `starvation_beats` beats have passed the oldest access, it alone goes on, until it has
       given one. Beats that pass while its bank is refreshed do not count.

    Latency: an access can give a beat in the cycle after it was taken. Rate: a beat a cycle.

    Parameters:
        config: The stack section of a configuration.

    Members:
        accesses: In(stream of `Access`).
        open, rows, activate_ready, window_ready, precharge_ready, column_ready, group_ready,
            read_ready, write_ready, turned, refreshing: In. As in `BankStates`.
        blocked: In(banks). Kept for a refresh.
        column_command: Out(`ColumnCommand`).
        place: Out. Where the beat that is read goes.
        row_command: Out(`RowCommand`). What the accesses want; given if the row bus is free.
        wanted: Out(banks). Some access still has beats in it.
        empty: Out(1).
        cause: Out. What the oldest access waits for.
        overtakes: Out(1). The beat passes the oldest access.
    """

    accesses: stream.Interface
    open: Signal
    rows: data.View
    activate_ready: Signal
    window_ready: Signal
    precharge_ready: Signal
    column_ready: Signal
    group_ready: Signal
    read_ready: Signal
    write_ready: Signal
    turned: Signal
    refreshing: Signal
    blocked: Signal
    column_command: data.View
    place: Signal
    row_command: data.View
    wanted: Signal
    empty: Signal
    cause: Signal
    overtakes: Signal

    def __init__(self, config: Stack):
        self._config = config
        banks = config.banks
        access = Access(config)
        self._entries = [
            data.View(access, Signal(access.size, name=f"entry_{place}"))
            for place in range(config.queue)
        ]
        self._count = Signal(range(config.queue + 1), name="count")
        self._passed = Signal(range(config.starvation_beats + 1), name="passed")
        super().__init__(
            {
                "accesses": In(stream.Signature(access)),
                "open": In(banks),
                "rows": In(data.ArrayLayout(exact_log2(config.pages_a_bank), banks)),
                "activate_ready": In(banks),
                "window_ready": In(1),
                "precharge_ready": In(banks),
                "column_ready": In(banks),
                "group_ready": In(config.bank_groups),
                "read_ready": In(1),
                "write_ready": In(1),
                "turned": In(2),
                "refreshing": In(banks),
                "blocked": In(banks),
                "column_command": Out(ColumnCommand(config)),
                "place": Out(exact_log2(config.buffer_beats)),
                "row_command": Out(RowCommand(config)),
                "wanted": Out(banks),
                "empty": Out(1),
                "cause": Out(range(len(VaultCause))),
                "overtakes": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """What each access wants, who is first, and the queue closing up behind it."""
        m = Module()
        config, count = self._config, self._count
        groups, size = config.bank_groups, config.queue
        group_bits = exact_log2(groups)
        valid = [Signal(name=f"valid_{place}") for place in range(size)]
        wants = [Signal(groups, name=f"wants_{place}") for place in range(size)]
        hits = [Signal(groups, name=f"hits_{place}") for place in range(size)]
        next_group = [Signal(groups, name=f"next_group_{place}") for place in range(size)]
        for place, entry in enumerate(self._entries):
            group = entry.beat[:group_bits]
            rows = [
                Array(self.rows[bank * groups + each] for bank in range(config.banks_a_group))[
                    entry.bank
                ]
                for each in range(groups)
            ]
            m.d.comb += [
                valid[place].eq(count > place),
                next_group[place].eq(Const(1, groups) << group),
                wants[place].eq(
                    Cat((each - group)[:group_bits] <= entry.left for each in range(groups))
                    & valid[place].replicate(groups)
                ),
                hits[place].eq(
                    self.open.word_select(entry.bank, groups)
                    & Cat(row == entry.row for row in rows)
                ),
            ]

        starved = self._count_passes(m)
        ready = [Signal(name=f"ready_{place}") for place in range(size)]
        opens = [Signal(groups, name=f"opens_{place}") for place in range(size)]
        closes = [Signal(groups, name=f"closes_{place}") for place in range(size)]
        same_bank, same_page = self._relations(m)
        frees = [Signal(name=f"free_{place}") for place in range(size)]
        for place, entry in enumerate(self._entries):
            older = range(place)
            frees_now = [~same_page[other, place] for other in older]
            frees_now += [~(entry.write & self._entries[other].write) for other in older]
            m.d.comb += frees[place].eq(Cat(frees_now).all() if older else 1)
        for place, entry in enumerate(self._entries):

            def here(banks: Value, entry=entry) -> Value:
                return banks.word_select(entry.bank, groups)

            claimed: Value = Const(0, groups)
            for other in range(place):
                claimed = claimed | (wants[other] & same_bank[other, place].replicate(groups))
            held: Value = Const(0, groups)
            for other in range(place + 1, size):
                goes = valid[other] & frees[other] & same_bank[place, other] & ~starved
                held = held | (hits[other] & next_group[other] & goes.replicate(groups))
            free_banks = wants[place] & ~claimed & ~here(self.blocked)
            m.d.comb += [
                ready[place].eq(
                    valid[place]
                    & frees[place]
                    & Mux(entry.write, self.write_ready, self.read_ready)
                    & (
                        next_group[place]
                        & hits[place]
                        & here(self.column_ready)
                        & self.group_ready
                        & ~here(self.blocked)
                    ).any()
                    & (~starved if place else 1)
                ),
                opens[place].eq(
                    free_banks
                    & ~here(self.open)
                    & here(self.activate_ready)
                    & self.window_ready.replicate(groups)
                ),
                closes[place].eq(
                    free_banks & here(self.open) & ~hits[place] & ~held & here(self.precharge_ready)
                ),
            ]
        self._choose_row(m, opens, closes)
        self._choose_column(m, ready)
        for bank in range(config.banks_a_group):
            mine: Value = Const(0, groups)
            for place, entry in enumerate(self._entries):
                mine = mine | (wants[place] & (entry.bank == bank).replicate(groups))
            m.d.comb += self.wanted[bank * groups : (bank + 1) * groups].eq(mine)
        m.submodules.oldest = wait = OldestWait(config)
        m.d.comb += [
            wait.access.eq(self._entries[0]),
            wait.hits.eq(hits[0]),
            *(getattr(wait, name).eq(getattr(self, name)) for name in OldestWait.banks),
            self.cause.eq(wait.cause),
        ]
        return m

    def _relations(self, m: Module) -> tuple[dict, dict]:
        """For each two accesses, the older first: of one bank, of one page."""
        same_bank, same_page = {}, {}
        for younger, entry in enumerate(self._entries):
            for older in range(younger):
                other = self._entries[older]
                bank = Signal(name=f"same_bank_{older}_{younger}")
                page = Signal(name=f"same_page_{older}_{younger}")
                m.d.comb += [
                    bank.eq(entry.bank == other.bank),
                    page.eq(bank & (entry.row == other.row)),
                ]
                same_bank[older, younger], same_page[older, younger] = bank, page
        return same_bank, same_page

    def _count_passes(self, m: Module) -> Signal:
        """Whether too many beats have passed the oldest access."""
        bound, passed = self._config.starvation_beats, self._passed
        starved = Signal()
        m.d.comb += starved.eq(passed == bound)
        with m.If(self.column_command.valid & ~self.overtakes):
            m.d.sync += passed.eq(0)
        with m.Elif(self.overtakes & ~starved & (self.cause != VaultCause.REFRESH.value)):
            m.d.sync += passed.eq(passed + 1)
        return starved

    def _choose_row(self, m: Module, opens: list[Signal], closes: list[Signal]) -> None:
        """The first command that the oldest access with one wants."""
        groups = self._config.bank_groups
        wishes = [opens[place] | closes[place] for place in range(len(opens))]
        wishing, chosen = Signal(len(wishes)), Signal(len(wishes))
        m.d.comb += [
            wishing.eq(Cat(wish.any() for wish in wishes)),
            chosen.eq(first_set(wishing)),
        ]
        bank = Signal(exact_log2(self._config.banks_a_group))
        group = Signal(groups)
        opening = Signal()
        for place, entry in enumerate(self._entries):
            with m.If(chosen[place]):
                m.d.comb += [
                    bank.eq(entry.bank),
                    self.row_command.row.eq(entry.row),
                    group.eq(first_set(wishes[place])),
                    opening.eq((opens[place] & group).any()),
                ]
        command = self.row_command
        m.d.comb += command.bank.eq(Cat(one_hot_index(group), bank))
        with m.If(chosen.any()):
            m.d.comb += command.kind.eq(
                Mux(opening, RowKind.ACTIVATE.value, RowKind.PRECHARGE.value)
            )

    def _choose_column(self, m: Module, readies: list[Signal]) -> None:
        """The oldest access that is ready gives a beat; behind the last one the queue closes up."""
        config, count, size = self._config, self._count, self._config.queue
        chosen = Signal(size)
        ends = Signal(size)
        command = self.column_command
        group_bits = exact_log2(config.bank_groups)
        ready = Signal(size)
        m.d.comb += [
            ready.eq(Cat(readies)),
            chosen.eq(first_set(ready)),
            command.valid.eq(ready.any()),
        ]
        after = []
        for place, entry in enumerate(self._entries):
            given = data.View(entry.shape(), Signal(entry.shape().size, name=f"given_{place}"))
            m.d.comb += given.eq(entry)
            with m.If(chosen[place]):
                m.d.comb += [
                    command.write.eq(entry.write),
                    command.bank.eq(Cat(entry.beat[:group_bits], entry.bank)),
                    command.column.eq(entry.beat[group_bits:]),
                    self.place.eq(entry.place),
                    ends[place].eq(entry.left == 0),
                    given.beat.eq(entry.beat + 1),
                    given.left.eq(entry.left - 1),
                    given.place.eq(entry.place + 1),
                ]
            after.append(given)
        m.d.comb += self.overtakes.eq(command.valid & ~chosen[0])

        taken = Signal()
        tail = Signal(range(size + 1))
        m.d.comb += [
            self.accesses.ready.eq(count != size),
            taken.eq(self.accesses.valid & self.accesses.ready),
            tail.eq(count - ends.any()),
            self.empty.eq(count == 0),
        ]
        m.d.sync += count.eq(tail + taken)
        for place, entry in enumerate(self._entries):
            with m.If(taken & (tail == place)):
                m.d.sync += entry.eq(self.accesses.payload)
            with m.Elif(ends[: place + 1].any() if place + 1 < size else 0):
                m.d.sync += entry.eq(after[min(place + 1, size - 1)])
            with m.Else():
                m.d.sync += entry.eq(after[place])
