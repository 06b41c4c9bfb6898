"""Words to blocks of a shared exponent."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.lib.blockformat import PackBlock
from neardecode.vector.stages import Elements, check_lanes, move_together

__all__ = ["Quantiser", "ScaledBlock"]


class ScaledBlock(data.StructLayout):
    """32 elements with a shared exponent: ``q * 2^(exponent - 127 - (element_bits - 2))``.

    Fields:
        elements: Signed integers.
        exponent: Biased by 127.
        last: The vector's last block.
    """

    def __init__(self, element_bits: int):
        super().__init__(
            {
                "elements": data.ArrayLayout(signed(element_bits), BLOCK_ELEMENTS),
                "exponent": unsigned(8),
                "last": unsigned(1),
            }
        )


class Quantiser(wiring.Component):
    """Gather words, 32 to a block, and pack them (see `PackBlock`).

    A vector's last block is filled up with zeros.

    Latency: 2 cycles from a block's last words. Rate: ``lanes`` words a cycle; a block that is not
    taken holds the quantiser.

    Parameters:
        config: A configuration.
        element_bits: Of an element: ``activation_bits``, or 8 for keys and values.
        fraction_bits: Of a word.
        lanes: Words a transfer, a power of two up to 32.

    Members:
        i: In(stream of `Elements` of ``word_bits``).
        o: Out(stream of `ScaledBlock`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two up to 32, or as `PackBlock`.
    """

    latency = 2
    """Cycles from a block's last words to the block."""

    i: stream.Interface
    o: stream.Interface
    awake: Signal

    def __init__(self, config: Config, element_bits: int, fraction_bits: int, lanes: int = 1):
        check_lanes(lanes)
        if lanes > BLOCK_ELEMENTS:
            raise ValueError(f"lanes must be at most {BLOCK_ELEMENTS}, not {lanes!r}")
        self._lanes = lanes
        self._pack = PackBlock(config.vector.word_bits, element_bits, fraction_bits)
        super().__init__(
            {
                "i": In(stream.Signature(Elements(config.vector.word_bits, lanes))),
                "o": Out(stream.Signature(ScaledBlock(element_bits))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Places of a block, filled from its first on."""
        m = Module()
        transfers = BLOCK_ELEMENTS // self._lanes
        m.submodules.pack = pack = self._pack
        given = self.i.payload
        place = Signal(range(max(transfers, 2)))
        ends = Signal()
        advance = move_together(m, self, gives=ends)
        last = Signal()
        gathered = Signal.like(pack.values)
        block = Signal(ScaledBlock(pack.element_bits))
        m.d.comb += [
            ends.eq(given.last | (place == transfers - 1)),
            pack.values.eq(gathered),
            self.o.payload.eq(block),
        ]
        with m.If(advance):
            m.d.sync += [
                last.eq(given.last),
                block.elements.eq(pack.elements),
                block.exponent.eq(pack.exponent),
                block.last.eq(last),
            ]
            with m.If(self.i.valid):
                m.d.sync += place.eq(place + 1)
                with m.If(ends):
                    m.d.sync += place.eq(0)
                for index in range(BLOCK_ELEMENTS):
                    transfer, lane = divmod(index, self._lanes)
                    with m.If(place == transfer):
                        m.d.sync += gathered[index].eq(given.values[lane])
                    if transfer:
                        with m.Elif(place == 0):
                            m.d.sync += gathered[index].eq(0)
        return m
