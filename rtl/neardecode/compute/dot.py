"""The block dot unit: the multipliers of a MAC slice, and its arithmetic in dot mode."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from neardecode.compute.activation import activation_beat
from neardecode.compute.command import FORMAT_BITS
from neardecode.compute.lanes import NIBBLE_BITS, WIDE_BITS, Lanes, choose
from neardecode.compute.scales import UnpackScales, scale_words
from neardecode.compute.terms import BlockTerm
from neardecode.config import BLOCK_ELEMENTS, BlockFormat
from neardecode.config import Compute as ComputeConfig

__all__ = ["BlockDot", "RowMark"]


class RowMark(data.StructLayout):
    """How a beat's blocks belong to rows: at most one row ends within a beat.

    Fields:
        valid: The beat is one of rows to multiply.
        last: A row ends in it.
        ending: Blocks of the row that is open when the beat comes.
        beginning: Blocks of the next row.
    """

    def __init__(self, blocks: int):
        super().__init__({"valid": 1, "last": 1, "ending": blocks, "beginning": blocks})


class BlockDot(wiring.Component):
    """Multiplies a beat of blocks by as many activation blocks of each vector and adds up rows.

    A block's integer dot product, below ``2^(dot_bits - 1)`` in magnitude, is multiplied by the
    11-bit mantissa of its scale where that has one, shifted by the sum of both exponents to the
    accumulator's binary point, rounded down, and clamped to `Compute.term_bits` signed bits. In
    Q4_1 the minimum times the sum of the activations is a second term, and each is clamped to one
    bit less. ``blocks_a_row`` blocks fit the accumulator, since
    ``2^(term_bits - 1) * blocks_a_row = 2^(accumulator_bits - 1)``, so no sum overflows.

    Latency `latency` cycles from a row's last beat to its result, rate one beat a cycle; a cycle in
    which ``enable`` is low does not count.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.

    Members:
        enable: In(1). The pipeline moves.
        enters: In(1). The ``strips`` are of the beat that comes in the next cycle.
        strips: In. Its elements, as `LaneElements` spreads them.
        mark: In(`RowMark`).
        format: In(FORMAT_BITS). The value of the beat's `BlockFormat`.
        words: In(`scale_words`). The blocks' scales.
        activations: In(`activation_beat`, a vector each).
        weighing: In(1). Multiply by ``mantissas`` in place of activations.
        mantissas: In(a vector each). Only where there are sums.
        products: Out(a vector each, of every element of a beat of MXINT8). In the same cycle. Only
            where there are sums.
        done: Out(1). A row is done.
        values: Out(accumulator_bits, a vector each).
        saturated: Out(vectors). A term was clamped, or a scale invalid.
        awake: Out(1). As `Sleeper`.
    """

    enable: Signal
    enters: Signal
    strips: data.View
    mark: data.View
    format: Signal
    words: data.View
    activations: data.View
    weighing: Signal
    mantissas: data.View
    products: data.View
    done: Signal
    values: data.View
    saturated: Signal
    awake: Signal

    def __init__(self, config: ComputeConfig, lanes: Lanes):
        self._config, self._lanes = config, lanes
        vectors = config.vectors
        members = {
            "enable": In(1),
            "enters": In(1),
            "strips": In(lanes.strip_layout),
            "mark": In(RowMark(lanes.blocks)),
            "format": In(FORMAT_BITS),
            "words": In(scale_words(lanes)),
            "activations": In(data.ArrayLayout(activation_beat(config, lanes), vectors)),
            "done": Out(1),
            "values": Out(data.ArrayLayout(signed(config.accumulator_bits), vectors)),
            "saturated": Out(vectors),
            "awake": Out(1),
        }
        if config.head_elements:
            product = signed(WIDE_BITS + config.activation_bits)
            members |= {
                "weighing": In(1),
                "mantissas": In(data.ArrayLayout(unsigned(config.activation_bits - 1), vectors)),
                "products": Out(
                    data.ArrayLayout(data.ArrayLayout(product, lanes.beat_bytes), vectors)
                ),
            }
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles from a row's last beat to its result."""
        return self._lanes.dot_latency

    def elaborate(self, platform) -> Module:
        """Multiply and add, scale, align, add up, accumulate."""
        m = Module()
        config, lanes = self._config, self._lanes

        marks = [
            Signal(RowMark(lanes.blocks), name=f"mark_{stage}") for stage in range(self.latency - 1)
        ]
        formats = [Signal(FORMAT_BITS, name=f"format_{stage}") for stage in range(len(marks) - 1)]
        with m.If(self.enable):
            m.d.sync += [
                later.eq(earlier)
                for stages, first in ((marks, self.mark), (formats, self.format))
                for earlier, later in zip([first, *stages], stages, strict=False)
            ]

        under_way = Cat(each.valid for each in (self.mark, *marks)).any()
        m.d.comb += self.awake.eq(self.enters | under_way | self.done)
        self._strips = data.View(lanes.strip_layout, Signal(lanes.strip_layout, name="held"))
        with m.If(self.enters):
            m.d.sync += self._strips.eq(self.strips)

        # Scales belong to blocks and are the same for every vector.
        words, format_ = self.words, self.format
        if lanes.mantissas:
            words = Signal(scale_words(lanes), name="scales_0")
            format_ = formats[0]
            with m.If(self.enable & self.mark.valid):
                m.d.sync += words.eq(self.words)
        scales = [self._unpack(m, f"scale_{b}", words.scales[b], format_) for b in self._blocks]
        least = []
        if lanes.minimums:
            fp16 = Const(BlockFormat.Q4_1.value, FORMAT_BITS)
            least = [self._unpack(m, f"least_{b}", words.minimums[b], fp16) for b in self._blocks]

        for index in range(config.vectors):
            activations = self.activations[index]
            ending, beginning = [], []
            wrong_ending, wrong_beginning = [], []
            mark = marks[-2]
            for block, dot in enumerate(self._dots(m, index)):
                m.submodules[f"term_{index}_{block}"] = term = BlockTerm(config, lanes)
                m.d.comb += [
                    term.keep.eq(self.enable & self.mark.valid),
                    term.dot.eq(dot),
                    term.exponent.eq(activations.exponents[block]),
                    term.narrow.eq(self._has_minimums(formats[-1])),
                ]
                connect(m, scales[block].scale, term.scale)
                if lanes.mantissas:
                    m.d.comb += term.keep_product.eq(self.enable & marks[0].valid)
                if lanes.minimums:
                    m.d.comb += [
                        term.sum.eq(activations.sums[block]),
                        term.has_least.eq(self._has_minimums(format_)),
                    ]
                    connect(m, least[block].scale, term.least)
                for terms, flags, mask in (
                    (ending, wrong_ending, mark.ending[block]),
                    (beginning, wrong_beginning, mark.beginning[block]),
                ):
                    terms.append(Mux(mask, term.term, 0))
                    flags.append(term.wrong & mask)

            # What the row that is open gains, and what the next one begins with.
            total = Signal(
                signed(config.term_bits + ceil_log2(lanes.blocks)), name=f"total_{index}"
            )
            following = Signal(total.shape(), name=f"following_{index}")
            flags = Signal(2, name=f"flags_{index}")
            with m.If(self.enable & mark.valid):
                m.d.sync += [
                    total.eq(_sum(ending)),
                    following.eq(_sum(beginning)),
                    flags.eq(Cat(Cat(wrong_ending).any(), Cat(wrong_beginning).any())),
                ]
            self._accumulate(m, index, marks[-1], total, following, flags)
        with m.If(self.enable):
            m.d.sync += self.done.eq(marks[-1].valid & marks[-1].last)
        return m

    @property
    def _blocks(self) -> range:
        return range(self._lanes.blocks)

    def _unpack(self, m: Module, name: str, word: Value, format_: Value) -> UnpackScales:
        unpack = UnpackScales(self._lanes)
        m.submodules[name] = unpack
        m.d.comb += [unpack.word.eq(word), unpack.format.eq(format_)]
        return unpack

    def _has_minimums(self, format_: Value) -> Value:
        return choose(format_, {f: int(f is BlockFormat.Q4_1) for f in self._lanes.formats})

    def _dots(self, m: Module, index: int) -> list[Value]:
        """The integer dot products of a beat's blocks with one vector."""
        lanes = self._lanes
        half = lanes.strips // 2
        strips = []
        products = []
        for strip in range(lanes.strips):
            factors = list(self.activations[index].elements[strip])
            if self._config.head_elements:
                mantissa = Cat(self.mantissas[index], Const(0, 1)).as_signed()
                factors = [Mux(self.weighing, mantissa, factor) for factor in factors]
            strips.append(
                [
                    element * factor
                    for element, factor in zip(self._strips[strip], factors, strict=True)
                ]
            )
        if self._config.head_elements:
            joined = []
            for strip in range(lanes.beat_bytes // BLOCK_ELEMENTS):
                for lane in range(BLOCK_ELEMENTS):
                    product = Signal.like(self.products[index][0], name=f"product_{index}")
                    m.d.comb += product.eq(strips[strip][lane])
                    strips[strip][lane] = product
                    whole: Value = product
                    if lanes.pairs:
                        whole = product + (strips[strip + half][lane] << NIBBLE_BITS)
                    joined.append(whole)
            products = [self.products[index][lane].eq(whole) for lane, whole in enumerate(joined)]
        m.d.comb += products
        dots = [_sum(strip) for strip in strips]
        if lanes.pairs:
            wide = choose(self.format, {f: int(f.element_bits == WIDE_BITS) for f in lanes.formats})
            for block in range(half):
                dots[block] = dots[block] + Mux(wide, dots[block + half] << NIBBLE_BITS, 0)
        return dots

    def _accumulate(
        self, m: Module, index: int, mark: data.View, total: Value, following: Value, flags: Value
    ) -> None:
        """The row so far, and the value of the one that ends."""
        value = self.values[index]
        open_ = Signal(value.shape(), name=f"open_{index}")
        open_wrong = Signal(name=f"open_wrong_{index}")
        so_far = Signal(value.shape(), name=f"so_far_{index}")
        wrong = open_wrong | flags[0]
        m.d.comb += so_far.eq(open_ + total)
        with m.If(self.enable & mark.valid):
            m.d.sync += [
                value.eq(so_far),
                self.saturated[index].eq(wrong),
                open_.eq(Mux(mark.last, following, so_far)),
                open_wrong.eq(Mux(mark.last, flags[1], wrong)),
            ]


def _sum(values: list[Value]) -> Value:
    """Adds values up in a balanced tree."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return _sum(values[:half]) + _sum(values[half:])
