"""Which row each bank has open, and which command would come too early."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Stack, StackCycles
from neardecode.stack.command import ColumnCommand, RowCommand, RowKind

__all__ = ["BankStates"]


class BankStates(wiring.Component):
    """A state machine a bank, and the windows that banks share.

    A down counter for each timing: zero where the command may be given. Latency: a command is
    known in the next cycle.

    Parameters:
        config: The stack section of a configuration.
        cycles: Its timings.

    Members:
        row_command, column_command: In. What is given in this cycle.
        open: Out(banks). A row is open.
        rows: Out(array of rows). Which.
        activate_ready: Out(banks). tRP, tRC and tRFC of the bank are over.
        window_ready: Out(1). So are tRRD, tFAW and tRREFD.
        precharge_ready: Out(banks). tRAS, tRTP and tWR of the bank are over, or it is closed.
        column_ready: Out(banks). tRCD is over.
        group_ready: Out(bank_groups). tCCD_L is over.
        read_ready, write_ready: Out(1). tCCD_S is over, and the bus has turned.
        turned: Out(2). Only the latter, for reads and writes.
        refreshing: Out(banks). tRFC of the bank runs.
    """

    row_command: data.View
    column_command: data.View
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

    def __init__(self, config: Stack, cycles: StackCycles):
        self._config = config
        self._cycles = cycles
        banks = config.banks
        super().__init__(
            {
                "row_command": In(RowCommand(config)),
                "column_command": In(ColumnCommand(config)),
                "open": Out(banks),
                "rows": Out(data.ArrayLayout(exact_log2(config.pages_a_bank), banks)),
                "activate_ready": Out(banks),
                "window_ready": Out(1),
                "precharge_ready": Out(banks),
                "column_ready": Out(banks),
                "group_ready": Out(config.bank_groups),
                "read_ready": Out(1),
                "write_ready": Out(1),
                "turned": Out(2),
                "refreshing": Out(banks),
            }
        )

    def elaborate(self, platform) -> Module:
        """A bank after the other, then what they share."""
        m = Module()
        for bank in range(self._config.banks):
            self._add_bank(m, bank)
        self._add_windows(m)
        return m

    def _add_bank(self, m: Module, bank: int) -> None:
        cycles, row, column = self._cycles, self.row_command, self.column_command
        mine = Signal(name=f"mine_{bank}")
        activated, closed, refreshed, all_refreshed = (
            Signal(name=f"{event}_{bank}")
            for event in ("activated", "closed", "refreshed", "all_refreshed")
        )
        read, written = Signal(name=f"read_{bank}"), Signal(name=f"written_{bank}")
        addressed = column.valid & (column.bank == bank)
        m.d.comb += [
            mine.eq(row.bank == bank),
            activated.eq((row.kind == RowKind.ACTIVATE) & mine),
            closed.eq(
                ((row.kind == RowKind.PRECHARGE) & mine) | (row.kind == RowKind.PRECHARGE_ALL)
            ),
            refreshed.eq((row.kind == RowKind.REFRESH_BANK) & mine),
            all_refreshed.eq(row.kind == RowKind.REFRESH_ALL),
            read.eq(addressed & ~column.write),
            written.eq(addressed & column.write),
        ]
        m.d.sync += self.open[bank].eq((self.open[bank] | activated) & ~closed)
        with m.If(activated):
            m.d.sync += self.rows[bank].eq(row.row)
        over = self.activate_ready[bank]
        m.d.sync += self.refreshing[bank].eq(
            refreshed | all_refreshed | (self.refreshing[bank] & ~over)
        )
        m.d.comb += [
            over.eq(
                _over(
                    m,
                    f"to_activate_{bank}",
                    (activated, cycles.rc),
                    (closed, cycles.rp),
                    (refreshed, cycles.rfc_bank),
                    (all_refreshed, cycles.rfc),
                )
            ),
            self.precharge_ready[bank].eq(
                ~self.open[bank]
                | _over(
                    m,
                    f"to_precharge_{bank}",
                    (activated, cycles.ras),
                    (read, cycles.rtp),
                    (written, cycles.write_to_precharge),
                )
            ),
            self.column_ready[bank].eq(_over(m, f"to_column_{bank}", (activated, cycles.rcd))),
        ]

    def _add_windows(self, m: Module) -> None:
        config, cycles = self._config, self._cycles
        row, column = self.row_command, self.column_command
        activated, refreshed = Signal(), Signal()
        read, written = Signal(), Signal()
        m.d.comb += [
            activated.eq(row.kind == RowKind.ACTIVATE),
            refreshed.eq(row.kind == RowKind.REFRESH_BANK),
            read.eq(column.valid & ~column.write),
            written.eq(column.valid & column.write),
        ]
        # The last four activates, the latest first; the fourth is the first to be over.
        four = [Signal(range(max(2, cycles.faw)), name=f"window_{place}") for place in range(4)]
        before: list[Value] = [Value.cast(max(0, cycles.faw - 1)), *(_less(each) for each in four)]
        for place, each in enumerate(four):
            m.d.sync += each.eq(Mux(activated, before[place], _less(each)))
        m.d.comb += [
            self.window_ready.eq(
                (four[-1] == 0)
                & _over(m, "to_any", (activated, cycles.rrd), (refreshed, cycles.refresh_gap))
            ),
            self.turned[0].eq(_over(m, "to_read", (written, cycles.write_to_read))),
            self.turned[1].eq(_over(m, "to_write", (read, cycles.read_to_write))),
        ]
        follows = Signal()
        m.d.comb += [
            follows.eq(_over(m, "to_next", (column.valid, cycles.ccd_s))),
            self.read_ready.eq(follows & self.turned[0]),
            self.write_ready.eq(follows & self.turned[1]),
        ]
        group_bits = exact_log2(config.bank_groups)
        for group in range(config.bank_groups):
            addressed = column.valid & (column.bank[:group_bits] == group)
            m.d.comb += self.group_ready[group].eq(
                _over(m, f"to_group_{group}", (addressed, cycles.ccd_l))
            )


def _less(count: Value) -> Value:
    """A count that has gone down by one, not below zero."""
    return Mux(count == 0, 0, count - 1)[: len(count)]


def _over(m: Module, name: str, *events: tuple[Value, int]) -> Signal:
    """Whether each event is at least its number of cycles ago."""
    most = max(cycles for _, cycles in events)
    count = Signal(range(max(2, most)), name=name)
    after = _less(count)
    for happened, cycles in events:
        longer = after < cycles - 1
        after = Mux(happened & longer, cycles - 1, after)
    m.d.sync += count.eq(after)
    over = Signal(name=f"{name}_over")
    m.d.comb += over.eq(count == 0)
    return over
