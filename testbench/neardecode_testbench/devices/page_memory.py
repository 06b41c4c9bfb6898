"""A memory without banks, rows or refresh: it gives pages at the rate of its bus."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.config import TAG_BITS
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest
from neardecode_testbench.devices.storage import StorageInterface, StoragePort

__all__ = ["QUEUED_BEATS", "RATE_CYCLES", "PageMemory"]

RATE_CYCLES = 16
"""In so many cycles a memory gives `rate` beats."""
QUEUED_REQUESTS = 64
QUEUED_BEATS = 4
"""Beats that wait until they are taken."""


class PageMemory(wiring.Component):
    """Answers page requests in order, the first beat three cycles after the request.

    Parameters:
        address_bits: Bits of a page's address.
        page_beats: Beats of a page, a power of two.
        beat_bytes: Bytes of a beat.
        rate: Beats in 16 cycles, evenly spread.

    Members:
        requests: In(stream of `PageRequest`), one page each.
        beats: Out(stream of `PageBeat`).
        storage: Out(`StoragePort`). Its contents.

    Raises:
        ValueError: if ``rate`` is not an integer of 1 to 16.
    """

    requests: stream.Interface
    beats: stream.Interface
    storage: StorageInterface

    def __init__(self, address_bits: int, page_beats: int, beat_bytes: int, rate: int):
        if not isinstance(rate, int) or not 1 <= rate <= RATE_CYCLES:
            raise ValueError(f"rate must be an integer of 1 to {RATE_CYCLES}, not {rate!r}")
        self._address_bits, self._beat_bytes, self._rate = address_bits, beat_bytes, rate
        self._beat_bits = exact_log2(page_beats)
        super().__init__(
            {
                "requests": In(stream.Signature(PageRequest(address_bits))),
                "beats": Out(stream.Signature(PageBeat(beat_bytes))),
                "storage": Out(StoragePort(address_bits + self._beat_bits, beat_bytes)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A queue of pages, the beat that is due, and a queue for what is on its way."""
        m = Module()
        m.submodules.waiting = waiting = StreamFIFO(
            PageRequest(self._address_bits), QUEUED_REQUESTS
        )
        m.submodules.ready = ready = StreamFIFO(PageBeat(self._beat_bytes), QUEUED_BEATS)
        connect(m, flipped(self.requests), waiting.i)
        connect(m, ready.o, flipped(self.beats))
        owed = Signal(range(RATE_CYCLES))
        total = Signal(range(2 * RATE_CYCLES))
        beat = Signal(self._beat_bits)
        asked = Signal(data.StructLayout({"valid": 1, "first": 1, "last": 1, "tag": TAG_BITS}))
        room = Signal()
        due = Signal()
        # The one that was asked for has no place in the queue yet.
        m.d.comb += [
            room.eq(ready.level + asked.valid < QUEUED_BEATS),
            total.eq(owed + self._rate),
            due.eq(waiting.o.valid & room & (total >= RATE_CYCLES)),
            self.storage.valid.eq(due),
            self.storage.address.eq(Cat(beat, waiting.o.payload.address)),
            waiting.o.ready.eq(due & beat.all()),
            ready.i.valid.eq(asked.valid),
            ready.i.payload.data.eq(self.storage.data),
            ready.i.payload.first.eq(asked.first),
            ready.i.payload.last.eq(asked.last),
            ready.i.payload.tag.eq(asked.tag),
        ]
        # A beat that nobody could take when it was due is not made up for.
        m.d.sync += [
            owed.eq(total),
            asked.valid.eq(due),
            asked.first.eq(beat == 0),
            asked.last.eq(beat.all()),
            asked.tag.eq(waiting.o.payload.tag),
        ]
        with m.If(due):
            m.d.sync += beat.eq(beat + 1)
        return m
