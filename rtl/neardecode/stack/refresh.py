"""When the DRAM is refreshed, all banks at once or one by one."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Stack, StackCycles
from neardecode.lib.one_hot import first_set
from neardecode.stack.command import RowCommand, RowKind

__all__ = ["AllBankRefresh", "BankRefresh", "refresh_of"]


def refresh_of(config: Stack, cycles: StackCycles) -> "AllBankRefresh | BankRefresh":
    """The refresh that a configuration asks for."""
    kind = AllBankRefresh if config.refresh == "all-bank" else BankRefresh
    return kind(config, cycles)


class _Refresh(wiring.Component):
    """The ports of both.

    Parameters:
        config: The stack section of a configuration.
        cycles: Its timings.

    Members:
        enable: In(1). Time passes.
        hot: In(1). Above 85 C: it passes twice as fast.
        wanted: In(banks). Banks with accesses waiting.
        last_bank: In. The bank, of every group, that had the last column command.
        open, activate_ready, window_ready, precharge_ready: In. As in `BankStates`.
        blocked: Out(banks). Kept from accesses.
        drains: Out(1). No row is to be opened.
        command: Out(`RowCommand`). What it wants on the row bus.
        urgent: Out(1). It goes before what accesses want.
        given: In(1). The command is given in this cycle.
    """

    enable: Signal
    hot: Signal
    wanted: Signal
    last_bank: Signal
    open: Signal
    activate_ready: Signal
    window_ready: Signal
    precharge_ready: Signal
    blocked: Signal
    drains: Signal
    command: data.View
    urgent: Signal
    given: Signal

    def __init__(self, config: Stack, cycles: StackCycles, debts: int):
        self._config = config
        self._cycles = cycles
        self._time = Signal(range(cycles.refi), name="time")
        self._owed = [Signal(range(config.postponed + 2), name=f"owed_{n}") for n in range(debts)]
        banks = config.banks
        super().__init__(
            {
                "enable": In(1),
                "hot": In(1),
                "wanted": In(banks),
                "last_bank": In(exact_log2(config.banks_a_group)),
                "open": In(banks),
                "activate_ready": In(banks),
                "window_ready": In(1),
                "precharge_ready": In(banks),
                "blocked": Out(banks),
                "drains": Out(1),
                "command": Out(RowCommand(config)),
                "urgent": Out(1),
                "given": In(1),
            }
        )

    def _interval(self, m: Module) -> Signal:
        """High once every tREFI, or twice."""
        interval = self._cycles.refi
        time = self._time
        later = Signal(range(interval + 2))
        due = Signal()
        m.d.comb += [
            later.eq(time + self.enable + (self.enable & self.hot)),
            due.eq(later >= interval),
        ]
        m.d.sync += time.eq(Mux(due, later - interval, later))
        return due


class AllBankRefresh(_Refresh):
    """One command for all banks every tREFI, when nothing waits or `postponed` of them are owed.

    It lets no row be opened for tRAS, while beats of those that are open go on; then it keeps the
    banks from accesses, closes their rows and refreshes them.
    """

    def __init__(self, config: Stack, cycles: StackCycles):
        super().__init__(config, cycles, 1)

    def elaborate(self, platform) -> Module:
        """What is owed, and the two commands that pay it."""
        m = Module()
        begins, must, pays = Signal(), Signal(), Signal()
        (owed,) = self._owed
        m.d.sync += owed.eq(owed + self._interval(m) - (self.given & begins))
        since = Signal(range(self._cycles.ras + 1))
        m.d.comb += [
            must.eq(owed >= self._config.postponed),
            self.drains.eq(must),
            pays.eq((since == self._cycles.ras) | ((owed != 0) & ~self.wanted.any())),
        ]
        with m.If(~must):
            m.d.sync += since.eq(0)
        with m.Elif(since != self._cycles.ras):
            m.d.sync += since.eq(since + 1)
        with m.If(pays):
            m.d.comb += [self.blocked.eq(~0), self.urgent.eq(1)]
            with m.If(self.open.any()), m.If(self.precharge_ready.all()):
                m.d.comb += self.command.kind.eq(RowKind.PRECHARGE_ALL)
            with m.Elif(self.activate_ready.all()):
                m.d.comb += [self.command.kind.eq(RowKind.REFRESH_ALL), begins.eq(1)]
        return m


class BankRefresh(_Refresh):
    """A command for each bank every tREFI, at a time when nothing wants the bank.

    It takes the bank that the accesses passed most recently, because a stream comes back to it
    last, closes its row and refreshes it. Accesses go before it on the row bus, until
    `postponed` refreshes of any bank are owed: the one under way then keeps that bank waiting.
    """

    def __init__(self, config: Stack, cycles: StackCycles):
        super().__init__(config, cycles, config.banks)
        self._target, self._has_target = Signal(ceil_log2(config.banks)), Signal()

    def elaborate(self, platform) -> Module:
        """What each bank is owed, and the bank whose turn it is."""
        m = Module()
        config = self._config
        banks, groups = config.banks, config.bank_groups
        due = self._interval(m)
        target, has_target = self._target, self._has_target
        begins = Signal()
        owing, must = Signal(banks), Signal(banks)
        for bank, owed in enumerate(self._owed):
            m.d.sync += owed.eq(owed + due - (self.given & begins & (target == bank)))
            m.d.comb += [
                owing[bank].eq(owed != 0),
                must[bank].eq(owed >= config.postponed),
            ]

        # Backwards from just below the bank in use.
        idle = Signal(banks)
        candidates = Signal(banks)
        below = Signal(banks)
        m.d.comb += [
            idle.eq(owing & ~self.wanted & self.activate_ready),
            candidates.eq(Mux(must.any(), must, idle)),
            below.eq(
                candidates
                & Cat(
                    (self.last_bank > bank).replicate(groups)
                    for bank in range(config.banks_a_group)
                )
            ),
        ]
        sought, downwards, highest = Signal(banks), Signal(banks), Signal(banks)
        m.d.comb += [
            sought.eq(Mux(below.any(), below, candidates)),
            downwards.eq(sought[::-1]),
            highest.eq(first_set(downwards)),
        ]
        with m.If(~has_target):
            m.d.sync += has_target.eq(candidates.any())
            for bank in range(banks):
                with m.If(highest[banks - 1 - bank]):
                    m.d.sync += target.eq(bank)

        is_open = self.open.bit_select(target, 1)
        m.d.comb += [
            self.command.bank.eq(target),
            self.urgent.eq(has_target & must.any()),
        ]
        with m.If(has_target):
            for bank in range(banks):
                m.d.comb += self.blocked[bank].eq(target == bank)
            with m.If(is_open), m.If(self.precharge_ready.bit_select(target, 1)):
                m.d.comb += self.command.kind.eq(RowKind.PRECHARGE)
            with m.Elif(self.activate_ready.bit_select(target, 1) & self.window_ready):
                m.d.comb += [self.command.kind.eq(RowKind.REFRESH_BANK), begins.eq(1)]
                with m.If(self.given):
                    m.d.sync += has_target.eq(0)
        return m
