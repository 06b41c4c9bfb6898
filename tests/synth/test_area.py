import pytest
from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode_synth.area import synthesise
from neardecode_synth.yosys import SynthesisError


class Register(wiring.Component):
    """A register with an enable."""

    def __init__(self, width: int):
        super().__init__({"enable": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.o.eq(self.i)
        return m


class And(wiring.Component):
    def __init__(self):
        super().__init__({"a": In(8), "b": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.a & self.b)
        return m


class Product(wiring.Component):
    def __init__(self, a_bits: int, b_bits: int):
        bits = a_bits + b_bits
        super().__init__({"a": In(signed(a_bits)), "b": In(signed(b_bits)), "o": Out(signed(bits))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.a * self.b)
        return m


class Storage(wiring.Component):
    """A memory behind an adder on its address."""

    def __init__(self, depth: int, bits: int = 8):
        self._depth, self._bits = depth, bits
        super().__init__(
            {"address": In(range(depth)), "write": In(1), "i": In(bits), "o": Out(bits)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=unsigned(self._bits), depth=self._depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address + 1),
            write.data.eq(self.i),
            write.en.eq(self.write),
            read.addr.eq(self.address + 1),
            self.o.eq(read.data),
        ]
        return m


class Nothing(wiring.Component):
    def __init__(self):
        super().__init__({"o": Out(1)})

    def elaborate(self, platform):
        return Module()


def test_counts_the_flip_flops_of_a_register():
    area = synthesise(Register(8))
    assert area.flip_flops == area.enabled_flip_flops == 8
    assert area.low_ge == pytest.approx(8 * 5.67 + area.logic_ge)
    assert area.high_ge == pytest.approx(8 * 8 + area.logic_ge)


def test_an_and_is_a_nand_and_an_inverter_at_most():
    area = synthesise(And())
    assert area.flip_flops == 0
    assert 8 <= area.logic_ge <= 8 * 1.67 + 8 * 0.67


def test_a_product_is_recoded_where_both_factors_are_wide_and_not_where_one_is_narrow():
    # 6480 gates and 963 the other way round.
    assert 4000 < synthesise(Product(20, 20)).logic_ge < 5500
    assert 600 < synthesise(Product(5, 12)).logic_ge < 850


def test_a_deep_memory_is_counted_in_bits_and_keeps_the_logic_before_it():
    area = synthesise(Storage(128))
    assert area.sram_bits == 1024
    assert area.flip_flops == 0
    assert area.logic_ge > 5


def test_a_shallow_memory_becomes_flip_flops():
    area = synthesise(Storage(4))
    assert area.sram_bits == 0
    assert area.flip_flops >= 32


@pytest.mark.parametrize(
    ("words", "bits", "is_macro"),
    [
        *((16, 300, False), (32, 128, False), (32, 129, True)),
        *((64, 64, False), (64, 65, True), (128, 2, True)),
    ],
)
def test_memories_of_many_words_and_bits_are_macros(words, bits, is_macro):
    assert synthesise(Storage(words, bits)).sram_bits == is_macro * words * bits


def test_nothing_left_is_an_error_and_not_zero():
    with pytest.raises(SynthesisError, match="nothing was left"):
        synthesise(Nothing())
