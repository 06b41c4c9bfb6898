"""The stack's edge: every transfer, every payload in its cycle, and what is counted."""

import pytest
from amaranth.hdl import unsigned

from neardecode.compute.off_stack import Crossing, OffStackLink, transfers
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source
from neardecode_testbench.scenarios.blocks.edge import CutOff, Pacing, Recorder
from neardecode_testbench.scenarios.blocks.off_stack import EdgePayloads

CROSSINGS = {
    "queries": Crossing(unsigned(37), outward=False),
    "weights": Crossing(unsigned(13), outward=False, beside=3),
    "results": Crossing(unsigned(53), outward=True, beside=21),
}
COUNTS = {"queries": 40, "weights": 60, "results": 50}


def run(link_bits, latency, *settings, crossings=CROSSINGS, counts=COUNTS):
    scenario = EdgePayloads(crossings, link_bits, latency, counts, *settings)
    return play(OffStackLink(crossings, link_bits, latency), scenario)


@pytest.mark.parametrize("latency", [0, 1, 4])
@pytest.mark.parametrize("link_bits", [1, 8, 16, 64])
def test_every_payload_crosses_in_its_cycle(link_bits, latency):
    result = run(link_bits, latency)
    assert result.counts["BUSY"] == sum(
        COUNTS[name] * -(-bits // link_bits)
        for name, bits in (("queries", 37), ("weights", 10), ("results", 32))
    )
    assert result.bytes_in == 40 * 5 + 60 * 2
    assert result.bytes_out == 50 * 4


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize(("link_bits", "latency"), [(8, 3), (16, 0), (64, 2)])
def test_cycles_hold_under_random_stalls(link_bits, latency, share):
    run(link_bits, latency, latency + 1, Pacing(latency + 1, share))


@pytest.mark.parametrize("held", [*CROSSINGS, *(f"{name}_far" for name in CROSSINGS)])
def test_one_end_that_is_held_back_keeps_no_other_stream_waiting(held):
    ends = [end for name in CROSSINGS for end in (name, f"{name}_far")]
    run(16, 2, 5, Pacing(5, 0.8, tuple(end for end in ends if end != held)))


@pytest.mark.parametrize("latency", [0, 1, 5])
@pytest.mark.parametrize("link_bits", [1, 3, 10, 37, 100])
def test_a_stream_alone_crosses_at_a_transfer_a_cycle(link_bits, latency):
    crossings = {"queries": CROSSINGS["queries"]}
    result = run(link_bits, latency, crossings=crossings, counts={"queries": 30})
    count = transfers(crossings["queries"], link_bits)
    first = result.sent["queries"][0]
    assert first == count - 1
    assert result.sent["queries"] == list(range(first, first + 30 * count, count))
    assert result.arrived["queries"] == [cycle + latency + 1 for cycle in result.sent["queries"]]
    assert result.counts["CREDIT"] == 0


def test_whole_payloads_take_turns():
    result = run(16, 1, counts={"queries": 3, "weights": 3, "results": 3})
    assert result.sent == {
        "queries": [2, 8, 14], "weights": [3, 9, 15], "results": [5, 11, 17]
    }  # fmt: skip


def test_reset_forgets_what_was_under_way():
    def scenario(seed):
        return EdgePayloads(CROSSINGS, 8, 2, COUNTS, seed)

    for cycles in (1, 9, 22):
        play_after_reset(OffStackLink(CROSSINGS, 8, 2), CutOff(scenario(1), cycles), scenario(2))


@pytest.mark.parametrize(
    ("crossings", "link_bits", "latency", "message"),
    [
        ({}, 8, 1, "at least one"),
        (CROSSINGS, 0, 1, "link_bits must be a positive integer, not 0"),
        (CROSSINGS, 2.5, 1, "link_bits must be a positive integer, not 2.5"),
        (CROSSINGS, 8, -1, "latency must be a non-negative integer, not -1"),
        ({"a": Crossing(4, True, 4)}, 8, 1, "beside of a must leave bits to the pins, not 4"),
        ({"a": Crossing(4, True, -1)}, 8, 1, "beside of a must leave bits to the pins, not -1"),
    ],
)
def test_wrong_arguments_are_refused(crossings, link_bits, latency, message):
    with pytest.raises(ValueError, match=message):
        OffStackLink(crossings, link_bits, latency)


class Uncounted:
    """Payloads while the counters rest."""

    recorder = Recorder(("queries", "queries_far"))

    def __call__(self, step):
        ends = ([Source("queries", [1, 2])], [Sink("queries_far", 2, [1, 2])])
        step(Play(*ends, levels={"counting": 0}, limit=100))
        return step(Probe({}, ["bytes_in", "cycles"])).outputs


def test_nothing_is_counted_while_the_counters_rest():
    link = OffStackLink({"queries": CROSSINGS["queries"]}, 16, 1)
    assert play(link, Uncounted()) == {"bytes_in": 0, "cycles": 0}
