import random

import pytest
from amaranth.hdl import Value, signed

from neardecode.lib import FlitLayout, StreamFIFO

DEPTHS = [1, 2, 3, 4, 5, 8, 17]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_payload_falls_through_in_one_cycle(run_stream, depth):
    dut = StreamFIFO(8, depth)
    transfers = run_stream(dut, dut.i, dut.o, range(5), source_stall=lambda cycle: cycle % 4 != 0)
    assert dut.latency == 1
    assert transfers.cycles == [1, 5, 9, 13, 17]


@pytest.mark.parametrize("depth", [depth for depth in DEPTHS if depth > 1])
def test_carries_one_payload_a_cycle_from_depth_two(run_stream, depth):
    dut = StreamFIFO(8, depth)
    assert run_stream(dut, dut.i, dut.o, range(50)).cycles == list(range(1, 51))


def test_carries_one_payload_in_two_cycles_at_depth_one(run_stream):
    dut = StreamFIFO(8, 1)
    assert run_stream(dut, dut.i, dut.o, range(50)).cycles == list(range(1, 101, 2))


@pytest.mark.parametrize("depth", DEPTHS)
def test_accepts_its_depth_and_then_no_more(run_stream, depth):
    dut = StreamFIFO(8, depth)
    levels = []
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        range(2 * depth),
        sink_stall=lambda cycle: True,
        each_cycle=lambda cycle, get: levels.append(get(dut.level)),
        cycles=depth + 4,
    )
    assert [payload for _, payload in transfers.accepted] == list(range(depth))
    assert levels == [*range(depth), depth, depth, depth, depth]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("depth", DEPTHS)
def test_keeps_every_payload_under_random_stalls(run_stream, random_stalls, depth, seed):
    dut = StreamFIFO(16, depth)
    source = random.Random(seed)
    payloads = [source.getrandbits(16) for _ in range(200)]
    inside = []
    levels = []
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        payloads,
        source_stall=random_stalls(seed, 0.4),
        sink_stall=random_stalls(seed + 100, 0.5),
        each_cycle=lambda cycle, get: levels.append(get(dut.level)),
    )
    assert transfers.payloads == payloads
    accepted, received = dict(transfers.accepted), dict(transfers.received)
    level = 0
    for cycle in range(len(levels)):
        inside.append(level)
        level += (cycle in accepted) - (cycle in received)
    assert levels == inside


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("shape", [1, signed(5), FlitLayout(64, 5, 2)], ids=str)
def test_carries_any_shape(run_stream, shape, depth):
    dut = StreamFIFO(shape, depth)
    payload = Value.cast(dut.o.payload)
    low, high = (-16, 15) if payload.shape().signed else (0, 2 ** len(payload) - 1)
    payloads = [low, high, 0, 1, high - 1, low + 1]
    assert run_stream(dut, dut.i, dut.o, payloads).payloads == payloads


@pytest.mark.parametrize("depth", DEPTHS)
def test_reset_empties_it(run_stream, depth):
    dut = StreamFIFO(8, depth)
    levels = {}
    transfers = run_stream(
        dut,
        dut.i,
        dut.o,
        range(depth + 5),
        # Filled, reset in the cycle after, and only then read.
        source_stall=lambda cycle: depth <= cycle < depth + 4,
        sink_stall=lambda cycle: cycle < depth + 3,
        reset=lambda cycle: cycle == depth,
        each_cycle=lambda cycle, get: levels.__setitem__(cycle, get(dut.level)),
        cycles=depth + 30,
    )
    assert levels[depth] == depth
    assert levels[depth + 1] == 0
    assert transfers.payloads == list(range(depth, depth + 5))


@pytest.mark.parametrize("depth", [0, -1, 1.5, "4", None])
def test_refuses_a_depth_that_is_no_positive_integer(depth):
    with pytest.raises(ValueError, match=f"depth must be a positive integer, not {depth!r}"):
        StreamFIFO(8, depth)


def test_refuses_what_is_no_shape():
    with pytest.raises(TypeError, match="shape"):
        StreamFIFO("byte", 4)
