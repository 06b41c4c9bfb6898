"""What holds of a router for all time, and that each statement is broken by a broken router."""

import shutil

import pytest

from neardecode.config.topology import Topology
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties.router import RouterProperties
from neardecode_testbench.scenarios.properties.router_state import routers_of

INDUCTION = 2
CYCLES = 7

CREDITS = "credits are conserved"
IN_TURN = "a flit leaves in its turn, unchanged, where it must go"
FEWER = "fewer packets go first than there are inputs"
LEAVE = "as many flits leave as credits go back"
MIXED = "packets do not mix"
ONE = "an output grants one input"
NO_CREDIT = "a flit was sent without a credit"
NO_ENTRY = "a payload came without a free entry"
SENT = "an output sends what was granted"
OVERFLOW = "a receiver does not overflow"
WAITS = "a token waits for a token or for credit"


@pytest.mark.parametrize(
    ("topology", "buffer_flits", "classes"),
    [(Topology((2,)), 3, (1, 1)), (Topology((3,), closed=True), 2, (2,))],
    ids=str,
)
def test_a_router_of_a_network_keeps_its_contract(topology, buffer_flits, classes):
    router, *_ = routers_of(topology, buffer_flits, classes)
    prove(RouterProperties(router), INDUCTION)


def test_the_proofs_are_about_states_that_are_reached():
    router, _ = routers_of(Topology((2,)), 2, (1, 1))
    prove(RouterProperties(router), 8, "cover")


def test_a_network_has_a_router_for_each_set_of_turns():
    assert len(routers_of(Topology((4, 4)), 2, (1, 1))) == 9
    assert len(routers_of(Topology((4,)), 2, (1,))) == 3


# Bugs of the router.


def sends_a_changed_bit(router, m):
    m.d.comb += router.outputs[0].payload.word[-1].eq(0)


def loses_the_tail(router, m):
    m.d.comb += router.outputs[0].payload.tail.eq(0)


def sends_on_the_other_channel(router, m):
    link = router.outputs[0]
    sends = router.grants((0, 0), 0) | router.grants((1, 0), 0)
    with m.If(sends):
        m.d.comb += link.valid.eq(2)


def sends_nothing_at_times(router, m):
    with m.If(router.outputs[0].payload.tail):
        m.d.comb += router.outputs[0].valid.eq(0)


def gives_no_credit_back(router, m):
    with m.If(router.inputs[0].payload.tail):
        m.d.comb += router.inputs[0].credit.eq(0)


def gives_a_credit_back_for_what_comes(router, m):
    m.d.comb += router.inputs[0].credit.eq(router.inputs[0].valid)


def takes_every_flit_for_a_first(router, m):
    m.d.sync += router.begins[1].eq(-1)


def takes_no_flit_for_a_first(router, m):
    m.d.sync += router.begins[1].eq(0)


def asks_for_an_output_that_is_held(router, m):
    way = router.buffers[1, 0]
    with m.If(way.filled & (router.credits[0, 0] != 0)):
        m.d.comb += router._allocator.requests[1][0][0].eq(1)


def asks_for_nothing_in_a_buffer_of_one(router, m):
    with m.If(router.buffers[0, 0].oldest[0]):
        m.d.comb += router._allocator.requests[0][0].eq(0)


# Bugs of its parts.


def grants_both(allocator, m):
    for port in range(2):
        m.d.comb += allocator.grants[port][0].eq(allocator.requests[port][0])


def lets_bulk_go_first(allocator, m):
    with m.If(allocator.requests[0][1].any()):
        m.d.comb += [
            allocator.grants[0][1].eq(allocator.requests[0][1]),
            *(allocator.grants[port][0].eq(0) for port in range(2)),
        ]


def serves_the_same_input_always(allocator, m):
    m.d.sync += allocator._at_or_after[0][0].eq(-1)


def spends_nothing(credits, m):
    with m.If(credits.spent & ~credits.returned):
        m.d.sync += credits._count.eq(credits._count)


def forgets_a_credit(credits, m):
    with m.If(credits.spent & credits.returned):
        m.d.sync += credits._count.eq(credits._count - 1)


def gains_a_credit(credits, m):
    with m.If(credits.returned & ~credits.spent & (credits._count == 0)):
        m.d.sync += credits._count.eq(2)


def never_runs_out(credits, m):
    m.d.comb += credits.available.eq(1)


def writes_into_the_same_place(buffer, m):
    m.d.sync += buffer._next.eq(buffer._next)


def gives_the_same_flit_again(buffer, m):
    with m.If(buffer._oldest[1]):
        m.d.sync += buffer._oldest.eq(buffer._oldest)


def forgets_what_it_holds(buffer, m):
    with m.If(buffer.o.ready & ~buffer.write):
        m.d.sync += buffer._filled.eq(0)


def writes_one_piece_only(buffer, m):
    m.d.sync += buffer._entries[1][0][-1].eq(0)


def forgets_its_output(packet, m):
    m.d.sync += packet._held.eq(0)


def keeps_its_output_for_ever(packet, m):
    with m.If(packet.tail):
        m.d.sync += packet._held.eq(packet._held)


def of_router(bug, router):
    with_bug(router, bug)


def of(parts):
    def apply(bug, router):
        every = getattr(router, parts)
        for part in every.values() if isinstance(every, dict) else [every]:
            with_bug(part, bug)

    return apply


BUGS = [
    (of_router, sends_a_changed_bit, {IN_TURN}),
    (of_router, loses_the_tail, {IN_TURN}),
    (of_router, sends_on_the_other_channel, {IN_TURN}),
    (of_router, sends_nothing_at_times, {IN_TURN, LEAVE, SENT}),
    (of_router, gives_no_credit_back, {LEAVE}),
    (of_router, gives_a_credit_back_for_what_comes, {LEAVE}),
    (of_router, takes_every_flit_for_a_first, {IN_TURN}),
    (of_router, takes_no_flit_for_a_first, {IN_TURN}),
    (of_router, asks_for_an_output_that_is_held, {MIXED, IN_TURN}),
    (of_router, asks_for_nothing_in_a_buffer_of_one, {WAITS}),
    (of("_allocator"), grants_both, {ONE}),
    (of("_allocator"), lets_bulk_go_first, {WAITS}),
    (of("_allocator"), serves_the_same_input_always, {FEWER}),
    (of("_credits"), spends_nothing, {CREDITS, OVERFLOW}),
    (of("_credits"), forgets_a_credit, {CREDITS}),
    (of("_credits"), gains_a_credit, {CREDITS}),
    (of("_credits"), never_runs_out, {OVERFLOW, CREDITS, NO_CREDIT}),
    (of("_buffers"), writes_into_the_same_place, {IN_TURN, NO_ENTRY}),
    (of("_buffers"), gives_the_same_flit_again, {IN_TURN, LEAVE}),
    (of("_buffers"), forgets_what_it_holds, {WAITS}),
    (of("_buffers"), writes_one_piece_only, {IN_TURN}),
    (of("_packets"), forgets_its_output, {IN_TURN, MIXED}),
    (of("_packets"), keeps_its_output_for_ever, {IN_TURN, WAITS}),
]


@pytest.mark.parametrize(
    ("place", "bug", "messages"), BUGS, ids=lambda item: getattr(item, "__name__", "")
)
def test_a_broken_router_breaks_its_proof(place, bug, messages):
    router, _ = routers_of(Topology((2,)), 2, (1, 1))
    place(bug, router)
    with pytest.raises(ProofError) as caught:
        prove(RouterProperties(router, invariants=False), CYCLES, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])
    assert messages & set(caught.value.messages)
