import functools
import random

import numpy as np
import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat
from neardecode.lib import Fp16Number, PackBlock, UnpackElements, UnpackFp16

# One simulator serves all examples of a test, so an example costs its own steps only.
codec = settings(derandomize=True, deadline=None, max_examples=40, database=None)


class Bench:
    """A component without registers, built once, that maps inputs to outputs."""

    def __init__(self, dut, write, read):
        self.inputs, self.outputs = [], []

        async def bench(ctx):
            for value in self.inputs:
                write(ctx, value)
                self.outputs.append(read(ctx))

        self.simulator = Simulator(dut)
        self.simulator.add_testbench(bench)
        self.simulator.run()

    def __call__(self, inputs):
        self.inputs, self.outputs = list(inputs), []
        self.simulator.reset()
        self.simulator.run()
        return self.outputs


@functools.cache
def unpacker(block_format, beat_bytes):
    dut = UnpackElements(block_format, beat_bytes)
    bits, elements = dut.element_bits, dut.blocks_a_beat * BLOCK_ELEMENTS

    def read(ctx):
        raw = ctx.get(dut.blocks.as_value())
        flat = [raw >> bits * k & (1 << bits) - 1 for k in range(elements)]
        flat = [value - (value >> bits - 1 << bits) for value in flat]
        return [flat[k : k + BLOCK_ELEMENTS] for k in range(0, elements, BLOCK_ELEMENTS)]

    return dut, Bench(dut, lambda ctx, beat: ctx.set(dut.beat, beat), read)


@functools.cache
def packer(value_bits, element_bits, fraction_bits):
    dut = PackBlock(value_bits, element_bits, fraction_bits)

    def write(ctx, values):
        mask = (1 << value_bits) - 1
        raw = sum((value & mask) << value_bits * k for k, value in enumerate(values))
        ctx.set(dut.values.as_value(), raw)

    def read(ctx):
        raw = ctx.get(dut.elements.as_value())
        elements = [raw >> element_bits * k & (1 << element_bits) - 1 for k in range(32)]
        return ctx.get(dut.exponent), [
            element - (element >> element_bits - 1 << element_bits) for element in elements
        ]

    return dut, Bench(dut, write, read)


@functools.cache
def fp16_unpacker():
    dut = UnpackFp16()
    return Bench(
        dut,
        lambda ctx, half: ctx.set(dut.half, half),
        lambda ctx: Fp16Number(
            ctx.get(dut.negative),
            ctx.get(dut.mantissa),
            ctx.get(dut.exponent),
            ctx.get(dut.invalid),
        ),
    )


beats = st.lists(st.binary(min_size=64, max_size=64), min_size=1, max_size=8)


