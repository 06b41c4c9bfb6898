"""The sums of a MAC slice in accumulate mode: one accumulator a lane and vector."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.compute.command import SliceSum
from neardecode.compute.lanes import WIDE_BITS, Lanes
from neardecode.compute.scales import EXPONENT_BITS
from neardecode.compute.sum_lane import SumLane
from neardecode.config import BLOCK_ELEMENTS, TAG_BITS
from neardecode.config import Compute as ComputeConfig
from neardecode.lib.blockformat import E8M0_BIAS

__all__ = ["SumLanes", "SumMark", "SumRows"]

ELEMENT_POINT = 6
"""Bits of an MXINT8 element behind its binary point."""


class SumMark(data.StructLayout):
    """What a beat is to the sums.

    Fields:
        valid: The beat is one of rows to accumulate.
        address: The beat of its row.
        first: It is of its command's first row.
        last: It is the last of its row.
        keep: The command goes on with the sums as they stand.
        adds: The row is counted; others only pass.
        deliver: It is the last of a command whose sums are given out.
        error: Its page could not be read.
        rescale: The command's.
        tag: The command's.
    """

    def __init__(self, config: ComputeConfig, beats: int):
        super().__init__(
            {
                "valid": 1,
                "address": unsigned(ceil_log2(beats)),
                "first": 1,
                "last": 1,
                "keep": 1,
                "adds": 1,
                "deliver": 1,
                "error": 1,
                "rescale": data.ArrayLayout(
                    unsigned(ceil_log2(config.accumulator_bits)), config.vectors
                ),
                "tag": TAG_BITS,
            }
        )


class SumLanes(wiring.Component):
    """Adds up the rows of MXINT8 blocks, each row weighted by a probability a vector.

    An element's integer, 8 bits, times the mantissa is shifted by the exponents of its block and
    of the probability to the accumulator's binary point, rounded down, and clamped to
    `Compute.sum_term_bits` signed bits. ``rows`` such terms fit the accumulator, and the slice adds
    no more than that since the sums were begun, so no sum overflows; a rescale only makes it
    smaller.

    Sums that are given out stand in one half of the memory while the next ones grow in the other.
    The first is at ``sums`` `latency` cycles after its command's last beat, not counting cycles in
    which ``enable`` is low; then one an element and cycle.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.

    Members:
        enable: In(1). The pipeline moves.
        mark: In(`SumMark`).
        products: In(a vector each, of every element of a beat).
        scales: In(E8M0, a block each).
        exponents: In(E8M0, a vector each). The probabilities'.
        sums: Out(stream of `SliceSum`). In order of element.
        delivered: Out(1). The last sum of a command leaves.
        awake: Out(1). As `Sleeper`.
    """

    latency = 3
    """Cycles from a beat's products to the first sum."""

    enable: Signal
    mark: data.View
    products: data.View
    scales: data.View
    exponents: data.View
    sums: stream.Interface
    delivered: Signal
    awake: Signal

    def __init__(self, config: ComputeConfig, lanes: Lanes):
        self._config = config
        self._lane_count = lanes.beat_bytes
        self._blocks = lanes.beat_bytes // BLOCK_ELEMENTS
        self._beats = config.head_elements // lanes.beat_bytes
        product = signed(WIDE_BITS + config.activation_bits)
        super().__init__(
            {
                "enable": In(1),
                "mark": In(SumMark(config, self._beats)),
                "products": In(
                    data.ArrayLayout(data.ArrayLayout(product, self._lane_count), config.vectors)
                ),
                "scales": In(data.ArrayLayout(8, self._blocks)),
                "exponents": In(data.ArrayLayout(8, config.vectors)),
                "sums": Out(stream.Signature(SliceSum(config))),
                "delivered": Out(1),
                "awake": Out(1),
            }
        )

    @property
    def beats(self) -> int:
        """Most beats of a row."""
        return self._beats

    def elaborate(self, platform) -> Module:
        """Align, add to the memory, give out."""
        m = Module()
        config, vectors = self._config, self._config.vectors
        bias = 2 * E8M0_BIAS + ELEMENT_POINT + config.activation_bits - 1 - config.fraction_bits
        marks = [Signal(SumMark(config, self._beats), name=f"mark_{stage}") for stage in range(2)]
        with m.If(self.enable):
            m.d.sync += [marks[0].eq(self.mark), marks[1].eq(marks[0])]
        under_way = Cat(each.valid for each in (self.mark, *marks)).any()
        m.d.comb += self.awake.eq(under_way | self.sums.valid)
        keep_product = self.enable & self.mark.valid
        keep_term = self.enable & marks[0].valid
        mark = marks[1]
        adds = Signal()
        begun = Signal()
        m.d.comb += adds.eq(self.enable & mark.valid)

        # The halves of the memory; after a delivery the first row moves from one to the other.
        half = Signal()
        moves = Signal()
        begins = mark.first & ~(mark.keep & begun)
        word = data.ArrayLayout(
            data.ArrayLayout(signed(config.accumulator_bits), self._lane_count), vectors
        )
        m.submodules.memory = memory = Memory(shape=word, depth=2 * self._beats, init=[])
        write = memory.write_port()
        old = memory.read_port(domain="comb")
        out = memory.read_port(domain="comb")
        address = mark.address[: exact_log2(self._beats)]
        m.d.comb += [
            old.addr.eq(Cat(address, half ^ (moves & mark.first))),
            write.addr.eq(Cat(address, half)),
            write.en.eq(adds),
        ]
        with m.If(adds & mark.last):
            m.d.sync += [begun.eq(1), moves.eq(mark.deliver | (moves & ~mark.first))]
            with m.If(mark.deliver):
                m.d.sync += half.eq(~half)

        saturated = Signal(vectors)
        error = Signal()
        wrong = Signal(vectors)
        for index in range(vectors):
            clamped = []
            shifts = [
                Signal(signed(EXPONENT_BITS), name=f"shift_{index}_{block}")
                for block in range(self._blocks)
            ]
            with m.If(keep_product):
                m.d.sync += [
                    shift.eq(self.scales[block] + self.exponents[index] - bias)
                    for block, shift in enumerate(shifts)
                ]
            for number in range(self._lane_count):
                m.submodules[f"lane_{index}_{number}"] = lane = SumLane(config)
                m.d.comb += [
                    lane.keep_product.eq(keep_product),
                    lane.product.eq(self.products[index][number]),
                    lane.shift.eq(shifts[number // BLOCK_ELEMENTS]),
                    lane.keep_term.eq(keep_term),
                    lane.begins.eq(begins),
                    lane.adds.eq(mark.adds),
                    lane.rescale.eq(Mux(mark.first, mark.rescale[index], 0)),
                    lane.old.eq(old.data[index][number]),
                    write.data[index][number].eq(lane.new),
                ]
                clamped.append(lane.clamped)
            with m.If(keep_term):
                m.d.sync += wrong[index].eq(Cat(clamped).any())

        # What was wrong since the sums were begun; the first beat of a command begins them.
        begin_now = begins & (mark.address == 0)
        now_saturated = Mux(begin_now, 0, saturated) | Mux(mark.adds, wrong, (1 << vectors) - 1)
        now_error = Mux(begin_now, 0, error) | mark.error
        with m.If(adds):
            m.d.sync += [saturated.eq(now_saturated), error.eq(now_error)]

        self._give_out(
            m, adds & mark.last & mark.deliver, mark, half, now_saturated, now_error, out
        )
        return m

    def _give_out(
        self,
        m: Module,
        starts: Value,
        mark: data.View,
        half: Value,
        saturated: Value,
        error: Value,
        port,
    ) -> None:
        """Walks over the sums of a command, an element a cycle."""
        payload = self.sums.payload
        lane_bits = exact_log2(self._lane_count)
        element = Signal(payload.element.shape())
        last = Signal(payload.element.shape())
        from_half = Signal()
        giving = Signal()
        held = Signal(data.StructLayout({"saturated": len(saturated), "error": 1, "tag": TAG_BITS}))
        m.d.comb += [
            self.sums.valid.eq(giving),
            self.delivered.eq(giving & self.sums.ready & (element == last)),
            port.addr.eq(Cat(element[lane_bits:], from_half)),
            payload.element.eq(element),
            payload.saturated.eq(held.saturated),
            payload.error.eq(held.error),
            payload.tag.eq(held.tag),
        ]
        for index in range(self._config.vectors):
            bits = self._config.accumulator_bits
            m.d.comb += payload.values[index].eq(
                port.data[index].as_value().word_select(element[:lane_bits], bits)
            )
        with m.If(giving & self.sums.ready):
            m.d.sync += [element.eq(element + 1), giving.eq(element != last)]
        with m.If(starts):
            m.d.sync += [
                giving.eq(1),
                element.eq(0),
                last.eq(Cat(Const((1 << lane_bits) - 1, lane_bits), mark.address)),
                from_half.eq(half),
                held.saturated.eq(saturated),
                held.error.eq(error),
                held.tag.eq(mark.tag),
            ]


class SumRows(wiring.Component):
    """Counts the rows that were added since the sums were begun: lanes have bits for so many.

    Parameters:
        config: The compute section of a configuration.

    Members:
        keep: In(1). The command goes on from the last sums.
        added: In(1). A row is added, or would be.
        ended: In(1). The command ends.
        first: Out(1). No row of the command was added yet.
        full: Out(1). No more may be added.
    """

    keep: Signal
    added: Signal
    ended: Signal
    first: Signal
    full: Signal

    def __init__(self, config: ComputeConfig):
        self._config = config
        names = {"keep": In(1), "added": In(1), "ended": In(1)}
        super().__init__({**names, "first": Out(1), "full": Out(1)})

    def elaborate(self, platform) -> Module:
        """One count, from zero where sums begin."""
        m = Module()
        first = Signal(init=1)
        added = Signal(self._config.row_bits + 1)
        counted = Mux(first & ~self.keep, 0, added)
        m.d.comb += [self.first.eq(first), self.full.eq(counted[self._config.row_bits])]
        with m.If(self.added):
            m.d.sync += [first.eq(0), added.eq(Mux(self.full, counted, counted + 1))]
        with m.If(self.ended):
            m.d.sync += first.eq(1)
        return m
