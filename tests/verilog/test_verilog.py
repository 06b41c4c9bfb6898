import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Cat, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode import tools, verilog
from neardecode.chip import Chip
from neardecode.config import PRESETS
from neardecode.verilog import to_rtlil, to_verilog
from neardecode_testbench.drive import amaranth_sim, native
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Probe


def modules(text):
    return re.findall(r"^module \\(\S+)$", text, re.M)


def cells(text, module):
    """Instance name and type of a module's children."""
    body = re.search(rf"^module \\{re.escape(module)}\n(.*?)^end$", text, re.M | re.S)
    assert body is not None
    return {name: kind for kind, name in re.findall(r"^  cell \\(\S+) \\(\S+)$", body[1], re.M)}


def assert_simulates_alike(component, values):
    """Amaranth's simulator knows nothing of the conversion; the native runner compiles it."""

    def scenario(step):
        return [step(Probe({"i": value}, ["o"])).outputs["o"] for value in values]

    expected = amaranth_sim.run(component(), scenario)
    assert native.run(Design(component), scenario, waves=None, wave_cycles=0) == expected
    return expected


class AddConstant(wiring.Component):
    i: In(8)
    o: Out(8)

    def __init__(self, constant):
        self._constant = constant
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self._constant)
        m.d.comb += Assert(self.i + 1 > self.i)
        return m


class Wrapped(wiring.Component):
    """Has nothing of its own: two of them differ in their child only."""

    i: In(8)
    o: Out(8)

    def __init__(self, constant):
        self._constant = constant
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.add = add = AddConstant(self._constant)
        m.d.comb += [add.i.eq(self.i), self.o.eq(add.o)]
        return m


class FourAdders(wiring.Component):
    i: In(8)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        for index, constant in enumerate((1, 2, 1, 3)):
            m.submodules[f"adder{index}"] = adder = Wrapped(constant)
            m.d.comb += [adder.i.eq(self.i), self.o[8 * index :][:8].eq(adder.o)]
        return m


class Nibble(Elaboratable):
    """Its ports are slices of its parent's signals, so Amaranth has no names for them."""

    def __init__(self, i, o, other):
        self._i, self._o, self._other = i, o, other

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = Inverter(self._other, inverted := Signal(4))
        m.d.comb += self._o.eq((self._i << 1) ^ inverted)
        return m


class Inverter(Elaboratable):
    def __init__(self, i, o):
        self._i, self._o = i, o

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self._o.eq(~self._i)
        return m


class Sliced(wiring.Component):
    i: In(12)
    o: Out(12)

    def elaborate(self, platform):
        m = Module()
        held = Signal(12)
        m.d.sync += held.eq(self.i)
        for index in range(3):
            m.submodules[f"nibble{index}"] = Nibble(
                held[4 * index :][:4], self.o[4 * index :][:4], held[8 - 4 * index :][:4]
            )
        return m


class TwoSliced(wiring.Component):
    i: In(12)
    o: Out(24)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inverted = inverted = Sliced()
        m.submodules.plain = plain = Sliced()
        m.d.comb += [
            inverted.i.eq(~self.i),
            plain.i.eq(self.i ^ 0xA5A),
            self.o.eq(Cat(inverted.o, plain.o)),
        ]
        return m


class Table(wiring.Component):
    """A memory with contents that are read, and one of zeros that is written first."""

    i: In(3)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = Memory(shape=8, depth=8, init=[3, 1, 4, 1, 5, 9, 2, 6])
        m.submodules.scratch = scratch = Memory(shape=8, depth=8, init=[])
        known, read = table.read_port(domain="comb"), scratch.read_port(domain="comb")
        write = scratch.write_port()
        m.d.comb += [
            known.addr.eq(self.i),
            write.addr.eq(self.i),
            write.data.eq(~known.data),
            write.en.eq(1),
            read.addr.eq(self.i),
            self.o.eq(known.data | (read.data << 8)),
        ]
        return m


class Broken(wiring.Component):
    o: Out(1)

    def elaborate(self, platform):
        raise RuntimeError("no hardware")


@pytest.fixture(scope="module")
def tiny_chip():
    return to_rtlil(Chip(PRESETS["tiny"]), "chip")


def test_channels_of_a_chip_share_their_modules(tiny_chip):
    first, second = (cells(tiny_chip, f"chip.slices.channel{channel}") for channel in range(2))
    for block in ("flash", "slice", "link"):
        assert first[block] == second[block]
        assert modules(tiny_chip).count(first[block]) == 1
    assert len(set(modules(tiny_chip))) == len(modules(tiny_chip))


def test_every_child_of_a_chip_is_defined(tiny_chip):
    defined = set(modules(tiny_chip))
    assert "chip" in defined
    for module in defined:
        for kind in cells(tiny_chip, module).values():
            assert kind.startswith("$") or kind in defined


