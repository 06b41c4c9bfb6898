"""Splits runs of pages into single pages and checks their addresses."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import TAG_BITS
from neardecode.lib.page import PageRequest

__all__ = ["Page", "PageExpander"]


class Page(data.StructLayout):
    """One page that somebody wants to read.

    Fields:
        bank: The lowest bits of the address, so that consecutive pages stripe across banks.
        row: The page within its bank.
        fresh: Sense it even if it is buffered.
        error: The address is beyond the channel.
        tag: The request's tag.
    """

    def __init__(self, banks: int, rows: int):
        super().__init__(
            {
                "bank": unsigned(ceil_log2(banks)),
                "row": unsigned(ceil_log2(rows)),
                "fresh": unsigned(1),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class PageExpander(wiring.Component):
    """Turns a request for a run of pages into its pages, in order.

    Latency 1 cycle; rate one page a cycle, without a gap between runs.

    Parameters:
        banks: Banks of the channel.
        rows: Pages of a bank.

    Members:
        requests: In(stream of `PageRequest`).
        pages: Out(stream of `Page`).
    """

    requests: stream.Interface
    pages: stream.Interface

    def __init__(self, banks: int, rows: int):
        self._banks = banks
        self._rows = rows
        super().__init__(
            {
                "requests": In(stream.Signature(PageRequest(ceil_log2(banks * rows)))),
                "pages": Out(stream.Signature(Page(banks, rows))),
            }
        )

    def elaborate(self, platform) -> Module:
        """The run at work, one page of it a cycle."""
        m = Module()
        run = Signal(PageRequest(ceil_log2(self._banks * self._rows)))
        page = self.pages.payload
        bank_bits = ceil_log2(self._banks)
        address_bits = ceil_log2(self._banks * self._rows)

        m.d.comb += [
            self.pages.valid.eq(run.pages != 0),
            page.bank.eq(run.address[:bank_bits]),
            page.row.eq(run.address[bank_bits:address_bits]),
            page.error.eq(run.address[address_bits]),
            page.fresh.eq(run.fresh),
            page.tag.eq(run.tag),
            self.requests.ready.eq((run.pages == 0) | ((run.pages == 1) & self.pages.ready)),
        ]
        with m.If(self.pages.valid & self.pages.ready):
            m.d.sync += [
                run.pages.eq(run.pages - 1),
                # Beyond the memory the run stays beyond it.
                run.address.eq((run.address + 1) | (page.error << address_bits)),
            ]
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += run.eq(self.requests.payload)
        return m
