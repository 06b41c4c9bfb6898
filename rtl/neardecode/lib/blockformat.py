"""The codec of block formats: integers and scales out of a memory's beats, and back.

Source: GGUF's Q4_0, Q4_1 and Q8_0 (ggml's block definitions); OCP Microscaling Formats v1.0 for
MXINT8, MXFP4 (E2M1), E8M0 and the choice of a shared exponent; IEEE 754-2019 for binary16.
"""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat

__all__ = [
    "E8M0_BIAS",
    "Fp16Number",
    "PackBlock",
    "PackedBlock",
    "UnpackElements",
    "UnpackFp16",
    "unpacked_bits",
]

E8M0_BIAS = 127
"""An E8M0 scale e is 2 ** (e - 127)."""

_UNPACKED_BITS = {
    BlockFormat.Q4_0: 4,
    BlockFormat.Q4_1: 5,
    BlockFormat.Q8_0: 8,
    BlockFormat.MXINT8: 8,
    BlockFormat.MXFP4: 5,
}

_TWICE_E2M1 = (0, 1, 2, 3, 4, 6, 8, 12)
"""Twice the magnitude of an E2M1 number, by its low three bits."""


def unpacked_bits(block_format: BlockFormat) -> int:
    """Bits of the integer that `UnpackElements` makes of an element, its sign included."""
    return _UNPACKED_BITS[block_format]


class UnpackElements(wiring.Component):
    """Turn a beat of elements into blocks of 32 signed integers.

    | format | integer |
    | --- | --- |
    | Q4_0 | q - 8 |
    | Q4_1 | q |
    | Q8_0, MXINT8 | q |
    | MXFP4 | twice the value |

    Latency: none. Rate: one beat a cycle.

    Parameters:
        block_format: Format of the elements.
        beat_bytes: Bytes of a beat; whole blocks.

    Members:
        beat: ``In(beat_bytes * 8)``. Element k at bits ``k * block_format.element_bits`` upwards.
        blocks: ``Out(data.ArrayLayout(data.ArrayLayout(signed(element_bits), 32), n))``, for the
            n blocks of a beat.

    Raises:
        ValueError: if ``block_format`` is not a `BlockFormat`, or ``beat_bytes`` not a positive
            multiple of a block's elements.
    """

    beat: Signal
    blocks: data.View

    def __init__(self, block_format: BlockFormat, beat_bytes: int):
        if not isinstance(block_format, BlockFormat):
            raise ValueError(f"block_format must be a BlockFormat, not {block_format!r}")
        block_bytes = block_format.element_bytes
        if not isinstance(beat_bytes, int) or beat_bytes < 1 or beat_bytes % block_bytes:
            raise ValueError(
                f"beat_bytes must be a positive multiple of {block_bytes}, not {beat_bytes!r}"
            )
        self._format = block_format
        self._blocks_a_beat = beat_bytes // block_bytes
        block = data.ArrayLayout(signed(self.element_bits), BLOCK_ELEMENTS)
        super().__init__(
            {
                "beat": In(beat_bytes * 8),
                "blocks": Out(data.ArrayLayout(block, self._blocks_a_beat)),
            }
        )

    @property
    def element_bits(self) -> int:
        """Bits of an integer, its sign included."""
        return unpacked_bits(self._format)

    @property
    def blocks_a_beat(self) -> int:
        """Blocks in a beat."""
        return self._blocks_a_beat

    @property
    def latency(self) -> int:
        """Cycles from ``beat`` to ``blocks``."""
        return 0

    def model(self, beat: int) -> list[list[int]]:
        """The integers of each block of a beat, exactly."""
        bits = self._format.element_bits
        integers = [
            self._element_model(beat >> index * bits & ((1 << bits) - 1))
            for index in range(self._blocks_a_beat * BLOCK_ELEMENTS)
        ]
        return [
            integers[first : first + BLOCK_ELEMENTS]
            for first in range(0, len(integers), BLOCK_ELEMENTS)
        ]

    def _element_model(self, raw: int) -> int:
        match self._format:
            case BlockFormat.Q4_0:
                return raw - 8
            case BlockFormat.Q4_1:
                return raw
            case BlockFormat.MXFP4:
                return -_TWICE_E2M1[raw & 7] if raw & 8 else _TWICE_E2M1[raw & 7]
            case BlockFormat.Q8_0 | BlockFormat.MXINT8:
                return raw - 256 if raw & 128 else raw

    def elaborate(self, platform) -> Module:
        """One expression over the whole beat."""
        m = Module()

        elements = self._blocks_a_beat * BLOCK_ELEMENTS
        match self._format:
            case BlockFormat.Q4_0:
                # Less 8 in four bits of two's complement is an inverted top bit.
                value = self.beat ^ Const(int("8" * elements, 16), 4 * elements)
            case BlockFormat.Q4_1:
                value = Cat(
                    Cat(self.beat.word_select(index, 4), Const(0, 1)) for index in range(elements)
                )
            case BlockFormat.MXFP4:
                value = Cat(
                    self._twice_e2m1(self.beat.word_select(index, 4)) for index in range(elements)
                )
            case BlockFormat.Q8_0 | BlockFormat.MXINT8:
                value = self.beat
        m.d.comb += self.blocks.as_value().eq(value)

        return m

    @staticmethod
    def _twice_e2m1(raw: Value) -> Value:
        """Twice an E2M1 number, in five bits: a mantissa of two bits, shifted by the exponent."""
        mantissa = Cat(raw[0], raw[1:3].any())
        exponent_less_one = Mux(raw[1:3].any(), raw[1:3] - 1, 0)[:2]
        magnitude = (mantissa << exponent_less_one)[:4]
        return Mux(raw[3], -magnitude, magnitude)[:5]


