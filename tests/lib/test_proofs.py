"""The cells' properties hold for all time, and each is broken by a cell with a bug."""

import shutil

import pytest
from amaranth.hdl import Signal

from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties import (
    CreditLinkProperties,
    ObservedCreditPipe,
    ObservedCreditReceiver,
    ObservedCreditSender,
    ObservedFIFO,
    ObservedRegisterSlice,
    ObservedRoundRobin,
    QueueProperties,
    RoundRobinProperties,
)

INDUCTION = 2


def link(credits, depth, latency, invariants=True, **bugs):
    cells = {
        "sender": ObservedCreditSender(2, credits),
        "pipe": ObservedCreditPipe(2, latency),
        "receiver": ObservedCreditReceiver(2, depth),
    }
    for name, bug in bugs.items():
        cells[name] = with_bug(cells[name], bug)
    return CreditLinkProperties(**cells, invariants=invariants)


def counterexample(properties):
    """The statements that fail within a few cycles of the initial state, with their trace."""
    with pytest.raises(ProofError) as caught:
        prove(properties, 12, "bmc")
    assert caught.value.trace is not None
    assert caught.value.trace.is_file()
    shutil.rmtree(caught.value.trace.parents[2])
    return caught.value.messages


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 8])
def test_a_stream_fifo_is_a_queue(depth):
    prove(QueueProperties(ObservedFIFO(4, depth)), INDUCTION)


def test_a_register_slice_is_a_queue_of_two():
    prove(QueueProperties(ObservedRegisterSlice(4)), INDUCTION)


@pytest.mark.parametrize(
    ("credits", "depth", "latency"),
    [(1, 1, 0), (2, 2, 0), (2, 3, 1), (4, 4, 1), (6, 6, 2), (3, 3, 3)],
)
def test_a_credit_link_conserves_its_credits_and_is_a_queue(credits, depth, latency):
    prove(link(credits, depth, latency), INDUCTION)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 16])
def test_a_round_robin_grants_one_holds_it_and_lets_nobody_wait_for_ever(width):
    prove(RoundRobinProperties(ObservedRoundRobin(width)), INDUCTION)


@pytest.mark.parametrize(
    ("make", "depth"),
    [
        (lambda: QueueProperties(ObservedFIFO(4, 3)), 9),
        (lambda: QueueProperties(ObservedRegisterSlice(4)), 6),
        (lambda: link(4, 4, 1), 10),
        (lambda: RoundRobinProperties(ObservedRoundRobin(5)), 7),
    ],
    ids=["fifo", "register", "credit link", "arbiter"],
)
def test_the_proofs_are_about_states_that_are_reached(make, depth):
    prove(make(), depth, "cover")


def accepts_when_full(cell, m):
    m.d.comb += cell.i.ready.eq(1)


def offers_when_empty(cell, m):
    m.d.comb += cell.o.valid.eq(1)


def changes_a_payload_that_waits(cell, m):
    waited = Signal()
    m.d.sync += waited.eq(cell.o.valid & ~cell.o.ready)
    with m.If(waited):
        m.d.comb += cell.o.payload.eq(7)


def drops_valid_after_a_wait(cell, m):
    waited = Signal()
    m.d.sync += waited.eq(cell.o.valid & ~cell.o.ready)
    with m.If(waited):
        m.d.comb += cell.o.valid.eq(0)


def drops_a_payload(cell, m):
    with m.If(cell.i.payload == 9):
        m.d.comb += cell._queue.w_en.eq(0)


def stores_another_payload(cell, m):
    with m.If(cell.level == 1):
        m.d.comb += cell._queue.w_data.eq(3)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (accepts_when_full, "accepts exactly when there is room"),
        (offers_when_empty, "offers exactly when there is an item"),
        (changes_a_payload_that_waits, "an item in front is offered as it came in"),
        (drops_valid_after_a_wait, "offers exactly when there is an item"),
        (drops_a_payload, "the level is what is inside"),
        (stores_another_payload, "an item in front is offered as it came in"),
    ],
)
def test_a_broken_fifo_breaks_its_proof(bug, message):
    assert message in counterexample(QueueProperties(with_bug(ObservedFIFO(4, 3), bug), False))


