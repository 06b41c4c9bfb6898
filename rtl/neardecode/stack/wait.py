"""What the oldest access of a vault waits for."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Stack, VaultCause
from neardecode.stack.access import Access

__all__ = ["OldestWait"]


class OldestWait(wiring.Component):
    """Names what keeps an access's next beat, in the order of the causes. Latency: none.

    Parameters:
        config: The stack section of a configuration.

    Members:
        access: In(`Access`). The oldest.
        hits: In(bank_groups). In which groups its row is open.
        open, activate_ready, column_ready, turned, refreshing: In. As in `BankStates`.
        blocked: In(banks). Kept for a refresh.
        cause: Out. A `VaultCause`.
    """

    banks = ("open", "activate_ready", "column_ready", "turned", "refreshing", "blocked")
    """What it is told of banks and bus, by the names of others' ports."""

    access: data.View
    hits: Signal
    open: Signal
    activate_ready: Signal
    column_ready: Signal
    turned: Signal
    refreshing: Signal
    blocked: Signal
    cause: Signal

    def __init__(self, config: Stack):
        self._config = config
        widths = dict.fromkeys(self.banks, config.banks) | {"turned": 2}
        super().__init__(
            {
                "access": In(Access(config)),
                "hits": In(config.bank_groups),
                **{name: In(width) for name, width in widths.items()},
                "cause": Out(range(len(VaultCause))),
            }
        )

    def elaborate(self, platform) -> Module:
        """The bank of the next beat, and what is in the way there."""
        m = Module()
        access, groups = self.access, self._config.bank_groups
        group = access.beat[: exact_log2(groups)]
        bank = Signal(range(self._config.banks))
        is_open, hit, over = Signal(), Signal(), Signal()
        m.d.comb += [
            bank.eq(Cat(group, access.bank)),
            is_open.eq(self.open.bit_select(bank, 1)),
            hit.eq(self.hits.bit_select(group, 1)),
            over.eq(self.activate_ready.bit_select(bank, 1)),
        ]
        refreshing = self.refreshing.bit_select(bank, 1) & ~over
        with m.If(refreshing | self.blocked.bit_select(bank, 1)):
            m.d.comb += self.cause.eq(VaultCause.REFRESH.value)
        with m.Elif(Mux(is_open, ~hit, ~over)):
            m.d.comb += self.cause.eq(VaultCause.CONFLICT.value)
        with m.Elif(~is_open | ~self.column_ready.bit_select(bank, 1)):
            m.d.comb += self.cause.eq(VaultCause.ACTIVATE.value)
        with m.Elif(~self.turned.bit_select(access.write, 1)):
            m.d.comb += self.cause.eq(VaultCause.TURNAROUND.value)
        with m.Else():
            m.d.comb += self.cause.eq(VaultCause.COLUMN.value)
        return m
