"""The timing checker of a DRAM: which rule each command breaks, by when things happened last."""

import enum

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Stack, StackCycles
from neardecode.config.stack import POSTPONED_LIMIT
from neardecode.stack.command import ColumnCommand, RowCommand, RowKind

__all__ = ["DramRule", "DramRules"]

TIME_BITS = 40
"""Of the time, which does not wrap in a simulation."""


class DramRule(enum.Enum):
    """What a command can break."""

    STATE = 0
    """An activate of an open bank, a column of a closed one, a refresh of one that is open."""
    RCD = 1
    RP = 2
    RAS = 3
    RC = 4
    CCD_S = 5
    CCD_L = 6
    RRD = 7
    FAW = 8
    WR = 9
    WTR = 10
    RTW = 11
    RTP = 12
    RFC = 13
    """A command to a bank while it is refreshed."""
    REFRESH_GAP = 14
    REFI = 15
    """A bank was left without refresh for longer than may be."""


class DramRules(wiring.Component):
    """Compares every command with the time of every earlier one that it must keep away from.

    It keeps times and not counts of what is left, so that it has nothing in common with the
    controller that it checks.

    Parameters:
        config: The stack section of a configuration.
        cycles: The timings.
        time_bits: Of the time, which must not wrap; a proof takes few.

    Members:
        row, column: In. The commands of this cycle.
        hot: In(1). Banks need refresh twice as often.
        enable: In(1). Time counts towards the next refresh.
        broken: Out(rules). By `DramRule`, in this cycle.
        open: Out(banks).
        rows: Out(array). The row that is open.
    """

    row: data.View
    column: data.View
    hot: Signal
    enable: Signal
    broken: Signal
    open: Signal
    rows: data.View

    def __init__(self, config: Stack, cycles: StackCycles, time_bits: int = TIME_BITS):
        self._config = config
        self._cycles = cycles
        self._time_bits = time_bits
        super().__init__(
            {
                "row": In(RowCommand(config)),
                "column": In(ColumnCommand(config)),
                "hot": In(1),
                "enable": In(1),
                "broken": Out(len(DramRule)),
                "open": Out(config.banks),
                "rows": Out(data.ArrayLayout((config.pages_a_bank - 1).bit_length(), config.banks)),
            }
        )

    def elaborate(self, platform) -> Module:
        """The time, the times kept, and the comparisons."""
        m = Module()
        config, cycles, banks = self._config, self._cycles, self._config.banks
        row, column = self.row, self.column
        # Nothing has happened before a time that is later than every timing.
        longest = max(vars(cycles).values()) + cycles.write_to_precharge + cycles.read_to_write
        now = Signal(self._time_bits, init=longest)
        m.d.sync += now.eq(now + 1)

        def times(name: str, count: int) -> Array:
            return Array(Signal(self._time_bits, name=f"{name}_{index}") for index in range(count))

        activated, closed = times("activated", banks), times("closed", banks)
        read, written = times("read", banks), times("written", banks)
        refreshed = times("refreshed", banks)
        group_column = times("group_column", config.bank_groups)
        last_activate, last_read, last_write, last_refresh = times("last", 4)
        last_all = Signal(self._time_bits)
        four = [Signal(self._time_bits, name=f"four_{place}") for place in range(4)]

        def early(since: Value, wait: int) -> Value:
            return now < since + wait

        is_ = {kind: Signal(name=f"is_{kind.name.lower()}") for kind in RowKind}
        m.d.comb += [signal.eq(row.kind == kind) for kind, signal in is_.items()]
        activates, closes = is_[RowKind.ACTIVATE], is_[RowKind.PRECHARGE]
        refreshes, closes_all = is_[RowKind.REFRESH_BANK], is_[RowKind.PRECHARGE_ALL]
        refreshes_all = is_[RowKind.REFRESH_ALL]
        reads, writes = column.valid & ~column.write, column.valid & column.write
        bank, place = row.bank, column.bank
        group = place % config.bank_groups
        opened = self.open.bit_select(bank, 1)

        def any_bank(broken) -> Value:
            return Cat(broken(each) for each in range(banks)).any()

        def closing(each) -> Value:
            """A bank's row closes now."""
            return self.open[each] & ((closes & (bank == each)) | closes_all)

        starts = activates | refreshes
        rules = {
            DramRule.STATE: (starts & opened)
            | (refreshes_all & self.open.any())
            | (column.valid & ~self.open.bit_select(place, 1)),
            DramRule.RCD: column.valid & early(activated[place], cycles.rcd),
            DramRule.RP: (starts & early(closed[bank], cycles.rp))
            | (refreshes_all & any_bank(lambda each: early(closed[each], cycles.rp))),
            DramRule.RAS: any_bank(lambda each: closing(each) & early(activated[each], cycles.ras)),
            DramRule.RC: (starts & early(activated[bank], cycles.rc))
            | (refreshes_all & any_bank(lambda each: early(activated[each], cycles.rc))),
            DramRule.CCD_S: column.valid
            & (early(last_read, cycles.ccd_s) | early(last_write, cycles.ccd_s)),
            DramRule.CCD_L: column.valid & early(group_column[group], cycles.ccd_l),
            DramRule.RRD: starts & early(last_activate, cycles.rrd),
            DramRule.FAW: activates & early(four[3], cycles.faw),
            DramRule.WR: any_bank(
                lambda each: closing(each) & early(written[each], cycles.write_to_precharge)
            ),
            DramRule.WTR: reads & early(last_write, cycles.write_to_read),
            DramRule.RTW: writes & early(last_read, cycles.read_to_write),
            DramRule.RTP: any_bank(lambda each: closing(each) & early(read[each], cycles.rtp)),
            DramRule.RFC: (starts & early(refreshed[bank], cycles.rfc_bank))
            | ((starts | refreshes_all) & early(last_all, cycles.rfc))
            | (refreshes_all & any_bank(lambda each: early(refreshed[each], cycles.rfc_bank))),
            DramRule.REFRESH_GAP: starts & early(last_refresh, cycles.refresh_gap),
            DramRule.REFI: self._overdue(m, refreshes, refreshes_all, bank),
        }
        m.d.comb += self.broken.eq(Cat(rules[rule] for rule in DramRule))

        with m.If(activates):
            m.d.sync += [
                activated[bank].eq(now),
                last_activate.eq(now),
                *(later.eq(sooner) for later, sooner in zip(four[1:], four, strict=False)),
                four[0].eq(now),
                self.open.bit_select(bank, 1).eq(1),
                self.rows[bank].eq(row.row),
            ]
        for each in range(banks):
            with m.If(closing(each)):
                m.d.sync += [self.open[each].eq(0), closed[each].eq(now)]
        with m.If(refreshes):
            m.d.sync += [refreshed[bank].eq(now), last_refresh.eq(now)]
        with m.If(refreshes_all):
            m.d.sync += last_all.eq(now)
        with m.If(reads):
            m.d.sync += [read[place].eq(now), last_read.eq(now)]
        with m.If(writes):
            m.d.sync += [written[place].eq(now), last_write.eq(now)]
        with m.If(column.valid):
            m.d.sync += group_column[group].eq(now)
        if platform == "formal":
            kept = [*activated, *closed, *read, *written, *refreshed, *group_column, *four]
            kept += [last_activate, last_read, last_write, last_refresh, last_all]
            m.d.comb += [
                Assume(~now[-1], "time does not wrap"),
                *(Assert(each <= now, "what happened is not in the future") for each in kept),
            ]
        return m

    def _overdue(self, m: Module, refreshes: Value, refreshes_all: Value, bank: Value) -> Value:
        """Whether some bank has been without refresh for too long."""
        most = (POSTPONED_LIMIT + 1) * self._cycles.refi
        overdue = []
        for each in range(self._config.banks):
            age = Signal(range(most + 3), name=f"age_{each}")
            late = Signal(name=f"late_{each}")
            m.d.comb += late.eq(age > most)
            with m.If(refreshes_all | (refreshes & (bank == each))):
                m.d.sync += age.eq(0)
            with m.Elif(self.enable & ~late):
                m.d.sync += age.eq(age + Mux(self.hot, 2, 1))
            overdue.append(late)
        return Cat(overdue).any()