def test_a_chip_keeps_no_initial_memory_contents(tiny_chip):
    assert "cell $meminit" not in tiny_chip
    assert "cell $memwr" in tiny_chip, "there are memories"


def test_sharing_shrinks_a_chip(tiny_chip):
    with verilog._undefined_memories():
        whole = rtlil.convert(Chip(PRESETS["tiny"]), name="chip", emit_src=False)
    assert len(modules(tiny_chip)) < 0.6 * len(modules(whole))


def test_modules_that_differ_in_a_grandchild_stay_apart():
    text = to_rtlil(FourAdders(), "top")
    children = cells(text, "top")
    assert children["adder0"] == children["adder2"]
    assert len({children["adder0"], children["adder1"], children["adder3"]}) == 3


def test_shared_modules_simulate_as_their_originals():
    expected = assert_simulates_alike(FourAdders, [0, 1, 100, 254, 255, 7])
    assert expected[1:4] == [0x03010201, 0x04020302, 0x67656665]


def test_assertions_do_not_keep_modules_apart():
    text = to_rtlil(FourAdders(), "top")
    assert len(re.findall(r"cell \$check", text)) == 3


def test_unnamed_ports_are_numbered_inside_their_module():
    whole = rtlil.convert(TwoSliced(), name="top", emit_src=False)
    unnamed = set(re.findall(r"\\port\$\d+\$\d+", whole))
    assert len(unnamed) == 6, "their numbers tell alike modules apart"
    text = to_rtlil(TwoSliced(), "top")
    assert "port$" not in text
    assert set(re.findall(r"\\port_\d+", text)) == {r"\port_0", r"\port_1", r"\port_2"}
    (shared,) = set(cells(text, "top").values())
    # Each drives another slice of the same signal.
    assert len(set(cells(text, shared).values()) - {"$dff"}) == 3


def test_components_connected_by_slices_simulate_as_their_originals():
    values = [*range(0, 4096, 37), 0xFFF, 0xF00, 0x0F0, 0x00F]

    def output(value):
        nibbles = [value >> 4 * index & 15 for index in range(3)]
        return sum(
            ((nibbles[index] << 1) ^ ~nibbles[2 - index]) % 16 << 4 * index for index in range(3)
        )

    expected = [output(value ^ 0xA5A) << 12 | output(value ^ 0xFFF) for value in values]
    assert assert_simulates_alike(TwoSliced, values)[1:] == expected[:-1]


def test_contents_that_are_not_zero_stay():
    text = to_rtlil(Table(), "top")
    assert len(re.findall(r"cell \$meminit", text)) == 1
    values = list(range(8))

    def scenario(step):
        for value in values:
            step(Probe({"i": value}, []))
        return [step(Probe({"i": value}, ["o"])).outputs["o"] for value in values]

    result = native.run(Design(Table), scenario, waves=None, wave_cycles=0)
    digits = [3, 1, 4, 1, 5, 9, 2, 6]
    assert result == [digit | (~digit & 255) << 8 for digit in digits]
    assert amaranth_sim.run(Table(), scenario) == result


def test_amaranth_converts_as_before_afterwards():
    def contents():
        return rtlil.convert(Table(), name="top", emit_src=False).count("cell $meminit")

    before = contents()
    to_rtlil(Table(), "top")
    assert contents() == before == 2
    with pytest.raises(RuntimeError, match="no hardware"):
        to_rtlil(Broken(), "top")
    assert contents() == before


def test_verilog_has_the_top_module_and_its_ports():
    text = to_verilog(FourAdders(), "adders")
    assert len(re.findall(r"^module ", text, re.M)) == 7
    assert re.search(r"^module adders\(", text, re.M)
    for port in ("input [7:0] i;", "output [31:0] o;", "input clk;", "input rst;"):
        assert re.search(rf"^  {re.escape(port)}$", text, re.M), port
    assert "src =" not in text
    assert "(*" not in text


def test_conversion_is_the_same_every_time():
    assert to_verilog(FourAdders(), "top") == to_verilog(FourAdders(), "top")


def test_an_error_of_yosys_is_one_line(monkeypatch):
    monkeypatch.setattr(tools, "_RUN_PASSES", "raise SystemExit('first\\nERROR: no such pass')")
    with pytest.raises(RuntimeError) as caught:
        to_verilog(FourAdders(), "top")
    assert str(caught.value) == "Yosys failed: ERROR: no such pass"


def test_a_wire_says_its_line_and_what_amaranth_declares_says_none():
    sources = set(re.findall(r'attribute \\src "([^"]*)"', to_rtlil(Sliced(), "top", sources=True)))
    assert sources
    assert {source.rpartition(":")[0] for source in sources} == {__file__}
