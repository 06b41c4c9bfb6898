"""From the core-die bus through the BCH decoder into the page buffers."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.read.fill import fill_members
from neardecode.flash.read.pages import Slot
from neardecode.flash.sections import flash_code
from neardecode.flash.status import ReadStatus
from neardecode.lib.bch import BchDecoder
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.population import ones

__all__ = [
    "Codeword",
    "CorrectingFill",
    "Correction",
]

SEARCHED_BITS = 32
"""Positions that a correction engine tries in a cycle."""


class Correction(data.StructLayout):
    """How the host wants pages to be corrected.

    Fields:
        host_retry: The host retries a page that cannot be corrected, not the controller.
        stages: Read-retry stages that may be used.
        threshold: Wrong bits in a codeword above which its readers are told to refresh the block.
    """

    def __init__(self):
        super().__init__(
            {"host_retry": unsigned(1), "stages": unsigned(3), "threshold": unsigned(7)}
        )


class Codeword(data.StructLayout):
    """What correction found in a codeword.

    Fields:
        en: There was one in this cycle.
        corrected: Bits that were wrong.
        uncorrectable: There were too many.
    """

    def __init__(self):
        super().__init__(
            {"en": unsigned(1), "corrected": unsigned(7), "uncorrectable": unsigned(1)}
        )


class CorrectingFill(wiring.Component):
    """Corrects pages on their way into their buffers.

    A page may be read once its last codeword is in its buffer and what came of it is known. One
    that cannot be corrected is sensed again with the next read-retry stage, by the controller or
    by the host; one of nothing but ones, up to ``correctable`` wrong bits, is an erased one.

    Latency, from a page's last beat on the bus until it may be read: that of `BchDecoder`, and a
    codeword. Rate one beat a cycle, as long as the engines follow; a transfer begins only when the
    decoder has room for its page.

    Parameters:
        config: The flash section of a configuration, with ``ecc``.

    Members:
        moved, slot, room, moving, arrives, beat, write, filled, outcome: As `Fill`'s.
        stage: In(3). The read-retry stage of the page at ``filled``.
        correction: In(`Correction`).
        over: In(banks), one a way. The block of that page has been read too often.
        codeword: Out(`Codeword`).
    """

    moved: Signal
    slot: data.View
    room: Signal
    moving: Signal
    arrives: Signal
    beat: data.View
    write: data.View
    filled: data.View
    outcome: data.View
    stage: Signal
    correction: data.View
    over: list[Signal]
    codeword: data.View

    def __init__(self, config: Flash):
        self._config = config
        self._code = flash_code(config)
        super().__init__(
            {
                **fill_members(config),
                "stage": In(3),
                "correction": In(Correction()),
                "over": In(config.banks).array(2),
                "codeword": Out(Codeword()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Credits of the decoder, the pages inside, and what came of each."""
        m = Module()
        config, code = self._config, self._code
        assert config.ecc is not None
        codewords = config.page_beats // code.beats
        slots = 3 * codewords
        m.submodules.decoder = decoder = BchDecoder(
            code, engines=config.ecc.engines, chien_parallel=SEARCHED_BITS, slots=slots
        )
        m.submodules.pages = pages = StreamFIFO(Slot(config.banks), 4)

        credits = Signal(range(slots + 1), init=slots)
        on_bus = Signal(range(5))
        out = decoder.o.payload
        count = Signal(ceil_log2(config.page_beats))
        last = Signal()
        m.d.comb += [
            self.room.eq((credits >= codewords) & pages.i.ready),
            pages.i.valid.eq(self.moved),
            pages.i.payload.eq(self.slot),
            self.moving.eq(on_bus != 0),
            decoder.i.valid.eq(self.arrives),
            decoder.i.payload.eq(self.beat.lanes[: decoder.i.payload.shape().size]),
            decoder.o.ready.eq(1),
            last.eq(decoder.o.valid & (count == config.page_beats - 1)),
            pages.o.ready.eq(last),
            self.write.en.eq(decoder.o.valid),
            self.write.slot.eq(pages.o.payload),
            self.write.beat.eq(count),
            self.write.data.eq(out.data),
            self.codeword.en.eq(decoder.o.valid & out.last),
            self.codeword.corrected.eq(out.corrected),
            self.codeword.uncorrectable.eq(out.uncorrectable),
        ]
        m.d.sync += [
            credits.eq(credits - Mux(self.moved, codewords, 0) + decoder.freed),
            on_bus.eq(on_bus + self.moved - (self.arrives & self.beat.last)),
        ]
        with m.If(decoder.o.valid):
            m.d.sync += count.eq(Mux(last, 0, count + 1))

        # Zeros among the bits as they came: an erased page has next to none.
        limit = code.t
        m.submodules.erased = erased = StreamFIFO(1, 4)
        zeros = Signal(range(limit + 2))
        zeros_now = Signal(range(len(self.beat.lanes) + limit + 2))
        few = Signal()
        m.d.comb += [
            zeros_now.eq(zeros + ones(~self.beat.lanes)),
            few.eq(zeros_now <= limit),
            erased.i.valid.eq(self.arrives & self.beat.last),
            erased.i.payload.eq(few),
            erased.o.ready.eq(last),
        ]
        with m.If(self.arrives):
            m.d.sync += zeros.eq(Mux(self.beat.last, 0, Mux(few, zeros_now, limit + 1)))

        most = Signal(7)
        most_now = Signal(7)
        lost = Signal()
        lost_now = Signal()
        m.d.comb += [
            most_now.eq(Mux(out.corrected > most, out.corrected, most)),
            lost_now.eq(lost | out.uncorrectable),
        ]
        with m.If(last):
            m.d.sync += [most.eq(0), lost.eq(0)]
        with m.Elif(self.codeword.en):
            m.d.sync += [most.eq(most_now), lost.eq(lost_now)]

        over = Signal()
        m.d.comb += [
            over.eq(
                Mux(pages.o.payload.way, self.over[1], self.over[0]).bit_select(
                    pages.o.payload.bank, 1
                )
            ),
            self.filled.en.eq(last),
            self.filled.slot.eq(pages.o.payload),
        ]
        outcome = self.outcome
        retry = Signal()
        m.d.comb += retry.eq(self.stage < self.correction.stages)
        with m.If(erased.o.payload):
            m.d.comb += [outcome.status.eq(ReadStatus.ERASED), self.filled.failed.eq(1)]
        with m.Elif(lost_now & retry & ~self.correction.host_retry):
            m.d.comb += self.filled.again.eq(last)
        with m.Elif(lost_now & retry):
            m.d.comb += [
                outcome.status.eq(ReadStatus.RETRY),
                outcome.info.eq(self.stage + 1),
                self.filled.failed.eq(1),
            ]
        with m.Elif(lost_now):
            m.d.comb += [
                outcome.status.eq(ReadStatus.UNCORRECTABLE),
                outcome.info.eq(Mux(over, 1, 2)),
                self.filled.failed.eq(1),
            ]
        with m.Elif(over | (most_now > self.correction.threshold)):
            m.d.comb += [
                outcome.status.eq(ReadStatus.CORRECTED),
                outcome.info.eq(Mux(over, 1, 2)),
            ]
        with m.Else():
            m.d.comb += outcome.status.eq(ReadStatus.OK)
        return m
