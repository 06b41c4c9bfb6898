"""The lanes of a slice: which multipliers a beat of each format meets."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.command import FORMAT_BITS
from neardecode.config import BLOCK_ELEMENTS, BlockFormat, Config, PageLayout
from neardecode.lib.blockformat import UnpackElements, unpacked_bits

__all__ = ["LaneElements", "Lanes", "choose"]

NIBBLE_BITS = 4
NARROW_BITS = 5
WIDE_BITS = 8


@dataclass(frozen=True)
class Lanes:
    """How a beat's elements fall on strips of 32 multipliers.

    A slice of formats of one element width has a strip a block. Where both widths are wanted, all
    lanes are narrow: an 8-bit block takes two strips, one for the low nibbles and one for the
    high, whose sums are joined behind their adders.

    Attributes:
        layouts: Of a page, for each format.
        activation_bits: Of an activation.
        gap_layouts: Of a page without beats of zeros, for each format; none where there are none.
    """

    layouts: tuple[PageLayout, ...]
    activation_bits: int
    gap_layouts: tuple[PageLayout, ...] = ()

    @classmethod
    def of(cls, config: Config) -> "Lanes":
        """Those of a configuration's slices."""
        return cls(config.weight_layouts, config.compute.activation_bits, config.gap_layouts)

    @property
    def formats(self) -> tuple[BlockFormat, ...]:
        """The formats."""
        return tuple(layout.format for layout in self.layouts)

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return self.layouts[0].beat_bytes

    @property
    def pairs(self) -> bool:
        """Whether an 8-bit block takes two strips."""
        return len({format_.element_bits for format_ in self.formats}) == 2

    @property
    def blocks(self) -> int:
        """Most blocks of a beat."""
        return max(layout.blocks_a_beat for layout in self.layouts)

    @property
    def strips(self) -> int:
        """Strips of 32 multipliers."""
        return self.blocks

    @property
    def strip_layout(self) -> data.ArrayLayout:
        """A beat's integers, by strip and element."""
        strip = data.ArrayLayout(signed(self.element_bits), BLOCK_ELEMENTS)
        return data.ArrayLayout(strip, self.strips)

    @property
    def element_bits(self) -> int:
        """Bits of a multiplier's element, its sign included."""
        if self.pairs:
            return NARROW_BITS
        return max(unpacked_bits(format_) for format_ in self.formats)

    def paired(self, format_: Value) -> Value:
        """Whether a block of a format takes two strips."""
        return choose(format_, {x.format: int(x.blocks_a_beat < self.blocks) for x in self.layouts})

    @property
    def minimums(self) -> bool:
        """Whether a format has minimums."""
        return BlockFormat.Q4_1 in self.formats

    @property
    def mantissas(self) -> bool:
        """Whether a format's scale is more than a power of two."""
        return any(format_.scale_bytes > 1 for format_ in self.formats)

    @property
    def dot_latency(self) -> int:
        """Cycles from a row's last beat at the multipliers to its result."""
        return 4 if self.mantissas else 3

    @property
    def dot_bits(self) -> int:
        """Bits of a block's integer dot product, its sign included."""
        widest = WIDE_BITS if self.pairs else self.element_bits
        return widest + self.activation_bits + ceil_log2(BLOCK_ELEMENTS)

    @property
    def sum_bits(self) -> int:
        """Bits of the sum of a block's activations."""
        return self.activation_bits + ceil_log2(BLOCK_ELEMENTS)


def choose(format_: Value, values: dict[BlockFormat, int]) -> Value:
    """A number that depends on the format in use; a constant where it does not."""
    different = set(values.values())
    if len(different) == 1:
        return Const(different.pop(), range(max(values.values()) + 1))
    chosen: Value = Const(0)
    for key, value in values.items():
        chosen = chosen | Mux(format_ == key.value, Const(value), 0)
    return chosen


class LaneElements(wiring.Component):
    """Spreads a beat over the strips. Latency: none.

    Parameters:
        lanes: The slice's.

    Members:
        beat: In(8 * beat_bytes).
        format: In(FORMAT_BITS). The value of its `BlockFormat`.
        strips: Out. Signed integers, by strip and element; of a pair the low nibbles first and
            half the strips on the high ones.
    """

    beat: Signal
    format: Signal
    strips: data.View

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        super().__init__(
            {
                "beat": In(8 * lanes.beat_bytes),
                "format": In(FORMAT_BITS),
                "strips": Out(lanes.strip_layout),
            }
        )

    def elaborate(self, platform) -> Module:
        """Each format's elements, and one of them."""
        m = Module()
        lanes = self._lanes
        spread: dict[BlockFormat, Value] = {}
        for format_ in lanes.formats:
            unpack = UnpackElements(format_, lanes.beat_bytes)
            m.submodules[format_.name.lower()] = unpack
            m.d.comb += unpack.beat.eq(self.beat)
            elements = [element for block in unpack.blocks for element in block]
            if lanes.pairs and format_.element_bits == WIDE_BITS:
                low = [Cat(element[:NIBBLE_BITS], Const(0, 1)) for element in elements]
                high = [element[NIBBLE_BITS:].as_signed() for element in elements]
                elements = low + high
            spread[format_] = Cat(_extended(element, lanes.element_bits) for element in elements)
        *others, last = spread
        with m.Switch(self.format):
            for format_ in others:
                with m.Case(format_.value):
                    m.d.comb += self.strips.as_value().eq(spread[format_])
            with m.Default():
                m.d.comb += self.strips.as_value().eq(spread[last])
        return m


def _extended(element: Value, bits: int) -> Value:
    missing = bits - len(element)
    return element if missing == 0 else Cat(element, element[-1].replicate(missing))
