"""Which blocks of a beat belong to which row."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.command import FORMAT_BITS
from neardecode.compute.lanes import Lanes, choose
from neardecode.compute.requests import SelectedPage
from neardecode.config import Compute as ComputeConfig
from neardecode.lib.page import PageBeat

__all__ = ["RowWalk"]


class RowWalk(wiring.Component):
    """Walks through the pages of a command, beat by beat and row by row.

    Scales come first in a page, then elements; what follows the last row's is dropped. Where pages
    are selected each begins with a row of its own.

    Latency: none; what is said of a beat is said in the cycle in which it is offered. It is
    counted in the cycle in which it is taken.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.

    Members:
        format: In. Of the command's blocks.
        rows, blocks: In. As the command's.
        page_rows: In. As the command's; only with ``selection``.
        page: In(`SelectedPage`). Which page it is, where ``page_rows``; only with ``selection``.
        beat: In(`PageBeat`).
        taken: In(1). The beat is taken.
        place: Out. Its place in the page, or among its elements.
        is_scale, is_element: Out(1).
        row_beat: Out. Its place in the row.
        row: Out. The row that ends in it, or is under way.
        row_last, final: Out(1). The row ends; so does the command, with that row.
        ending, beginning: Out(blocks). Blocks of the row, and of the one that follows.
        command_last: Out(1). The command's last beat is taken.
        error: Out(1). A beat of the row was in error.
    """

    format: Signal
    rows: Signal
    blocks: Signal
    page_rows: Signal
    page: data.View
    beat: data.View
    taken: Signal
    place: Signal
    is_scale: Signal
    is_element: Signal
    row_beat: Signal
    row: Signal
    row_last: Signal
    final: Signal
    ending: Signal
    beginning: Signal
    command_last: Signal
    error: Signal

    def __init__(self, config: ComputeConfig, lanes: Lanes):
        self._config, self._lanes = config, lanes
        layouts = lanes.layouts
        longest = config.blocks_a_row // min(layout.blocks_a_beat for layout in layouts)
        members = {
            "format": In(FORMAT_BITS),
            "rows": In(config.row_bits + 1),
            "blocks": In(range(config.blocks_a_row + 1)),
            "beat": In(PageBeat(lanes.beat_bytes)),
            "taken": In(1),
            "place": Out(range(layouts[0].beats)),
            "is_scale": Out(1),
            "is_element": Out(1),
            "row_beat": Out(range(longest)),
            "row": Out(config.row_bits),
            "row_last": Out(1),
            "final": Out(1),
            "ending": Out(lanes.blocks),
            "beginning": Out(lanes.blocks),
            "command_last": Out(1),
            "error": Out(1),
        }
        if config.selection:
            members |= {"page_rows": In(config.row_bits + 1), "page": In(SelectedPage(config))}
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """Where the walk is, and what the beat is there."""
        m = Module()
        lanes, beat = self._lanes, self.beat
        layouts = lanes.layouts
        scale_beats = choose(self.format, {x.format: x.scale_beats for x in layouts})
        used_beats = choose(
            self.format, {x.format: x.scale_beats + x.element_beats for x in layouts}
        )
        beat_blocks = choose(self.format, {x.format: x.blocks_a_beat for x in layouts})
        page_beat = Signal.like(self.place)
        left, left_now = Signal.like(self.blocks), Signal.like(self.blocks)
        page_row = Signal.like(self.row)
        begins = Signal(init=1)
        rows_done, last_row, stops, exact = Signal(), Signal(), Signal(), Signal()
        page_last, restart = Signal(), Signal()
        failed = Signal()
        m.d.comb += [
            self.is_scale.eq(page_beat < scale_beats),
            self.is_element.eq(~self.is_scale & (page_beat < used_beats) & ~rows_done),
            self.place.eq(Mux(self.is_scale, page_beat, page_beat - scale_beats)),
            left_now.eq(Mux(begins, self.blocks, left)),
            exact.eq(left_now == beat_blocks),
            self.row_last.eq(left_now <= beat_blocks),
            self.row.eq(page_row),
            last_row.eq(self.row == self.rows - 1),
            # Behind this row nothing of the page is used.
            stops.eq(last_row),
            self.final.eq(last_row),
            page_last.eq(self.taken & beat.last),
            self.command_last.eq(
                page_last & (rows_done | (self.is_element & self.row_last & stops))
            ),
            restart.eq(self.command_last),
            self.error.eq(failed | beat.error),
        ]
        if self._config.selection:
            with m.If(self.page_rows != 0):
                m.d.comb += [
                    self.row.eq(page_row + self.page.row),
                    stops.eq(last_row | (page_row == self.page_rows - 1)),
                    self.final.eq(self.page.last & stops),
                    self.command_last.eq(page_last & self.page.last),
                    restart.eq(page_last),
                ]
        with m.If(self.taken):
            m.d.sync += page_beat.eq(Mux(beat.last, 0, page_beat + 1))
            with m.If(self.is_element):
                m.d.sync += [
                    begins.eq(0),
                    left.eq(left_now + Mux(self.row_last, self.blocks, 0) - beat_blocks),
                    self.row_beat.eq(Mux(self.row_last & exact, 0, self.row_beat + 1)),
                    failed.eq(beat.error | (failed & ~self.row_last)),
                ]
                with m.If(self.row_last):
                    m.d.sync += [page_row.eq(page_row + 1), rows_done.eq(stops)]
                    with m.If(exact):
                        m.d.sync += failed.eq(0)
        with m.If(restart):
            m.d.sync += [
                begins.eq(1),
                rows_done.eq(0),
                page_row.eq(0),
                self.row_beat.eq(0),
                failed.eq(0),
            ]
        blocks = range(lanes.blocks)
        inside = [Const(block) < beat_blocks for block in blocks]
        m.d.comb += [
            self.ending.eq(
                Cat(
                    inside[block] & (~self.row_last | (Const(block) < left_now)) for block in blocks
                )
            ),
            self.beginning.eq(
                Cat(
                    inside[block] & self.row_last & ~stops & (Const(block) >= left_now)
                    for block in blocks
                )
            ),
        ]
        return m
