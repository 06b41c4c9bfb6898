"""Which blocks of a beat belong to which row."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.command import FORMAT_BITS
from neardecode.compute.gaps import Gaps
from neardecode.compute.lanes import Lanes, choose
from neardecode.compute.requests import SelectedPage
from neardecode.config import Compute as ComputeConfig
from neardecode.config import PageLayout
from neardecode.lib.page import PageBeat

__all__ = ["RowWalk"]


class RowWalk(wiring.Component):
    """Walks through the pages of a command, beat by beat and row by row.

    Scales come first in a page, then elements; what follows the last row's is dropped. Where pages
    are selected each begins with a row of its own. Where they leave beats of zeros out, their gaps
    come before their scales, and rows that no page of the command holds, because one of them
    could not be read, are ``lost``: one ends in each cycle in which the slice lets it.

    Latency: none; what is said of a beat is said in the cycle in which it is offered. It is
    counted in the cycle in which it is taken.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.
        page_bits: Bits of a command's ``pages``.

    Members:
        format: In. Of the command's blocks.
        rows, blocks: In. As the command's.
        page_rows: In. As the command's; only with ``selection``.
        page: In(`SelectedPage`). Which page it is, where ``page_rows``; only with ``selection``.
        pages: In. As the command's; only with ``skip_zeros``.
        passes: In(1). A row that is lost ends; only with ``skip_zeros``.
        beat: In(`PageBeat`).
        taken: In(1). The beat is taken.
        place: Out. Its place in the page, or among its elements.
        is_gaps, is_scale, is_element: Out(1).
        skipped: Out. Blocks left out before the beat.
        lost: Out(1). No beat holds what is left of the command's rows.
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
    pages: Signal
    passes: Signal
    beat: data.View
    taken: Signal
    place: Signal
    is_gaps: Signal
    is_scale: Signal
    is_element: Signal
    skipped: Signal
    lost: Signal
    row_beat: Signal
    row: Signal
    row_last: Signal
    final: Signal
    ending: Signal
    beginning: Signal
    command_last: Signal
    error: Signal

    def __init__(self, config: ComputeConfig, lanes: Lanes, page_bits: int):
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
            "is_gaps": Out(1),
            "is_scale": Out(1),
            "is_element": Out(1),
            "skipped": Out(range(config.blocks_a_row + 1)),
            "lost": Out(1),
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
        if config.skip_zeros:
            members |= {"pages": In(page_bits), "passes": In(1)}
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """Where the walk is, and what the beat is there."""
        m = Module()
        lanes, beat = self._lanes, self.beat
        gapped: Value = self.pages != 0 if self._config.skip_zeros else Const(0, 1)
        head_beats = self._choose(gapped, lambda layout: layout.head_beats)
        used_beats = self._choose(gapped, lambda layout: layout.head_beats + layout.element_beats)
        beat_blocks = choose(self.format, {x.format: x.blocks_a_beat for x in lanes.layouts})
        page_beat = Signal.like(self.place)
        row_beat = Signal.like(self.row_beat)
        left, left_open = Signal.like(self.blocks), Signal.like(self.blocks)
        left_now = Signal.like(self.blocks)
        page_row = Signal.like(self.row)
        begins = Signal(init=1)
        rows_done, last_row, stops, exact = Signal(), Signal(), Signal(), Signal()
        page_last, restart = Signal(), Signal()
        failed = Signal()
        m.d.comb += [
            self.is_gaps.eq(gapped & (page_beat == 0)),
            self.is_scale.eq((page_beat < head_beats) & ~self.is_gaps),
            self.is_element.eq((page_beat >= head_beats) & (page_beat < used_beats) & ~rows_done),
            self.place.eq(page_beat - Mux(self.is_scale, gapped, head_beats)),
            left_open.eq(Mux(begins, self.blocks, left)),
            left_now.eq(left_open - self.skipped),
            self.row_beat.eq(row_beat),
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
                    row_beat.eq(Mux(self.row_last & exact, 0, self.row_beat + 1)),
                    failed.eq(beat.error | (failed & ~self.row_last)),
                ]
                with m.If(self.row_last):
                    m.d.sync += [page_row.eq(page_row + 1), rows_done.eq(stops)]
                    with m.If(exact):
                        m.d.sync += failed.eq(0)
        if self._config.skip_zeros:
            with m.If(gapped):
                self._close_gaps(m, left_open, row_beat, page_row, rows_done)
        with m.If(restart):
            m.d.sync += [
                begins.eq(1),
                rows_done.eq(0),
                page_row.eq(0),
                row_beat.eq(0),
                failed.eq(0),
            ]
        blocks = range(lanes.blocks)
        inside = [(Const(block) < beat_blocks) & ~self.lost for block in blocks]
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

    def _choose(self, gapped: Value, number: Callable[[PageLayout], int]) -> Value:
        """A number of a page's layout."""
        layouts, others = self._lanes.layouts, self._lanes.gap_layouts
        chosen = choose(self.format, {layout.format: number(layout) for layout in layouts})
        if not others:
            return chosen
        return Mux(gapped, choose(self.format, {x.format: number(x) for x in others}), chosen)

    def _close_gaps(
        self, m: Module, left: Signal, row_beat: Signal, page_row: Signal, rows_done: Signal
    ) -> None:
        """Places behind what was left out; the command ends with its pages and its rows."""
        m.submodules.gaps = gaps = Gaps(self._lanes, self._config.blocks_a_row)
        page = Signal.like(self.pages)
        ends, last = Signal(), Signal()
        m.d.comb += [
            gaps.format.eq(self.format),
            gaps.beat.eq(self.beat),
            gaps.is_gaps.eq(self.is_gaps),
            gaps.is_element.eq(self.is_element),
            gaps.left.eq(left),
            gaps.taken.eq(self.taken),
            gaps.here.eq(1),
            gaps.restart.eq(self.command_last),
            self.skipped.eq(gaps.skipped),
            self.row_beat.eq(row_beat + gaps.beats),
            self.error.eq(gaps.broken | self.lost),
            last.eq(self.lost | rows_done | (self.is_element & self.row_last & self.final)),
            ends.eq(self.taken & self.beat.last & (page == self.pages - 1)),
            self.command_last.eq((ends & last) | (self.passes & self.final)),
        ]
        with m.If(self.taken & self.beat.last):
            m.d.sync += page.eq(page + 1)
        with m.If(ends & ~last):
            m.d.sync += self.lost.eq(1)
        with m.If(self.lost):
            m.d.comb += self.row_last.eq(1)
        with m.If(self.passes):
            m.d.sync += page_row.eq(page_row + 1)
        with m.If(self.command_last):
            m.d.sync += [page.eq(0), self.lost.eq(0)]