class TestUnpackElements:
    @pytest.mark.parametrize("block_format", BlockFormat)
    @codec
    @given(raw=beats)
    def test_equals_its_model(self, block_format, raw):
        dut, bench = unpacker(block_format, 64)
        inputs = [int.from_bytes(beat, "little") for beat in raw]
        assert bench(inputs) == [dut.model(beat) for beat in inputs]

    @pytest.mark.parametrize(
        ("block_format", "ggml_type", "scale"),
        [
            # Each scale makes the reader's value the integer: 1.0, or 2 ** (128 - 127) / 2.
            (BlockFormat.Q4_0, GGMLQuantizationType.Q4_0, np.float16(1).tobytes()),
            (BlockFormat.Q4_1, GGMLQuantizationType.Q4_1, np.float16([1, 0]).tobytes()),
            (BlockFormat.Q8_0, GGMLQuantizationType.Q8_0, np.float16(1).tobytes()),
            (BlockFormat.MXFP4, GGMLQuantizationType.MXFP4, bytes([128])),
        ],
    )
    @codec
    @given(raw=beats)
    def test_equals_the_gguf_reader(self, block_format, ggml_type, scale, raw):
        _, bench = unpacker(block_format, 64)
        size = block_format.element_bytes
        inputs, expected = [], []
        for beat in raw:
            blocks = [beat[first : first + size] for first in range(0, 64, size)]
            stored = np.frombuffer(b"".join(scale + block for block in blocks), np.uint8)
            values = dequantize(stored.reshape(len(blocks), -1), ggml_type)
            expected.append(values.reshape(len(blocks), 32).astype(int).tolist())
            # GGUF keeps elements 0 to 15 in the low nibbles and 16 to 31 in the high ones.
            if block_format.element_bits == 4:
                parts = [
                    [byte & 15 for byte in block] + [byte >> 4 for byte in block]
                    for block in blocks
                ]
            else:
                parts = [list(block) for block in blocks]
            elements = [element for block in parts for element in block]
            bits = block_format.element_bits
            inputs.append(sum(element << bits * k for k, element in enumerate(elements)))
        assert bench(inputs) == expected

    @pytest.mark.parametrize("block_format", BlockFormat)
    def test_reaches_the_ends_of_its_range(self, block_format):
        _, bench = unpacker(block_format, 64)
        bits = block_format.element_bits
        ramp = sum((k % 2**bits) << bits * k for k in range(512 // bits))
        found = {value for block in bench([ramp])[0] for value in block}
        if bits == 4:
            assert (min(found), max(found)) == {
                BlockFormat.Q4_0: (-8, 7),
                BlockFormat.Q4_1: (0, 15),
                BlockFormat.MXFP4: (-12, 12),
            }[block_format]
        else:
            assert found == set(range(64))
            assert set(bench([int("80" * 64, 16)])[0][0]) == {-128}

    @pytest.mark.parametrize(
        ("block_format", "element_bits"),
        [
            (BlockFormat.Q4_0, 4),
            (BlockFormat.Q4_1, 5),
            (BlockFormat.Q8_0, 8),
            (BlockFormat.MXINT8, 8),
            (BlockFormat.MXFP4, 5),
        ],
    )
    def test_states_the_bits_of_its_integers(self, block_format, element_bits):
        dut = UnpackElements(block_format, 64)
        assert dut.element_bits == element_bits
        assert dut.blocks_a_beat == 64 // block_format.element_bytes
        assert dut.latency == 0
        assert Shape.cast(dut.blocks[0].shape()).width == 32 * element_bits

    @pytest.mark.parametrize("block_format", BlockFormat)
    @pytest.mark.parametrize("beats", [1, 3])
    def test_takes_any_number_of_whole_blocks(self, block_format, beats):
        dut, bench = unpacker(block_format, beats * block_format.element_bytes)
        source = random.Random(beats)
        inputs = [source.getrandbits(8 * beats * block_format.element_bytes) for _ in range(5)]
        assert bench(inputs) == [dut.model(beat) for beat in inputs]

    @pytest.mark.parametrize("beat_bytes", [0, -16, 24, 16.0, "64", None])
    def test_refuses_a_beat_without_whole_blocks(self, beat_bytes):
        with pytest.raises(
            ValueError, match=f"beat_bytes must be a positive multiple of 16, not {beat_bytes!r}"
        ):
            UnpackElements(BlockFormat.Q4_0, beat_bytes)

    @pytest.mark.parametrize("block_format", [None, "Q4_0", 0])
    def test_refuses_what_is_no_block_format(self, block_format):
        with pytest.raises(ValueError, match=f"must be a BlockFormat, not {block_format!r}"):
            UnpackElements(block_format, 64)


class TestUnpackFp16:
    def test_the_model_gives_the_exact_value_of_every_finite_word(self):
        words = np.arange(65536, dtype=np.uint16)
        values = words.view(np.float16).astype(np.float64)
        for word, value in zip(words.tolist(), values.tolist(), strict=True):
            number = UnpackFp16.model(word)
            assert number.invalid == (not np.isfinite(value))
            if not number.invalid:
                magnitude = number.mantissa * 2.0**number.exponent
                assert (-magnitude if number.negative else magnitude) == value
                assert number.negative == np.signbit(value)

    def test_equals_its_model_on_every_word(self):
        words = range(65536)
        assert fp16_unpacker()(words) == [UnpackFp16.model(word) for word in words]

    @pytest.mark.parametrize("word", [0x7C00, 0xFC00, 0x7C01, 0xFFFF])
    def test_an_infinity_or_nan_is_flagged_and_comes_out_as_zero(self, word):
        assert fp16_unpacker()([word]) == [Fp16Number(word >> 15, 0, -24, 1)]


def values_of(value_bits):
    """Blocks whose numbers are spread over all magnitudes, ties and ends included."""
    most = 1 << value_bits - 1

    @st.composite
    def block(draw):
        top = draw(st.integers(1, value_bits - 1))
        near_power = st.builds(
            lambda place, offset, sign: max(-most, min(most - 1, sign * ((1 << place) + offset))),
            st.integers(0, top),
            st.integers(-3, 3),
            st.sampled_from((1, -1)),
        )
        number = st.one_of(
            st.integers(-(1 << top), (1 << top) - 1),
            near_power,
            st.sampled_from((0, most - 1, -most)) if top == value_bits - 1 else st.just(0),
        )
        return draw(st.lists(number, min_size=32, max_size=32))

    return st.lists(block(), min_size=1, max_size=4)


def packed_by_numpy(values, element_bits, fraction_bits):
    x = np.array(values, np.float64) * 2.0**-fraction_bits
    largest = np.abs(x).max()
    if largest == 0:
        return 0, [0] * 32
    exponent = int(np.floor(np.log2(largest)))
    limit = 2 ** (element_bits - 1) - 1
    q = np.clip(np.rint(x / 2.0**exponent * 2.0 ** (element_bits - 2)), -limit, limit)
    return exponent + 127, q.astype(int).tolist()


PACKERS = [(32, 8, 14), (24, 12, 0), (16, 9, 15), (12, 12, 4), (6, 8, 3), (9, 10, -5), (5, 2, 0)]


class TestPackBlock:
    @pytest.mark.parametrize("parameters", PACKERS, ids=str)
    @codec
    @given(data=st.data())
    def test_equals_its_model_and_numpy(self, parameters, data):
        dut, bench = packer(*parameters)
        blocks = data.draw(values_of(parameters[0]))
        expected = [packed_by_numpy(block, *parameters[1:]) for block in blocks]
        assert [dut.model(block) for block in blocks] == expected
        assert bench(blocks) == expected

    def test_rounds_a_tie_to_the_even_neighbour(self):
        # The largest is 2 ** 7, so an element is value / 2 at 8 bits.
        _, bench = packer(16, 8, 0)
        values = [128, 1, 3, 5, 7, -1, -3, -5, -7, 2, 4, *[0] * 21]
        assert bench([values]) == [(134, [64, 0, 2, 2, 4, 0, -2, -2, -4, 1, 2, *[0] * 21])]

    def test_clamps_alike_on_both_sides(self):
        _, bench = packer(16, 8, 0)
        assert bench([[32767, -32767, -32640, 32640, *[0] * 28]]) == [
            (141, [127, -127, -127, 127, *[0] * 28])
        ]

    def test_the_most_negative_value_has_its_own_exponent(self):
        _, bench = packer(16, 8, 0)
        assert bench([[-32768, 32767, *[0] * 30]]) == [(142, [-64, 64, *[0] * 30])]

    def test_a_block_of_zeros_has_exponent_zero(self):
        _, bench = packer(16, 8, 0)
        assert bench([[0] * 32]) == [(0, [0] * 32)]

    def test_one_value_alone_in_any_lane_sets_the_exponent(self):
        _, bench = packer(16, 8, 0)
        blocks = [[(1 << 9) * (lane == index) for lane in range(32)] for index in range(32)]
        assert bench(blocks) == [
            (136, [64 * (lane == index) for lane in range(32)]) for index in range(32)
        ]

    def test_mxint8_comes_back_through_the_unpacker(self):
        dut = PackBlock(24, 8, 8)
        source = random.Random(1)
        values = [source.randrange(-(2**20), 2**20) for _ in range(32)]
        exponent, elements = dut.model(values)
        beat = sum((element & 255) << 8 * k for k, element in enumerate(elements))
        unpacked = UnpackElements(BlockFormat.MXINT8, 32).model(beat)[0]
        unit = 2.0 ** (exponent - 127 - 6)
        for value, element in zip(values, unpacked, strict=True):
            assert abs(value / 256 - element * unit) <= unit

    @pytest.mark.parametrize("fraction_bits", [-127 + 15, 126])
    def test_reaches_the_ends_of_the_exponents(self, fraction_bits):
        dut, bench = packer(16, 8, fraction_bits)
        blocks = [[1, *[0] * 31], [-32768, *[0] * 31]]
        assert [exponent for exponent, _ in bench(blocks)] == [
            127 - fraction_bits,
            142 - fraction_bits,
        ]
        assert bench(blocks) == [dut.model(block) for block in blocks]

    @pytest.mark.parametrize("fraction_bits", [-127 + 14, 127, 1.0, "4", None])
    def test_refuses_a_fraction_beyond_the_exponents(self, fraction_bits):
        with pytest.raises(
            ValueError,
            match=f"fraction_bits must be an integer of -112 to 126, not {fraction_bits!r}",
        ):
            PackBlock(16, 8, fraction_bits)

    @pytest.mark.parametrize("bits", [1, 0, -1, 8.0, "8", None])
    def test_refuses_a_width_without_room_for_a_sign(self, bits):
        with pytest.raises(
            ValueError, match=f"value_bits must be an integer of at least 2, not {bits!r}"
        ):
            PackBlock(bits, 8)
        with pytest.raises(
            ValueError, match=f"element_bits must be an integer of at least 2, not {bits!r}"
        ):
            PackBlock(16, bits)

    def test_states_its_latency(self):
        assert PackBlock(16, 8).latency == 0
        assert PackBlock(16, 8).element_bits == 8