class Fp16Number(NamedTuple):
    """What an fp16 word means: ``(-1) ** negative * mantissa * 2 ** exponent``."""

    negative: int
    mantissa: int
    exponent: int
    invalid: int


class UnpackFp16(wiring.Component):
    """Turn an fp16 word into an integer and a power of two, exactly.

        value = (-1) ** negative * mantissa * 2 ** exponent

    A normal number has a mantissa of 1024 to 2047 and an exponent of -24 to 5, a subnormal one
    (or zero) a mantissa below 1024 and the exponent -24. Infinities and NaNs are ``invalid`` and
    come out as a zero of their sign, so that a bad scale cannot spread.

    Latency: none. Rate: one word a cycle.

    Members:
        half: ``In(16)``.
        negative: ``Out(1)``.
        mantissa: ``Out(11)``.
        exponent: ``Out(signed(6))``.
        invalid: ``Out(1)``. An infinity or a NaN.
    """

    half: Signal
    negative: Signal
    mantissa: Signal
    exponent: Signal
    invalid: Signal

    def __init__(self):
        super().__init__(
            {
                "half": In(16),
                "negative": Out(1),
                "mantissa": Out(11),
                "exponent": Out(signed(6)),
                "invalid": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``half`` to the outputs."""
        return 0

    @staticmethod
    def model(half: int) -> Fp16Number:
        """The number in a 16-bit word, exactly."""
        negative, biased, fraction = half >> 15, half >> 10 & 31, half & 1023
        if biased == 31:
            return Fp16Number(negative, 0, -24, 1)
        if biased == 0:
            return Fp16Number(negative, fraction, -24, 0)
        return Fp16Number(negative, 1024 + fraction, biased - 25, 0)

    def elaborate(self, platform) -> Module:
        """Split the word and add the hidden bit."""
        m = Module()

        fraction, biased, negative = self.half[:10], self.half[10:15], self.half[15]
        is_normal = Signal()
        m.d.comb += [
            self.negative.eq(negative),
            self.invalid.eq(biased.all()),
            is_normal.eq(biased.any() & ~self.invalid),
            self.mantissa.eq(Mux(self.invalid, 0, Cat(fraction, is_normal))),
            self.exponent.eq(Mux(is_normal, biased - 25, -24)),
        ]

        return m


class PackedBlock(NamedTuple):
    """A block of integers with a shared exponent."""

    exponent: int
    elements: list[int]


class PackBlock(wiring.Component):
    """Pack 32 fixed-point numbers into integers of ``element_bits`` and one E8M0 exponent.

    For numbers x = value * 2 ** -fraction_bits, with E = floor(log2(max |x|)):

        exponent = E + 127
        element  = x / 2 ** E * 2 ** (element_bits - 2), rounded half to even, then clamped
                   to +-(2 ** (element_bits - 1) - 1)

    so that x is about element * 2 ** (exponent - 127 - (element_bits - 2)): MXINT8 at 8 bits. A
    block of zeros has exponent 0. The error is at most half a unit of the last place, or a whole
    one where an element was clamped.

    Latency: none. Rate: one block a cycle. It is a deep path (a maximum, a shifter and a rounder);
    place registers around it.

    Parameters:
        value_bits: Bits of a value, its sign included.
        element_bits: Bits of an element, its sign included.
        fraction_bits: Bits of a value below the binary point.

    Members:
        values: ``In(data.ArrayLayout(signed(value_bits), 32))``.
        exponent: ``Out(8)``. E8M0.
        elements: ``Out(data.ArrayLayout(signed(element_bits), 32))``.

    Raises:
        ValueError: if a width is not an integer of at least 2, or ``fraction_bits`` lets an
            exponent leave the range 1 to 254 of E8M0.
    """

    values: data.View
    exponent: Signal
    elements: data.View

    def __init__(self, value_bits: int, element_bits: int, fraction_bits: int = 0):
        if not isinstance(value_bits, int) or value_bits < 2:
            raise ValueError(f"value_bits must be an integer of at least 2, not {value_bits!r}")
        if not isinstance(element_bits, int) or element_bits < 2:
            raise ValueError(f"element_bits must be an integer of at least 2, not {element_bits!r}")
        # Value 1 has the least exponent, -2 ** (value_bits - 1) the greatest.
        least, most = value_bits - 1 - E8M0_BIAS, E8M0_BIAS - 1
        if not isinstance(fraction_bits, int) or not least <= fraction_bits <= most:
            raise ValueError(
                f"fraction_bits must be an integer of {least} to {most}, not {fraction_bits!r}"
            )
        self._value_bits = value_bits
        self._element_bits = element_bits
        self._fraction_bits = fraction_bits
        super().__init__(
            {
                "values": In(data.ArrayLayout(signed(value_bits), BLOCK_ELEMENTS)),
                "exponent": Out(8),
                "elements": Out(data.ArrayLayout(signed(element_bits), BLOCK_ELEMENTS)),
            }
        )

    @property
    def element_bits(self) -> int:
        """Bits of an element, its sign included."""
        return self._element_bits

    @property
    def latency(self) -> int:
        """Cycles from ``values`` to the outputs."""
        return 0

    def model(self, values: list[int]) -> PackedBlock:
        """The packed block of 32 values, exactly."""
        largest = max(abs(value) for value in values)
        if largest == 0:
            return PackedBlock(0, [0] * BLOCK_ELEMENTS)
        top = largest.bit_length() - 1
        shift = top - (self._element_bits - 2)
        limit = (1 << self._element_bits - 1) - 1
        elements = []
        for value in values:
            magnitude = abs(value)
            if shift > 0:
                quotient, remainder = divmod(magnitude, 1 << shift)
                half = 1 << shift - 1
                magnitude = quotient + (remainder > half or (remainder == half and quotient & 1))
            else:
                magnitude <<= -shift
            magnitude = min(magnitude, limit)
            elements.append(-magnitude if value < 0 else magnitude)
        return PackedBlock(top - self._fraction_bits + E8M0_BIAS, elements)

    def elaborate(self, platform) -> Module:
        """Find the top bit, align every value to it, round at a fixed place."""
        m = Module()
        value_bits, element_bits = self._value_bits, self._element_bits

        # The top bit of the largest magnitude is the top bit of their disjunction.
        magnitudes = Const(0, value_bits)
        for lane in range(BLOCK_ELEMENTS):
            value = self.values[lane]
            magnitudes = magnitudes | Mux(value < 0, -value, value)[:value_bits]
        filled = Signal(value_bits, name="filled_0")
        m.d.comb += filled.eq(magnitudes)
        distance = 1
        while distance < value_bits:
            below = Signal(value_bits, name=f"filled_{distance}")
            m.d.comb += below.eq(filled | filled >> distance)
            filled, distance = below, 2 * distance
        top = Signal(value_bits)
        m.d.comb += top.eq(filled ^ filled >> 1)

        def number_of_top(numbers: list[int]) -> Value:
            """The number that belongs to the one set bit of ``top``, or zero."""
            places = range(max(numbers).bit_length())
            masks = [
                sum((number >> place & 1) << bit for bit, number in enumerate(numbers))
                for place in places
            ]
            return Cat((top & mask).any() for mask in masks)

        shift = Signal(range(value_bits))
        m.d.comb += [
            shift.eq(number_of_top([value_bits - 1 - bit for bit in range(value_bits)])),
            self.exponent.eq(
                number_of_top([bit - self._fraction_bits + E8M0_BIAS for bit in range(value_bits)])
            ),
        ]

        # A value shifted so that the largest has its top bit at value_bits - 1 lies within
        # +-(2 ** value_bits - 1), and its rounding position no longer depends on the block.
        dropped = value_bits - 1 - (element_bits - 2)
        limit = (1 << element_bits - 1) - 1
        for lane in range(BLOCK_ELEMENTS):
            aligned = Signal(signed(value_bits + 1), name=f"aligned_{lane}")
            m.d.comb += aligned.eq(self.values[lane] << shift)
            if dropped <= 0:
                m.d.comb += self.elements[lane].eq(aligned << -dropped)
                continue
            # Rounding reaches +-2 ** (element_bits - 1), which takes one bit more.
            rounded = Signal(signed(element_bits + 1), name=f"rounded_{lane}")
            half_less_one = (1 << dropped - 1) - 1
            m.d.comb += [
                rounded.eq((aligned + half_less_one + aligned[dropped]) >> dropped),
                self.elements[lane].eq(
                    Mux(rounded > limit, limit, Mux(rounded < -limit, -limit, rounded))
                ),
            ]

        return m
