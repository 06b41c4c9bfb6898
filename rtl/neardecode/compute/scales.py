"""The scales of a page: kept until their elements come, and turned into integers."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.command import FORMAT_BITS
from neardecode.compute.lanes import Lanes
from neardecode.config import BlockFormat
from neardecode.lib.blockformat import E8M0_BIAS, UnpackFp16

__all__ = ["EXPONENT_BITS", "ScaleBuffer", "UnpackScales", "scale_signature", "scale_words"]

EXPONENT_BITS = 10
"""Bits of an exponent and of a sum of exponents, its sign included."""
FP16_BITS = 16
FACTOR_BITS = 12
"""Bits of a signed mantissa."""
_E8M0_POINT = {BlockFormat.MXINT8: 6, BlockFormat.MXFP4: 1}
"""Bits of an element's integer behind its binary point."""


def scale_words(lanes: Lanes) -> data.StructLayout:
    """The scales of a beat as they are stored, a block each, and for Q4_1 the minimums."""
    word = FP16_BITS if lanes.mantissas else 8
    members = {"scales": data.ArrayLayout(unsigned(word), lanes.blocks)}
    if lanes.minimums:
        members["minimums"] = data.ArrayLayout(unsigned(FP16_BITS), lanes.blocks)
    return data.StructLayout(members)


def scale_signature() -> wiring.Signature:
    """A scale as integers, worth ``factor * 2^exponent``.

    Members:
        factor: Out(signed(12)). 1 where the scale is a power of two.
        exponent: Out(signed(10)). Of an element's integer.
        invalid: Out(1). An infinity or a NaN, whose factor is 0.
    """
    return wiring.Signature(
        {
            "factor": Out(signed(FACTOR_BITS)),
            "exponent": Out(signed(EXPONENT_BITS)),
            "invalid": Out(1),
        }
    )


class ScaleBuffer(wiring.Component):
    """Keeps the beats of scales of one page and gives the scales of one beat of elements.

    Parameters:
        lanes: The slice's.

    Members:
        beat: In(8 * beat_bytes). A beat of scales.
        place: In. Which one of its page.
        write: In(1). Keep it.
        format: In(FORMAT_BITS). The value of the page's `BlockFormat`.
        element_beat: In. A beat of elements of the page.
        enable: In(1). Find its scales.
        words: Out(`scale_words`). A cycle later, until the next are found.
    """

    beat: Signal
    place: Signal
    write: Signal
    format: Signal
    element_beat: Signal
    enable: Signal
    words: data.View

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._depth = max(layout.scale_beats for layout in lanes.layouts)
        super().__init__(
            {
                "beat": In(8 * lanes.beat_bytes),
                "place": In(range(self._depth)),
                "write": In(1),
                "format": In(FORMAT_BITS),
                "element_beat": In(range(max(layout.element_beats for layout in lanes.layouts))),
                "enable": In(1),
                "words": Out(scale_words(lanes)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A word of the memory, halved until the scales of a beat are left."""
        m = Module()
        lanes = self._lanes
        m.submodules.memory = memory = Memory(
            shape=unsigned(8 * lanes.beat_bytes), depth=self._depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        # Bytes of scales that meet a beat of elements; all are powers of two.
        sizes = {
            layout.format: layout.blocks_a_beat * layout.format.scale_bytes
            for layout in lanes.layouts
        }
        offset_bits = ceil_log2(self._depth * lanes.beat_bytes)
        format_ = Signal(FORMAT_BITS)
        offset = Signal(offset_bits)
        now = Signal(offset_bits)
        shifted: Value = Const(0)
        for key, size in sizes.items():
            value = (self.element_beat << ceil_log2(size))[:offset_bits]
            shifted = shifted | (
                value if len(sizes) == 1 else Mux(self.format == key.value, value, 0)
            )
        word_bits = ceil_log2(lanes.beat_bytes)
        m.d.comb += [
            write.addr.eq(self.place),
            write.data.eq(self.beat),
            write.en.eq(self.write),
            now.eq(shifted),
            read.addr.eq(now >> word_bits),
            read.en.eq(self.enable),
        ]
        with m.If(self.enable):
            m.d.sync += [offset.eq(now), format_.eq(self.format)]

        part: Value = read.data
        size = lanes.beat_bytes
        parts: dict[int, Value] = {size: part}
        while size > min(sizes.values()):
            size //= 2
            upper = offset[ceil_log2(size)]
            half = Signal(8 * size, name=f"part_{size}")
            m.d.comb += half.eq(Mux(upper, part[8 * size :], part[: 8 * size]))
            part = half
            parts[size] = half

        found: dict[BlockFormat, Value] = {
            key: _words(parts[size], key, lanes) for key, size in sizes.items()
        }
        if len(found) == 1:
            m.d.comb += self.words.as_value().eq(next(iter(found.values())))
        else:
            with m.Switch(format_):
                for key, value in found.items():
                    with m.Case(key.value):
                        m.d.comb += self.words.as_value().eq(value)
        return m


def _words(stored: Value, format_: BlockFormat, lanes: Lanes) -> Value:
    """Scales as they lie in memory, in the order of `scale_words`."""
    layout = next(layout for layout in lanes.layouts if layout.format is format_)
    width = FP16_BITS if lanes.mantissas else 8
    scales, minimums = [], []
    for block in range(lanes.blocks):
        word: Value = Const(0, width)
        least: Value = Const(0, FP16_BITS)
        if block < layout.blocks_a_beat:
            bits = stored.word_select(block, 8 * format_.scale_bytes)
            scale = bits[:FP16_BITS]
            word = Cat(scale, Const(0, width - len(scale)))
            least = bits[FP16_BITS:] if format_ is BlockFormat.Q4_1 else least
        scales.append(word)
        minimums.append(least)
    return Cat(*scales, *(minimums if lanes.minimums else ()))


class UnpackScales(wiring.Component):
    """Turns a block's scale into integers. Latency: none.

    Parameters:
        lanes: The slice's.

    Members:
        word: In. As stored.
        format: In(FORMAT_BITS). The value of its `BlockFormat`.
        scale: Out(`scale_signature`).
    """

    word: Signal
    format: Signal
    scale: wiring.PureInterface

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        super().__init__(
            {
                "word": In(FP16_BITS if lanes.mantissas else 8),
                "format": In(FORMAT_BITS),
                "scale": Out(scale_signature()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Both kinds of scale, and one of them."""
        m = Module()
        scale: Any = self.scale
        powers = [format_ for format_ in self._lanes.formats if format_ in _E8M0_POINT]
        if self._lanes.mantissas:
            m.submodules.fp16 = fp16 = UnpackFp16()
            m.d.comb += [
                fp16.half.eq(self.word),
                scale.factor.eq(Mux(fp16.negative, -fp16.mantissa, fp16.mantissa)),
                scale.exponent.eq(fp16.exponent),
                scale.invalid.eq(fp16.invalid),
            ]
        for format_ in powers:
            with m.If((self.format == format_.value) if len(self._lanes.formats) > 1 else Const(1)):
                m.d.comb += [
                    scale.factor.eq(1),
                    scale.exponent.eq(self.word[:8] - (E8M0_BIAS + _E8M0_POINT[format_])),
                    scale.invalid.eq(0),
                ]
        return m
