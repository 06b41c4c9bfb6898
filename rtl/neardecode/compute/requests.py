"""Asking for the pages of a command's rows, ahead of their use."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.command import SELECTION_BITS, SliceCommand
from neardecode.compute.lanes import Lanes, choose
from neardecode.config import Compute as ComputeConfig
from neardecode.lib.page import PageRequest

__all__ = ["RowRequests", "SelectedPage"]


class SelectedPage(data.StructLayout):
    """A page that was asked for, of a command with a selection.

    Fields:
        row: Its first row.
        last: The command's last page.
        none: No page at all: the command's selection is empty.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__({"row": config.row_bits, "last": 1, "none": 1})


class RowRequests(wiring.Component):
    """Asks for every page that holds a part of a command's rows, or for those that are selected.

    The first page is asked for in the cycle after the command is taken, one more each cycle. Where
    there is a selection, a cycle passes over each page, asked for or not, one goes by before each
    word of it, and one ends the command.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.
        address_bits: Bits of a page's address.

    Members:
        command: In(`SliceCommand`).
        start: In(1). Take the command; only where ``free``.
        free: Out(1). A command may be taken.
        requests: Out(stream of `PageRequest`).
        selections: In(stream of SELECTION_BITS). Bit k of a command's word w says that page
            ``SELECTION_BITS * w + k`` of its run is read. Only where there is a selection.
        pages: Out(stream of `SelectedPage`). What was asked for. Only where there is a selection.
    """

    command: data.View
    start: Signal
    free: Signal
    requests: stream.Interface
    selections: stream.Interface
    pages: stream.Interface

    def __init__(self, config: ComputeConfig, lanes: Lanes, address_bits: int):
        self._config, self._lanes, self._address_bits = config, lanes, address_bits
        members = {
            "command": In(SliceCommand(config, address_bits)),
            "start": In(1),
            "free": Out(1),
            "requests": Out(stream.Signature(PageRequest(address_bits))),
        }
        if config.selection:
            members |= {
                "selections": In(stream.Signature(SELECTION_BITS)),
                "pages": Out(stream.Signature(SelectedPage(config))),
            }
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """What is left of the run, a page less at a time."""
        m = Module()
        config, command, requests = self._config, self.command, self.requests.payload
        blocks = len(command.blocks)
        remaining = Signal(len(command.rows) + blocks)
        page = Signal(self._address_bits + 1)
        appended = Signal()
        row_blocks = Signal(blocks)
        page_blocks = Signal(range(max(layout.blocks for layout in self._lanes.layouts) + 1))
        tag = Signal.like(command.tag)
        asking = Signal()
        final = Signal()
        m.d.comb += [
            asking.eq(remaining != 0),
            final.eq(remaining <= page_blocks),
            self.requests.valid.eq(asking),
            requests.address.eq(page),
            requests.pages.eq(1),
            # Every page that holds a part of the last row.
            requests.fresh.eq(appended & (remaining < page_blocks + row_blocks)),
            requests.tag.eq(tag),
            self.free.eq(~asking | (final & self.requests.ready)),
        ]
        with m.If(asking & self.requests.ready):
            m.d.sync += [remaining.eq(Mux(final, 0, remaining - page_blocks)), page.eq(page + 1)]
        if config.selection:
            self._select(m, page, appended)
        with m.If(self.start):
            m.d.sync += [
                remaining.eq(command.rows * command.blocks),
                page.eq(command.base),
                appended.eq(command.appended),
                row_blocks.eq(command.blocks),
                page_blocks.eq(
                    choose(command.format, {x.format: x.blocks for x in self._lanes.layouts})
                ),
                tag.eq(command.tag),
            ]
            if config.skip_zeros:
                with m.If(command.pages != 0):
                    m.d.sync += [remaining.eq(command.pages), page_blocks.eq(1)]
            if config.selection:
                with m.If(command.page_rows != 0):
                    m.d.sync += remaining.eq(0)
        return m

    def _select(self, m: Module, page: Signal, appended: Signal) -> None:
        """Walks over the pages of a selection; a page is told of once the next one is known."""
        command, pages = self.command, self.pages.payload
        left = Signal.like(command.rows)
        page_rows = Signal.like(command.rows)
        row = Signal(self._config.row_bits)
        word = Signal(SELECTION_BITS)
        bits = Signal(range(SELECTION_BITS + 1))
        walking = Signal()
        held = Signal()
        held_row = Signal.like(row)
        on_page = Signal()
        asks = Signal()
        ends = Signal()
        passes = Signal()
        final = Signal()
        m.d.comb += [
            on_page.eq(walking & (left != 0) & (bits != 0)),
            ends.eq(walking & (left == 0)),
            asks.eq(on_page & word[0]),
            final.eq(left <= page_rows),
            self.selections.ready.eq(walking & (left != 0) & (bits == 0)),
            pages.row.eq(held_row),
            pages.last.eq(ends),
            pages.none.eq(ends & ~held),
            # With a page that is held, the next one is asked for only when that can leave.
            self.pages.valid.eq(ends | (asks & held & self.requests.ready)),
        ]
        with m.If(asks & (~held | self.pages.ready)):
            m.d.comb += [
                self.requests.valid.eq(1),
                self.requests.payload.fresh.eq(appended & final),
            ]
        m.d.comb += passes.eq(on_page & (~word[0] | (self.requests.valid & self.requests.ready)))
        with m.If(walking):
            m.d.comb += self.free.eq(ends & self.pages.ready)
        with m.If(self.selections.valid & self.selections.ready):
            m.d.sync += [word.eq(self.selections.payload), bits.eq(SELECTION_BITS)]
        with m.If(passes):
            m.d.sync += [
                word.eq(word >> 1),
                bits.eq(bits - 1),
                left.eq(Mux(final, 0, left - page_rows)),
                row.eq(row + page_rows),
                page.eq(page + 1),
            ]
            with m.If(word[0]):
                m.d.sync += [held.eq(1), held_row.eq(row)]
        with m.If(ends & self.pages.ready):
            m.d.sync += walking.eq(0)
        with m.If(self.start):
            m.d.sync += [
                walking.eq(command.page_rows != 0),
                left.eq(command.rows),
                page_rows.eq(command.page_rows),
                row.eq(0),
                bits.eq(0),
                held.eq(0),
            ]
