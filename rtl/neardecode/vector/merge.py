"""Parts of a row that were computed apart, as one."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Config
from neardecode.vector.stages import Elements, check_lanes

__all__ = ["Maximum", "PartElements", "SoftmaxMerge"]

LARGEST_SHIFT = 63


class Maximum(data.StructLayout):
    """A part's running maximum.

    Fields:
        maximum: An integer.
        last: The row's last part.
    """

    def __init__(self, config: Config):
        super().__init__({"maximum": signed(config.vector.maximum_bits), "last": unsigned(1)})


class PartElements(data.StructLayout):
    """Neighbouring elements of a part: its sum, or its weighted sums.

    Fields:
        values: Signed integers.
        part_last: They are those of the row's last part.
        last: They are the row's last elements; counts with ``part_last`` only.
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__(
            {
                "values": data.ArrayLayout(signed(bits), lanes),
                "part_last": unsigned(1),
                "last": unsigned(1),
            }
        )


class SoftmaxMerge(wiring.Component):
    """Move the elements of each part of a row to the largest maximum, and add them up.

    First the maxima of all parts, then the elements: for each place in turn those of every part,
    in the order of the maxima. A part's sum of weights is an element as its weighted sums are, so
    the same shifter and adder serve all. Sums do not depend on the order of the parts. They are
    exact: the elements of all parts together are what one slice would have added up, so they fit
    its accumulator.

    Latency: 2 cycles from a place's last part to its sum. Rate: ``lanes`` elements a cycle; a sum
    that is not taken holds the block. A row's elements are taken from the cycle after its last
    maximum on, its successor's maxima from the cycle after its last elements on.

    Parameters:
        config: A configuration.
        parts: Most parts of a row.
        lanes: Elements a transfer, a power of two.

    Members:
        maxima: In(stream of `Maximum`).
        i: In(stream of `PartElements` of `bits`).
        largest: Out(signed). The row's maximum, while its elements are taken.
        o: Out(stream of `Elements` of `bits`).

    Raises:
        ValueError: if ``lanes`` is not a power of two, or ``parts`` not an integer of at least 2.
    """

    latency = 2
    """Cycles from a place's last part to its sum."""

    maxima: stream.Interface
    i: stream.Interface
    largest: Signal
    o: stream.Interface

    def __init__(self, config: Config, parts: int, lanes: int = 1):
        check_lanes(lanes)
        if not isinstance(parts, int) or parts < 2:
            raise ValueError(f"parts must be an integer of at least 2, not {parts!r}")
        self._maximum_bits = config.vector.maximum_bits
        self._parts = parts
        self._lanes = lanes
        # A sum of weights has no sign.
        self._bits = max(config.compute.accumulator_bits, config.vector.sum_bits + 1)
        super().__init__(
            {
                "maxima": In(stream.Signature(Maximum(config))),
                "i": In(stream.Signature(PartElements(self._bits, lanes))),
                "largest": Out(signed(self._maximum_bits)),
                "o": Out(stream.Signature(Elements(self._bits, lanes))),
            }
        )

    @property
    def bits(self) -> int:
        """Bits of an element."""
        return self._bits

    def elaborate(self, platform) -> Module:
        """Maxima in a small memory, then a shift and an addition."""
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=signed(self._maximum_bits), depth=self._parts, init=[]
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        adding = Signal()
        part = Signal(ceil_log2(self._parts))
        begun = Signal()
        advance = Signal()
        taken = Signal()
        given = self.i.payload

        m.d.comb += [
            self.maxima.ready.eq(~adding),
            write.addr.eq(part),
            write.data.eq(self.maxima.payload.maximum),
            write.en.eq(self.maxima.valid & ~adding),
            read.addr.eq(part),
            self.i.ready.eq(adding & advance),
            taken.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.maxima.valid & ~adding):
            last = self.maxima.payload.last
            m.d.sync += [
                part.eq(Mux(last, 0, part + 1)),
                adding.eq(last),
                begun.eq(~last),
            ]
            with m.If(~begun | (self.maxima.payload.maximum > self.largest)):
                m.d.sync += self.largest.eq(self.maxima.payload.maximum)
        with m.If(taken):
            m.d.sync += part.eq(Mux(given.part_last, 0, part + 1))
            with m.If(given.part_last & given.last):
                m.d.sync += adding.eq(0)

        distance = Signal(self._maximum_bits)
        shift = Signal(range(LARGEST_SHIFT + 1))
        moved_valid = Signal()
        moved_first = Signal()
        moved_part_last = Signal()
        moved_last = Signal()
        result_valid = Signal()
        result = Signal(Elements(self._bits, self._lanes))
        m.d.comb += [
            distance.eq(self.largest - read.data),
            shift.eq(Mux(distance > LARGEST_SHIFT, LARGEST_SHIFT, distance)),
            advance.eq(~result_valid | self.o.ready),
            self.o.valid.eq(result_valid),
            self.o.payload.eq(result),
        ]
        for lane in range(self._lanes):
            moved = Signal(signed(self._bits), name=f"moved_{lane}")
            with m.If(advance):
                m.d.sync += moved.eq(given.values[lane] >> shift)
                with m.If(moved_valid):
                    m.d.sync += result.values[lane].eq(
                        Mux(moved_first, 0, result.values[lane]) + moved
                    )
        with m.If(advance):
            m.d.sync += [
                moved_valid.eq(taken),
                moved_first.eq(part == 0),
                moved_part_last.eq(given.part_last),
                moved_last.eq(given.last),
                result_valid.eq(moved_valid & moved_part_last),
                result.last.eq(moved_last),
            ]
        return m
