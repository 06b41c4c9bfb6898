"""A vault's refresh: postponed no further than its limit, whatever the accesses do."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal

from neardecode.config import Stack, StackCycles
from neardecode.stack.banks import BankStates
from neardecode.stack.command import RowCommand, RowKind
from neardecode.stack.refresh import AllBankRefresh, BankRefresh
from neardecode_testbench.scenarios.properties.bank_states import column_ready

__all__ = ["ObservedAllBankRefresh", "ObservedBankRefresh", "RefreshProperties"]


class ObservedAllBankRefresh(AllBankRefresh):
    """Of all banks at once, with its time and what is owed."""

    def __init__(self, config: Stack, cycles: StackCycles):
        super().__init__(config, cycles)
        self.time, self.debts = self._time, self._owed


class ObservedBankRefresh(BankRefresh):
    """By bank, with its time and what each bank is owed."""

    def __init__(self, config: Stack, cycles: StackCycles):
        super().__init__(config, cycles)
        self.time, self.debts = self._time, self._owed
        self.target, self.has_target = self._target, self._has_target


class RefreshProperties(Elaboratable):
    """The refresh with the bank states, in a vault whose accesses are any.

    Beside it the time since each bank's refresh is counted, from the commands that leave. An
    induction closes that is longer than what all refreshes take once they must be given.

    Args:
        refresh: The refresh.
        config, cycles: What it was made with.
    """

    def __init__(
        self,
        refresh: ObservedAllBankRefresh | ObservedBankRefresh,
        config: Stack,
        cycles: StackCycles,
    ):
        self.refresh = refresh
        self.config = config
        self.cycles = cycles

    def elaborate(self, platform) -> Module:
        """Accesses that do what they may, and how long each bank has waited."""
        m = Module()
        config = self.config
        m.submodules.refresh = refresh = self.refresh
        m.submodules.states = states = BankStates(config, self.cycles)
        wish = Signal(RowCommand(config))
        row, column = states.row_command, states.column_command
        wins = Signal()
        for name in ("open", "activate_ready", "window_ready", "precharge_ready"):
            m.d.comb += getattr(refresh, name).eq(getattr(states, name))
        for name in ("enable", "hot", "wanted", "last_bank"):
            port = getattr(refresh, name)
            m.d.comb += port.eq(AnySeq(len(port)))
        m.d.comb += [
            wish.as_value().eq(AnySeq(len(wish.as_value()))),
            column.as_value().eq(AnySeq(len(column.as_value()))),
            wins.eq(refresh.urgent | (wish.kind == RowKind.NONE)),
            refresh.given.eq(wins),
            row.eq(Mux(wins, refresh.command, wish)),
        ]
        is_open = states.open.bit_select(wish.bank, 1)
        kept = refresh.blocked.bit_select(wish.bank, 1)
        free = states.activate_ready.bit_select(wish.bank, 1)
        m.d.comb += [
            Assume(wish.kind.as_value() <= RowKind.PRECHARGE.value, "a command of accesses"),
            Assume(
                (wish.kind != RowKind.ACTIVATE)
                | (~kept & ~is_open & free & states.window_ready & ~refresh.drains),
                "a row that may be opened",
            ),
            Assume(
                (wish.kind != RowKind.PRECHARGE)
                | (~kept & is_open & states.precharge_ready.bit_select(wish.bank, 1)),
                "a row that may be closed",
            ),
            Assume(
                ~column.valid
                | (column_ready(states, config) & ~refresh.blocked.bit_select(column.bank, 1)),
                "columns are ready",
            ),
        ]
        self._hold(m, row)
        return m

    def _hold(self, m: Module, row) -> None:
        """What is owed covers the time since the last refresh, and has a bound."""
        refresh, interval = self.refresh, self.cycles.refi
        most = self.config.postponed
        passed = Mux(refresh.enable, Mux(refresh.hot, 2, 1), 0)
        m.d.comb += [
            Assert(refresh.time < interval, "time is below an interval"),
        ]
        if isinstance(refresh, ObservedBankRefresh):
            chosen = Cat(debt != 0 for debt in refresh.debts).bit_select(refresh.target, 1)
            m.d.comb += Assert(
                ~refresh.has_target | chosen, "the bank whose turn it is is owed one"
            )
        for bank in range(self.config.banks):
            debt = refresh.debts[bank % len(refresh.debts)]
            paid = (row.kind == RowKind.REFRESH_ALL) | (
                (row.kind == RowKind.REFRESH_BANK) & (row.bank == bank)
            )
            age = Signal(range((most + 3) * interval), name=f"age_{bank}")
            m.d.sync += age.eq(Mux(paid, 0, age + passed))
            m.d.comb += [
                Assert(debt <= most, "a refresh is postponed no further than its limit"),
                Assert(~paid | (debt != 0), "no refresh before it is owed"),
                Assert(age <= debt * interval + refresh.time, "what is owed covers the time"),
                Cover(debt == most, "a bank is owed the most"),
            ]
