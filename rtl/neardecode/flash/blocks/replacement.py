"""Bad blocks reported from two sides, the write path's and the host's, one at a time."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Flash
from neardecode.flash.blocks.ports import BlockAddress

__all__ = ["Replacement"]


class Replacement(wiring.Component):
    """Hands bad blocks to the block table.

    Latency 1 cycle if nothing is before it. The write path waits for its answer; the host's report
    is done some cycles later, before the next can come.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        path: In(`BlockAddress`). A block that the write path found bad.
        path_replaced: Out(1). It was done.
        marked: In(`BlockAddress`). A block that the host reports.
        any_replaced: Out(1). One of either was done.
        replace: Out(`BlockAddress`). To the table.
        replaced: In(1). The table did it.
    """

    path: data.View
    path_replaced: Signal
    marked: data.View
    any_replaced: Signal
    replace: data.View
    replaced: Signal

    def __init__(self, config: Flash):
        self._config = config
        super().__init__(
            {
                "path": In(BlockAddress(config)),
                "path_replaced": Out(1),
                "marked": In(BlockAddress(config)),
                "any_replaced": Out(1),
                "replace": Out(BlockAddress(config)),
                "replaced": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """What is reported by each, and whose is at work."""
        m = Module()
        path = Signal(BlockAddress(self._config))
        marked = Signal(BlockAddress(self._config))
        working = Signal()
        for_path = Signal()
        m.d.comb += [
            self.replace.eq(Mux(path.en, path, marked)),
            self.replace.en.eq(~working & (path.en | marked.en)),
            self.any_replaced.eq(self.replaced),
            self.path_replaced.eq(self.replaced & for_path),
        ]
        with m.If(self.replace.en):
            m.d.sync += [working.eq(1), for_path.eq(path.en)]
            with m.If(path.en):
                m.d.sync += path.en.eq(0)
            with m.Else():
                m.d.sync += marked.en.eq(0)
        with m.If(self.replaced):
            m.d.sync += working.eq(0)
        with m.If(self.path.en):
            m.d.sync += path.eq(self.path)
        with m.If(self.marked.en):
            m.d.sync += [
                marked.en.eq(1),
                marked.bank.eq(self.marked.bank),
                marked.block.eq(self.marked.block),
            ]
        return m
