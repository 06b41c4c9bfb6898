"""Beats of zeros that a page leaves out, and where they were."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.command import FORMAT_BITS
from neardecode.compute.lanes import Lanes, choose
from neardecode.lib.page import PageBeat

__all__ = ["Gaps"]

GAP_BITS = 8


class Gaps(wiring.Component):
    """Keeps a page's gaps, and says which pages can no longer be trusted.

    A gap that would reach over a row's last beat, which is always stored, counts as none. From
    such a one on, or from a page that could not be read, the places of a command's rows are not
    known: they all are in error.

    Latency: none; a beat's gap is said in the cycle in which it is offered.

    Parameters:
        lanes: The slice's.
        blocks: Most blocks of a row.

    Members:
        format: In. Of the command's blocks.
        here: In(1). The command's pages have gaps.
        beat: In(`PageBeat`).
        is_gaps, is_element: In(1). What it is.
        left: In. Blocks of the row that are left, those of the gap among them.
        taken: In(1). The beat is taken.
        restart: In(1). The command ends.
        beats, skipped: Out. Beats, and blocks, left out before this one.
        broken: Out(1). Places are not known, from this beat on.
    """

    format: Signal
    here: Signal
    beat: data.View
    is_gaps: Signal
    is_element: Signal
    left: Signal
    taken: Signal
    restart: Signal
    beats: Signal
    skipped: Signal
    broken: Signal

    def __init__(self, lanes: Lanes, blocks: int):
        self._lanes = lanes
        super().__init__(
            {
                "format": In(FORMAT_BITS),
                "here": In(1),
                "beat": In(PageBeat(lanes.beat_bytes)),
                "is_gaps": In(1),
                "is_element": In(1),
                "left": In(range(blocks + 1)),
                "taken": In(1),
                "restart": In(1),
                "beats": Out(GAP_BITS),
                "skipped": Out(range(blocks + 1)),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The gaps that are left of the page, the next one lowest."""
        m = Module()
        gaps = Signal(8 * self._lanes.beat_bytes)
        blocks = Signal(GAP_BITS + self._lanes.blocks.bit_length() - 1)
        beyond, lost = Signal(), Signal()
        beat_blocks = choose(
            self.format, {layout.format: layout.blocks_a_beat for layout in self._lanes.layouts}
        )
        m.d.comb += [
            blocks.eq(gaps[:GAP_BITS] * beat_blocks),
            beyond.eq(self.here & self.is_element & (blocks >= self.left)),
            self.broken.eq(lost | beyond | (self.here & self.beat.error)),
        ]
        with m.If(self.here & self.is_element & ~beyond):
            m.d.comb += [self.beats.eq(gaps[:GAP_BITS]), self.skipped.eq(blocks)]
        with m.If(self.taken):
            m.d.sync += lost.eq(self.broken)
            with m.If(self.is_gaps):
                m.d.sync += gaps.eq(self.beat.data)
            with m.Elif(self.is_element):
                m.d.sync += gaps.eq(gaps >> GAP_BITS)
        with m.If(self.restart):
            m.d.sync += lost.eq(0)
        return m
