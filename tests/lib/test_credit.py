import random
import re
from pathlib import Path

import pytest
from amaranth.hdl import ClockDomain, Module, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

import neardecode.lib
from neardecode.lib import (
    CreditInterface,
    CreditPipe,
    CreditReceiver,
    CreditSender,
    CreditSignature,
    FlitLayout,
)


class Link(wiring.Component):
    """Sender, pipe and receiver in a row."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape, credits, depth, latency):
        self.sender = CreditSender(shape, credits)
        self.pipe = CreditPipe(shape, latency)
        self.receiver = CreditReceiver(shape, depth)
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = self.sender
        m.submodules.pipe = self.pipe
        m.submodules.receiver = self.receiver
        wiring.connect(m, wiring.flipped(self.i), self.sender.i)
        wiring.connect(m, self.sender.link, self.pipe.i)
        wiring.connect(m, self.pipe.o, self.receiver.link)
        wiring.connect(m, self.receiver.o, wiring.flipped(self.o))
        return m


def simulate(dut, bench):
    # A pipe without registers has no clock of its own.
    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("latency", [0, 1, 2, 5])
def test_a_payload_takes_the_latencies_of_sender_pipe_and_receiver(run_stream, latency):
    dut = Link(8, 4, 4, latency)
    transfers = run_stream(dut, dut.i, dut.o, [7])
    assert transfers.cycles == [dut.sender.latency + dut.pipe.latency + dut.receiver.latency]
    assert transfers.cycles == [latency + 1]


@pytest.mark.parametrize("credits", [1, 2, 3, 4, 5, 6, 8, 12, 13])
@pytest.mark.parametrize("latency", [0, 1, 2, 5])
def test_the_rate_is_credits_over_the_round_trip(run_stream, latency, credits):
    dut = Link(8, credits, credits, latency)
    full = CreditSender.full_rate_credits(latency)
    assert full == 2 * latency + 2
    transfers = run_stream(dut, dut.i, dut.o, range(10 * full))
    window = [cycle for cycle in transfers.cycles if full <= cycle < 6 * full]
    assert len(window) == 5 * min(credits, full)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("credits", "depth", "latency"),
    [(1, 1, 0), (1, 3, 2), (2, 2, 0), (3, 4, 1), (5, 5, 1), (17, 17, 3)],
)
def test_keeps_every_payload_under_random_stalls(
    run_stream, random_stalls, credits, depth, latency, seed
):
    dut = Link(16, credits, depth, latency)
    source = random.Random(seed)
    payloads = [source.getrandbits(16) for _ in range(150)]
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        payloads,
        source_stall=random_stalls(seed, 0.4),
        sink_stall=random_stalls(seed + 100, 0.5),
    )
    assert transfers.payloads == payloads


@pytest.mark.parametrize("shape", [1, signed(5), FlitLayout(64, 5, 2)], ids=str)
def test_carries_any_shape(run_stream, shape):
    dut = Link(shape, 3, 3, 1)
    payload = Value.cast(dut.o.payload)
    low, high = (-16, 15) if payload.shape().signed else (0, 2 ** len(payload) - 1)
    payloads = [low, high, 0, 1, high - 1, low + 1]
    assert run_stream(dut, dut.i, dut.o, payloads).payloads == payloads


def test_a_blocked_link_is_the_waveform_of_the_readme(run_stream):
    dut = Link(8, 3, 3, 1)
    signals = {
        "i.valid": dut.i.valid,
        "link.valid": dut.sender.link.valid,
        "blocked": dut.sender.blocked,
        "o.valid": dut.o.valid,
        "o.ready": dut.o.ready,
        "link.credit": dut.sender.link.credit,
    }
    seen = {name: [] for name in signals}
    run_stream(
        dut,
        dut.i,
        dut.o,
        range(6),
        source_stall=lambda cycle: cycle in (3, 4),
        sink_stall=lambda cycle: cycle < 8,
        each_cycle=lambda cycle, get: [seen[name].append(get(signals[name])) for name in signals],
        cycles=13,
    )
    readme = (Path(neardecode.lib.__file__).parent / "README.md").read_text()
    drawn = {
        name: [int(level) for level in re.findall(r"[01](?= |$)", line)]
        for name in signals
        for line in re.findall(rf"^    {re.escape(name)} +([01 ]+)", readme, re.MULTILINE)
    }
    assert seen == drawn
    # Three leave in cycles 0 to 2; the fourth comes in 5 and waits. The first is taken in cycle 8,
    # its credit is back in 9 and is spent in 10.
    assert [cycle for cycle, high in enumerate(seen["blocked"]) if high] == [5, 6, 7, 8, 9]


def test_a_credit_is_spent_in_the_cycle_after_it_came():
    dut = CreditSender(8, 1)

    async def bench(ctx):
        seen = []
        ctx.set(dut.i.valid, 1)
        for credit in (0, 0, 1, 0, 0, 1, 0, 0):
            ctx.set(dut.link.credit, credit)
            seen.append(ctx.get(dut.link.valid))
            await ctx.tick()
        assert seen == [1, 0, 0, 1, 0, 0, 1, 0]

    simulate(dut, bench)


def test_the_sender_is_a_path_without_registers():
    dut = CreditSender(8, 2)

    async def bench(ctx):
        for valid, payload in ((0, 5), (1, 6), (1, 7), (0, 8)):
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, payload)
            assert ctx.get(dut.link.valid) == valid
            assert ctx.get(dut.link.payload) == payload
            assert ctx.get(dut.i.ready) == 1

    simulate(dut, bench)


def test_the_receiver_returns_one_credit_for_each_payload_taken():
    dut = CreditReceiver(8, 2)

    async def bench(ctx):
        ctx.set(dut.link.valid, 1)
        for _ in range(2):
            await ctx.tick()
        ctx.set(dut.link.valid, 0)
        credits = []
        for ready in (0, 1, 0, 0, 1, 1, 1):
            ctx.set(dut.o.ready, ready)
            credits.append(ctx.get(dut.link.credit))
            await ctx.tick()
        assert credits == [0, 1, 0, 0, 1, 0, 0]

    simulate(dut, bench)


def test_a_payload_without_a_free_entry_is_an_error():
    dut = CreditReceiver(8, 2)

    async def bench(ctx):
        ctx.set(dut.link.valid, 1)
        for _ in range(3):
            await ctx.tick()

    with pytest.raises(AssertionError, match="a payload came without a free entry"):
        simulate(dut, bench)


def test_a_credit_that_was_never_spent_is_an_error():
    dut = CreditSender(8, 2)

    async def bench(ctx):
        ctx.set(dut.link.credit, 1)
        for _ in range(2):
            await ctx.tick()

    with pytest.raises(AssertionError, match="a credit came back that was never spent"):
        simulate(dut, bench)


@pytest.mark.parametrize("latency", [0, 1, 3])
def test_the_pipe_delays_payloads_and_credits_alike(latency):
    dut = CreditPipe(8, latency)
    source = random.Random(latency)
    sent = [
        (source.getrandbits(1), source.getrandbits(8), source.getrandbits(1)) for _ in range(40)
    ]

    async def bench(ctx):
        arrived = []
        for valid, payload, credit in sent:
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, payload)
            ctx.set(dut.o.credit, credit)
            out = ctx.get(dut.o.valid)
            arrived.append((out, out and ctx.get(dut.o.payload), ctx.get(dut.i.credit)))
            await ctx.tick()
        expected = [(valid, valid and payload, credit) for valid, payload, credit in sent]
        assert arrived == [(0, 0, 0)] * latency + expected[: len(sent) - latency]

    assert dut.latency == latency
    simulate(dut, bench)


def test_reset_of_the_whole_link_restores_all_credits(run_stream):
    dut = Link(8, 4, 4, 2)
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        range(1, 13),
        # Two in the buffer and two in flight when reset comes.
        sink_stall=lambda cycle: cycle < 20,
        reset=lambda cycle: cycle == 4,
        cycles=60,
    )
    assert [payload for cycle, payload in transfers.accepted if cycle < 20] == list(range(1, 9))
    assert transfers.payloads == list(range(5, 13))


def test_a_link_signature_has_credit_against_its_direction():
    signature = CreditSignature(8)
    assert signature.members["valid"].flow == Out
    assert signature.members["payload"].flow == Out
    assert signature.members["credit"].flow == In
    assert isinstance(signature.create(), CreditInterface)
    assert signature.shape == 8


def test_link_signatures_are_equal_when_their_shapes_are():
    assert CreditSignature(FlitLayout(64, 4)) == CreditSignature(FlitLayout(64, 4))
    assert CreditSignature(8) != CreditSignature(9)
    assert CreditSignature(8).flip() == CreditSignature(8).flip()
    assert CreditSignature(8) != stream.Signature(8)
    assert repr(CreditSignature(8)) == "CreditSignature(8)"


@pytest.mark.parametrize("number", [0, -1, 1.5, "4", None])
def test_refuses_a_number_that_is_no_positive_integer(number):
    with pytest.raises(ValueError, match=f"credits must be a positive integer, not {number!r}"):
        CreditSender(8, number)
    with pytest.raises(ValueError, match=f"depth must be a positive integer, not {number!r}"):
        CreditReceiver(8, number)


@pytest.mark.parametrize("latency", [-1, 1.5, "4", None])
def test_refuses_a_latency_that_is_no_non_negative_integer(latency):
    with pytest.raises(
        ValueError, match=f"latency must be a non-negative integer, not {latency!r}"
    ):
        CreditPipe(8, latency)


@pytest.mark.parametrize(
    "make",
    [
        CreditSignature,
        lambda shape: CreditSender(shape, 1),
        lambda shape: CreditReceiver(shape, 1),
        lambda shape: CreditPipe(shape, 1),
    ],
)
def test_refuses_what_is_no_shape(make):
    with pytest.raises(TypeError, match="shape"):
        make("byte")