def loses_the_skid(cell, m):
    m.d.sync += cell._skid_valid.eq(0)


def repeats_the_output(cell, m):
    with m.If(cell._skid_valid & cell.o.ready):
        m.d.sync += cell._output.eq(cell._output)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (accepts_when_full, "accepts exactly when there is room"),
        (loses_the_skid, "the level is what is inside"),
        (repeats_the_output, "an item in front is offered as it came in"),
    ],
)
def test_a_broken_register_slice_breaks_its_proof(bug, message):
    assert message in counterexample(
        QueueProperties(with_bug(ObservedRegisterSlice(4), bug), False)
    )


def ignores_credits(cell, m):
    m.d.comb += [cell.link.valid.eq(cell.i.valid), cell.i.ready.eq(1), cell.blocked.eq(0)]


def forgets_a_credit_when_it_sends(cell, m):
    with m.If(cell.link.valid & cell.link.credit):
        m.d.sync += cell.available.eq(cell.available - 1)


def drops_in_flight(cell, m):
    with m.If(cell.payloads[0] == 2):
        m.d.sync += cell.valids[1].eq(0)


def changes_a_payload_in_flight(cell, m):
    with m.If(cell.credits[0] & (cell.payloads[0] == 2)):
        m.d.sync += cell.payloads[1].eq(1)


def loses_a_credit_in_flight(cell, m):
    with m.If(cell.o.valid):
        m.d.sync += cell.credits[0].eq(0)


def returns_a_credit_every_cycle(cell, m):
    m.d.comb += cell.link.credit.eq(cell.o.valid)


def returns_a_credit_twice(cell, m):
    again = Signal()
    m.d.sync += again.eq(cell.o.valid & cell.o.ready)
    m.d.comb += cell.link.credit.eq((cell.o.valid & cell.o.ready) | again)


@pytest.mark.parametrize(
    ("place", "bug", "message"),
    [
        ("sender", ignores_credits, "credits are conserved"),
        ("sender", forgets_a_credit_when_it_sends, "credits are conserved"),
        ("pipe", drops_in_flight, "credits are conserved"),
        ("pipe", loses_a_credit_in_flight, "credits are conserved"),
        ("pipe", changes_a_payload_in_flight, "an item in front is offered as it came in"),
        ("receiver", returns_a_credit_every_cycle, "credits are conserved"),
        ("receiver", returns_a_credit_twice, "credits are conserved"),
    ],
)
def test_a_broken_credit_link_breaks_its_proof(place, bug, message):
    assert message in counterexample(link(3, 3, 2, False, **{place: bug}))


def test_a_sender_with_more_credits_than_entries_overflows_the_receiver():
    # The cells' own assertion, found from the reset state: 4 credits, 3 entries.
    assert "a payload came without a free entry" in counterexample(link(4, 3, 1, False))


def grants_all(cell, m):
    m.d.comb += cell.grants.eq(cell.requests)


def grants_without_request(cell, m):
    m.d.comb += cell.grants.eq(1)


def always_starts_at_zero(cell, m):
    with m.If(cell.advance):
        m.d.sync += cell.at_or_after.eq(-1)


def moves_on_without_advance(cell, m):
    with m.If(cell.grants.any()):
        m.d.sync += cell.at_or_after.eq(-(cell.grants << 1))


def does_not_hold(cell, m):
    with m.If(~cell.advance):
        m.d.sync += cell.at_or_after.eq(cell.at_or_after)


def names_another_index(cell, m):
    m.d.comb += cell.index.eq(0)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (grants_all, "at most one grant"),
        (grants_without_request, "a grant goes to a request"),
        (always_starts_at_zero, "a request waits for fewer than width grants"),
        (moves_on_without_advance, "an unused grant holds while its request does"),
        (does_not_hold, "an unused grant holds while its request does"),
        (names_another_index, "the index is that of the grant"),
    ],
)
def test_a_broken_arbiter_breaks_its_proof(bug, message):
    properties = RoundRobinProperties(with_bug(ObservedRoundRobin(4), bug), False)
    assert message in counterexample(properties)
