"""New keys and values into the pages of a memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.lib.once import once
from neardecode.lib.page import BeatWrite
from neardecode.vector.quantiser import ScaledBlock

__all__ = ["KvAppender", "RowPlace"]

ELEMENT_BITS = 8


class RowPlace(data.StructLayout):
    """Where a row of a key or value goes.

    Fields:
        page: The page of its first beat.
        beat: Which beat of elements of that page.
    """

    def __init__(self, config: Config, address_bits: int):
        super().__init__(
            {
                "page": unsigned(address_bits),
                "beat": unsigned(exact_log2(config.flash.page_beats)),
            }
        )


@once
class KvAppender(wiring.Component):
    """Writes rows of MXINT8 blocks as `PageLayout` says.

    A beat of elements is gathered from its blocks and written whole; then the scales of its blocks,
    in the beat of scales that holds them, by strobes: the scales beside them stay. A row that
    reaches beyond its page goes on in the next. All are written before a read that is asked for
    once ``idle`` is high.

    Latency: a beat is offered in the cycle after its last block. Rate: a beat of elements in
    ``blocks_a_beat + 2`` cycles.

    Parameters:
        config: A configuration.
        address_bits: Bits of a page's address.

    Members:
        places: In(stream of `RowPlace`). One a row.
        blocks: In(stream of `ScaledBlock` of 8 bits). The rows', ``head_elements`` each.
        writes: Out(stream of `BeatWrite`).
        idle: Out(1). Nothing is offered, and all that was taken has left.
    """

    places: stream.Interface
    blocks: stream.Interface
    writes: stream.Interface
    idle: Signal

    def __init__(self, config: Config, address_bits: int):
        self._config, self._address_bits = config, address_bits
        flash = config.flash
        write = BeatWrite(address_bits, flash.page_beats, flash.beat_bytes)
        super().__init__(
            {
                "places": In(stream.Signature(RowPlace(config, address_bits))),
                "blocks": In(stream.Signature(ScaledBlock(ELEMENT_BITS))),
                "writes": Out(stream.Signature(write)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Gather a beat, write it, write its scales."""
        m = Module()
        layout = self._config.kv_layout
        slots, size = layout.blocks_a_beat, layout.beat_bytes
        row_beats = self._config.compute.head_elements // (BLOCK_ELEMENTS * slots)
        place, write, block = self.places.payload, self.writes.payload, self.blocks.payload
        elements = Signal(data.ArrayLayout(8 * BLOCK_ELEMENTS, slots))
        scales = Signal(data.ArrayLayout(8, slots))
        slot = Signal(range(slots))
        row_beat = Signal(range(row_beats))
        # Counted from the place of the row.
        page = Signal(self._address_bits)
        beat = Signal(exact_log2(layout.beats))
        here_page, here_beat = Signal.like(page), Signal.like(beat)
        begun = Signal()
        last_slot, last_beat = Signal(), Signal()
        m.d.comb += [
            here_page.eq(Mux(begun, page, place.page)),
            here_beat.eq(Mux(begun, beat, place.beat)),
            last_slot.eq(slot == slots - 1),
            last_beat.eq(row_beat == row_beats - 1),
            write.page.eq(here_page),
        ]
        with m.FSM() as machine:
            with m.State("Gather"):
                m.d.comb += self.blocks.ready.eq(self.places.valid)
                with m.If(self.blocks.valid & self.places.valid):
                    m.d.sync += slot.eq(Mux(last_slot, 0, slot + 1))
                    for index in range(slots):
                        with m.If(slot == index):
                            m.d.sync += [
                                elements[index].eq(block.elements.as_value()),
                                scales[index].eq(block.exponent),
                            ]
                    with m.If(last_slot):
                        m.next = "Elements"
            with m.State("Elements"):
                m.d.comb += [
                    self.writes.valid.eq(1),
                    write.beat.eq(layout.scale_beats + here_beat),
                    write.data.eq(elements.as_value()),
                    write.strobe.eq((1 << size) - 1),
                ]
                with m.If(self.writes.ready):
                    m.next = "Scales"
            with m.State("Scales"):
                # A beat's scales follow those of the beats before it, and never straddle beats.
                first = Signal(range(layout.scale_beats * size))
                groups = size // slots
                m.d.comb += [
                    first.eq(here_beat * slots),
                    self.writes.valid.eq(1),
                    write.beat.eq(first >> exact_log2(size)),
                    write.data.eq(Cat(scales for _ in range(groups))),
                    write.strobe.eq(((1 << slots) - 1) << first[: exact_log2(size)]),
                ]
                with m.If(self.writes.ready):
                    ends_page = here_beat == layout.element_beats - 1
                    m.d.sync += [
                        begun.eq(~last_beat),
                        row_beat.eq(Mux(last_beat, 0, row_beat + 1)),
                        page.eq(here_page + ends_page),
                        beat.eq(Mux(ends_page, 0, here_beat + 1)),
                    ]
                    m.d.comb += self.places.ready.eq(last_beat)
                    m.next = "Gather"
            m.d.comb += self.idle.eq(
                machine.ongoing("Gather") & (slot == 0) & ~begun & ~self.places.valid
            )
        return m
