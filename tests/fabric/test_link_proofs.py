"""The protected link's protocol holds for all time, and each contract is broken by a bug."""

import shutil

import pytest
from amaranth.hdl import Signal

from neardecode.config import Protection
from neardecode.fabric.replay_receiver import ReplayReceiver
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties.replay import (
    AbsoluteCreditProperties,
    ObservedAbsoluteCredits,
    ObservedReplaySender,
    ReplayProperties,
)

INDUCTION = 2
SETTLING = 3
CONTRACT = {
    "a unit is delivered as it came, in its turn",
    "nothing is delivered that was not taken",
}


def joined(window, stages, **bugs):
    protection = Protection(latency=0, window=window, checksum_bits=16, timeout=1)
    ends = {
        "sender": ObservedReplaySender(2, window, SETTLING),
        "receiver": ReplayReceiver(2, protection),
    }
    for name, bug in bugs.items():
        ends[name] = with_bug(ends[name], bug)
    return ReplayProperties(**ends, protection=protection, stages=stages)


def credits(entries, stages, bug=None):
    cell = ObservedAbsoluteCredits(entries)
    return AbsoluteCreditProperties(with_bug(cell, bug) if bug else cell, entries, stages)


def counterexample(properties, depth):
    with pytest.raises(ProofError) as caught:
        prove(properties, depth, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])
    return caught.value.messages


@pytest.mark.parametrize(("window", "stages"), [(2, 1), (4, 2)])
def test_nothing_is_lost_doubled_or_changed(window, stages):
    prove(joined(window, stages), INDUCTION)


@pytest.mark.parametrize(("entries", "stages"), [(1, 0), (5, 3)])
def test_a_buffer_never_holds_more_than_its_entries(entries, stages):
    prove(credits(entries, stages), INDUCTION)


@pytest.mark.parametrize("make", [lambda: joined(2, 1), lambda: credits(3, 2)])
def test_the_proofs_are_about_states_that_are_reached(make):
    prove(make(), 16, "cover")


def keeps_one_more(cell, m):
    m.d.comb += cell.units.ready.eq(1)


def frees_one_too_many(cell, m):
    with m.If(cell.heard):
        m.d.sync += cell._oldest.eq(cell.expected + 1)


def sends_another_unit_again(cell, m):
    replayed = Signal()
    m.d.sync += replayed.eq(cell.again)
    with m.If(replayed):
        m.d.comb += cell.unit.eq(2)


def takes_whatever_comes(cell, m):
    m.d.comb += cell.valid.eq(cell.good & cell.frame.filled)


def takes_a_unit_twice(cell, m):
    last = Signal(len(cell.expected))
    m.d.sync += last.eq(cell.frame.sequence)
    again = cell.good & cell.frame.filled & (cell.frame.sequence == last)
    with m.If(again):
        m.d.comb += cell.valid.eq(1)


def takes_empty_frames(cell, m):
    with m.If(cell.good & (cell.frame.sequence == cell.expected)):
        m.d.comb += cell.valid.eq(1)


def changes_a_unit(cell, m):
    with m.If(cell.expected == 3):
        m.d.comb += cell.delivered.unit.eq(1)


@pytest.mark.parametrize(
    ("end", "bug"),
    [
        ("sender", keeps_one_more),
        ("sender", frees_one_too_many),
        ("sender", sends_another_unit_again),
        ("receiver", takes_whatever_comes),
        ("receiver", takes_a_unit_twice),
        ("receiver", takes_empty_frames),
        ("receiver", changes_a_unit),
    ],
)
def test_a_broken_end_breaks_its_proof(end, bug):
    properties = joined(2, 1, **{end: bug})
    properties.invariants = False
    assert CONTRACT & set(counterexample(properties, 10))


def always_has_room(cell, m):
    m.d.comb += cell.available.eq(1)


def hears_one_more(cell, m):
    with m.If(cell.heard):
        m.d.sync += cell.counts[1].eq(cell.released + 1)


def forgets_a_unit(cell, m):
    with m.If(cell.heard):
        m.d.sync += cell.counts[0].eq(cell.counts[0])


@pytest.mark.parametrize("bug", [always_has_room, hears_one_more, forgets_a_unit])
def test_broken_credits_overflow_the_buffer(bug):
    properties = credits(3, 1, bug)
    properties.invariants = False
    assert "the buffer does not overflow" in counterexample(properties, 12)
