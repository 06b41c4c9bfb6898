"""Whether a write may go on: the checks against units and against its block.

Source: OCP HBF v0.7.0, sections 5.6 (table 13) and 11.5.2.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Flash
from neardecode.flash.blocks.ports import BlockState
from neardecode.flash.sections import host_of
from neardecode.flash.status import WriteStatus
from neardecode.flash.write.ports import Fate, WriteOpen

__all__ = ["WriteCheck"]


class WriteCheck(wiring.Component):
    """The first check that refuses a command gives its answer.

    Latency: none, it has no state.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        command: In(`WriteOpen`).
        hit: In(1). A live unit has its page.
        gathers: In(1). That unit gathers.
        overlap: In(1). One of the command's beats was promised to it.
        full: In(1). No more units may be in use.
        block_used: In(1). A live unit has a page of its block.
        block: In(`BlockState`). The record of its block.
        fate: Out(`Fate`). How it is refused, or OK.
        opens: Out(1). It is not refused, and it opens a unit.
    """

    command: data.View
    hit: Signal
    gathers: Signal
    overlap: Signal
    full: Signal
    block_used: Signal
    block: data.View
    fate: data.View
    opens: Signal

    def __init__(self, config: Flash):
        self._host = host_of(config)
        super().__init__(
            {
                "command": In(WriteOpen(config)),
                "hit": In(1),
                "gathers": In(1),
                "overlap": In(1),
                "full": In(1),
                "block_used": In(1),
                "block": In(BlockState(config)),
                "fate": Out(Fate()),
                "opens": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """One condition after another."""
        m = Module()
        page = self.command.row[: exact_log2(self._host.pages_a_block)]

        def refuse(status: WriteStatus, info: int = 0) -> None:
            m.d.comb += [self.fate.status.eq(status.value), self.fate.info.eq(info)]

        with m.If(self.command.refused != 0):
            m.d.comb += [
                self.fate.status.eq(self.command.refused),
                self.fate.info.eq(self.command.info),
            ]
        with m.Elif(self.hit), m.If(~self.gathers | self.overlap):
            refuse(WriteStatus.OVERLAP)
        with m.Elif(self.full):
            refuse(WriteStatus.TOO_MANY_UNITS)
        with m.Elif(self.block.retired != 0):
            refuse(WriteStatus.INVALID_ADDRESS)
        with m.Elif(page == 0):
            with m.If(self.block_used):
                refuse(WriteStatus.ORDER, 1)
            with m.Else():
                m.d.comb += self.opens.eq(1)
        with m.Elif(self.block.failed):
            refuse(WriteStatus.ORDER, 2)
        with m.Elif(page == self.block.next_page):
            m.d.comb += self.opens.eq(1)
        with m.Elif(page < self.block.next_page):
            refuse(WriteStatus.OVERLAP)
        with m.Else():
            refuse(WriteStatus.ORDER, 1)
        return m
