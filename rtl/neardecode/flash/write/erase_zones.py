"""The blocks of the zones that a secure erase is for."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.sections import host_of

__all__ = ["EraseZones"]


class EraseZones(wiring.Component):
    """Counts through the blocks of some zones: all banks of a block, then the next block.

    Latency 1 cycle. Rate: one block a cycle; a block of another zone is passed over in one cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        start: In(1). Begin.
        zones: In(32). A bit for each zone that is meant; it holds until ``done``.
        valid: Out(1). There is a block.
        bank, block: Out. Which, the block being the logical one.
        next: In(1). It is taken.
        done: Out(1). There are no more.
    """

    start: Signal
    zones: Signal
    valid: Signal
    bank: Signal
    block: Signal
    next: Signal
    done: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host_of(config)
        super().__init__(
            {
                "start": In(1),
                "zones": In(32),
                "valid": Out(1),
                "bank": Out(ceil_log2(config.banks)),
                "block": Out(ceil_log2(config.blocks_a_bank)),
                "next": In(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two counters."""
        m = Module()
        last_bank = self.bank == self._config.banks - 1
        last_block = self.block == self._config.blocks_a_bank - 1
        zone = self.block[len(self.block) - exact_log2(self._host.zones) :]
        running = Signal()
        meant = Signal()
        m.d.comb += [
            meant.eq(self.zones.bit_select(zone, 1)),
            self.valid.eq(running & meant),
            self.done.eq(~running),
        ]
        with m.If(self.start):
            m.d.sync += [running.eq(1), self.bank.eq(0), self.block.eq(0)]
        with m.Elif(running & ~meant | self.next):
            m.d.sync += self.bank.eq(self.bank + 1)
            with m.If(~meant | last_bank):
                m.d.sync += [self.bank.eq(0), self.block.eq(self.block + 1)]
                with m.If(last_block):
                    m.d.sync += running.eq(0)
        return m
