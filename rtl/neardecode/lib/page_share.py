"""One memory, two readers of pages."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import TAG_BITS
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["FIRST_TAG", "PageShare"]

FIRST_TAG = 1 << TAG_BITS - 1
"""Tags of the first reader's requests have this bit, those of the second have not."""


class PageShare(wiring.Component):
    """Joins requests, the first reader's before the second's, and parts the beats by their tags.

    The memory answers in order, so a reader that takes no beats holds the other up: the first one
    must take its beats without waiting for the second.

    Latency: none. Rate: a request and a beat a cycle.

    Parameters:
        address_bits: Bits of a page's address.
        beat_bytes: Bytes of a beat.

    Members:
        asked: In(stream of `PageRequest`), a reader each.
        given: Out(stream of `PageBeat`), a reader each.
        requests: Out(stream of `PageRequest`).
        beats: In(stream of `PageBeat`).
    """

    asked: Sequence
    given: Sequence
    requests: stream.Interface
    beats: stream.Interface

    def __init__(self, address_bits: int, beat_bytes: int):
        request = stream.Signature(PageRequest(address_bits))
        beat = stream.Signature(PageBeat(beat_bytes))
        super().__init__(
            {
                "asked": In(request).array(2),
                "given": Out(beat).array(2),
                "requests": Out(request),
                "beats": In(beat),
            }
        )

    def elaborate(self, platform) -> Module:
        """What stands stays; the tag says whose a beat is."""
        m = Module()
        first, second = self.asked
        held, chosen, mine, is_first = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            chosen.eq(Mux(held, mine, first.valid)),
            self.requests.valid.eq(Mux(chosen, first.valid, second.valid)),
            self.requests.payload.eq(
                Mux(chosen, first.payload.as_value(), second.payload.as_value())
            ),
            first.ready.eq(chosen & self.requests.ready),
            second.ready.eq(~chosen & self.requests.ready),
            is_first.eq(self.beats.payload.tag[TAG_BITS - 1]),
            self.given[0].valid.eq(self.beats.valid & is_first),
            self.given[1].valid.eq(self.beats.valid & ~is_first),
            self.given[0].payload.eq(self.beats.payload),
            self.given[1].payload.eq(self.beats.payload),
            self.beats.ready.eq(Mux(is_first, self.given[0].ready, self.given[1].ready)),
        ]
        m.d.sync += [held.eq(self.requests.valid & ~self.requests.ready), mine.eq(chosen)]
        return m
