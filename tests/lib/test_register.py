import itertools
import random

import pytest
from amaranth.hdl import Value, signed
from amaranth.sim import Simulator

from neardecode.lib import FlitLayout, RegisterSlice


def test_every_payload_leaves_one_cycle_after_it_came(run_stream):
    dut = RegisterSlice(8)
    transfers = run_stream(dut, dut.i, dut.o, range(50))
    assert dut.latency == 1
    assert transfers.payloads == list(range(50))
    assert transfers.cycles == [cycle + 1 for cycle, _ in transfers.accepted]


def test_carries_one_payload_a_cycle(run_stream):
    dut = RegisterSlice(8)
    transfers = run_stream(dut, dut.i, dut.o, range(50))
    assert transfers.cycles == list(range(1, 51))


def test_accepts_two_payloads_while_the_output_stalls(run_stream):
    dut = RegisterSlice(8)
    transfers = run_stream(
        dut, dut.i, dut.o, range(8), sink_stall=lambda cycle: cycle < 10, cycles=10
    )
    assert [payload for _, payload in transfers.accepted] == [0, 1]


def test_ready_returns_one_cycle_after_a_payload_was_taken(run_stream):
    dut = RegisterSlice(8)
    transfers = run_stream(dut, dut.i, dut.o, range(8), sink_stall=lambda cycle: cycle < 10)
    assert transfers.accepted[2] == (11, 2)
    assert transfers.cycles == list(range(10, 18))


def test_no_output_follows_an_input_within_a_cycle():
    dut = RegisterSlice(4)
    source = random.Random(1)

    async def bench(ctx):
        for _ in range(50):
            seen = set()
            for valid, ready, payload in itertools.product((0, 1), (0, 1), (3, 9)):
                ctx.set(dut.i.valid, valid)
                ctx.set(dut.o.ready, ready)
                ctx.set(dut.i.payload, payload)
                seen.add((ctx.get(dut.i.ready), ctx.get(dut.o.valid), ctx.get(dut.o.payload)))
            assert len(seen) == 1
            ctx.set(dut.i.valid, source.random() < 0.6)
            ctx.set(dut.o.ready, source.random() < 0.4)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [1, 8, signed(5), FlitLayout(64, 5, 2)], ids=str)
def test_keeps_every_payload_under_random_stalls(run_stream, random_stalls, shape, seed):
    dut = RegisterSlice(shape)
    bits = len(Value.cast(dut.o.payload))
    source = random.Random(seed)
    payloads = [source.getrandbits(bits) for _ in range(200)]
    if shape == signed(5):
        payloads = [payload - 32 if payload & 16 else payload for payload in payloads]
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        payloads,
        source_stall=random_stalls(seed, 0.4),
        sink_stall=random_stalls(seed + 100, 0.4),
    )
    assert transfers.payloads == payloads


def test_reset_drops_both_payloads(run_stream):
    dut = RegisterSlice(8)
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        range(1, 7),
        sink_stall=lambda cycle: cycle <= 5,
        reset=lambda cycle: cycle == 5,
        cycles=20,
    )
    assert transfers.payloads == [3, 4, 5, 6]


def test_carries_a_payload_without_bits(run_stream):
    dut = RegisterSlice(0)
    assert run_stream(dut, dut.i, dut.o, [0] * 5).payloads == [0] * 5


def test_refuses_what_is_no_shape():
    with pytest.raises(TypeError, match="shape"):
        RegisterSlice("byte")
