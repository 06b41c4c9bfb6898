"""A design in two halves, on a thread each, is the same design in every cycle."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import PRESETS, BlockFormat
from neardecode.lib.clock_gate import Gated
from neardecode_testbench.devices.token_board import TokenBoard, token_halves
from neardecode_testbench.drive import native_build
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design, halves_of
from neardecode_testbench.drive.halves import read_halves
from neardecode_testbench.drive.native import NativeRunner
from neardecode_testbench.drive.native_build import call
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, SinkLog, Source
from neardecode_testbench.drive.toolchain import ToolError, compiler
from neardecode_testbench.scenarios.token_cycles import TokenCycles

WIDTH = 80  # More than one word of C++.
FED = 4000  # Beyond the first trials of both ways.


class Counter(wiring.Component):
    """Counts what it is given while it is awake."""

    awake: In(1)
    given: In(WIDTH)
    sum: Out(WIDTH)

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.If(self.awake):
            m.d.sync += self.sum.eq(self.sum + self.given)
        return m


class Left(wiring.Component):
    """The near end of a path that crosses three times; what it knows of time crosses nowhere."""

    moves: In(1)
    q: In(WIDTH)
    w: In(WIDTH)
    p: Out(WIDTH)
    z: Out(WIDTH)
    moved: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        state, time = Signal(WIDTH), Signal(WIDTH)
        m.d.sync += time.eq(time + 1)
        with m.If(self.moves):
            m.d.sync += state.eq(state + self.z)
        m.d.comb += [
            self.p.eq(state + self.q),
            self.z.eq(self.w ^ state ^ time),
            self.moved.eq(self.moves),
        ]
        return m


class Right(wiring.Component):
    """Its far end, with a block whose clock hangs on what the near one says."""

    moves: In(1)
    a: In(WIDTH)
    p: In(WIDTH)
    q: Out(WIDTH)
    w: Out(WIDTH)

    def elaborate(self, platform) -> Module:
        m = Module()
        counter = Counter()
        m.submodules.counter = Gated(counter)
        m.d.comb += [
            counter.awake.eq(self.moves & self.p[3]),
            counter.given.eq(self.p),
            self.q.eq(counter.sum ^ self.a),
            self.w.eq(self.p + counter.sum),
        ]
        return m


class Inner(wiring.Component):
    """What holds the far end, dissolved to find it."""

    def __init__(self):
        self._right = Right()
        super().__init__(self._right.signature)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.right = self._right
        connect(m, flipped(self), self._right)
        return m


class Pair(wiring.Component):
    """Both, which move while they are fed; with an output that never changes."""

    feed: In(stream.Signature(WIDTH))
    found: Out(stream.Signature(WIDTH))
    begun: Out(WIDTH)
    one: Out(8)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.left = left = Left()
        m.submodules.inner = inner = Inner()
        m.d.comb += [
            left.moves.eq(self.feed.valid),
            inner.moves.eq(self.feed.valid),
            inner.a.eq(self.feed.payload),
            inner.p.eq(left.p),
            left.q.eq(inner.q),
            left.w.eq(inner.w ^ self.feed.payload),
            self.feed.ready.eq(1),
            self.found.valid.eq(left.moved),
            self.found.payload.eq(left.z),
            self.begun.eq(left.p),
            self.one.eq(0xA5),
        ]
        return m


def _played(beside: tuple[str, ...]) -> tuple[SinkLog, dict[str, int]]:
    """What is found of numbers that come at random, and the other outputs then."""
    numbers = np.random.default_rng(3)
    fed = [int.from_bytes(numbers.bytes(WIDTH // 8), "little") for _ in range(FED)]
    source = Source("feed", fed, numbers.random(997) < 0.5)

    def scenario(step):
        outcome = step(Play(sources=[source], sinks=[Sink("found", FED)], limit=10 * FED))
        return outcome.sinks["found"], step(Probe({}, ["begun", "one"])).outputs

    return simulate(Design(Pair, (), beside), scenario, "native")


def test_a_path_that_crosses_three_times_settles_in_every_cycle():
    (alone, outputs), halves = _played(()), _played(("inner.right",))
    assert halves == (alone, outputs)
    assert len(set(alone.payloads)) == FED
    assert outputs["one"] == 0xA5


def test_a_name_that_no_instance_has_is_said():
    with pytest.raises(
        ToolError, match=r"^not .* on two threads: no such instance: dut/inner\.nobody$"
    ):
        NativeRunner(Design(Pair, (), ("inner.right", "inner.nobody")))


def test_what_two_threads_share_is_ordered_whichever_takes_an_edge(tmp_path):
    """By the compiler's own detector of races, which needs no bad luck to find one."""
    (tmp_path / "verilated.h").write_text("#pragma once\nstruct VerilatedContext {};\n")
    program = tmp_path / "program"
    sources = Path(__file__).with_name("halves_stub.cpp"), Path(native_build.__file__).parent
    call(
        [
            *(compiler(), "-std=gnu++17", "-O1", "-g", "-fsanitize=thread", str(sources[0])),
            *(f"-I{tmp_path}", f"-I{sources[1]}", "-lpthread", "-o", str(program)),
        ]
    )
    try:
        first, *others = call([str(program)]).split()
    except ToolError as error:
        if "unexpected memory mapping" in str(error):
            pytest.skip("the detector knows nothing of this kernel's addresses")
        raise
    assert others == [first] * 3


def test_two_chips_are_two_halves():
    config = PRESETS["decoder-tiny"].model_copy(update={"chips": 2})
    verilog, ports = Design(TokenBoard, (config,), token_halves(config)).files()
    halves, others = read_halves(halves_of(verilog.read_text()))
    known = {name for half in halves.values() for name in half.host} | set(others)
    assert {port.name for port in ports if not port.is_input} <= known
    # Messages of the tree's root and leaf, and little else, cross.
    crossing = sum(port.width for half in halves.values() for port in half.given)
    assert 0 < crossing < 2000


def test_a_board_in_halves_takes_the_cycles_of_the_whole():
    config = PRESETS["decoder-tiny"]
    sizes = {"layers": 1, "width": 128, "heads": 4, "kv_heads": 2, "ffn": 96, "vocabulary": 64}
    times = [
        simulate(
            Design(TokenBoard, (config,), beside),
            TokenCycles(config, sizes, BlockFormat.Q8_0, [7, 1, 19], 0, 64),
            "native",
        )
        for beside in ((), token_halves(config))
    ]
    assert times[0].cycles == times[1].cycles
    assert times[0].start == times[1].start
