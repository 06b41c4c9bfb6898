"""The helpers of the blocks' scenarios: they see what they are to see."""

import enum

import numpy as np
import pytest

from neardecode_testbench.drive.stimulus import Outcome, Play, SinkLog
from neardecode_testbench.scenarios.blocks.edge import (
    CheckError,
    CutOff,
    Held,
    Pacing,
    Recorder,
    Transcript,
    check_counts,
    check_cycles,
    check_sink,
    offered_cycles,
    open_from,
    read_counts,
)
from neardecode_testbench.scenarios.blocks.turns import Turns
from neardecode_testbench.scenarios.stream_rules import StreamRuleError


class Levels:
    """Pins that stand as they are told."""

    def __init__(self, valid, ready, payload):
        self.levels = {"s__valid": valid, "s__ready": ready, "s__payload": payload}

    def get(self, port):
        return self.levels[port]


def watch(recorder, *cycles):
    for cycle, levels in enumerate(cycles):
        recorder(Levels(*levels), cycle)


def test_a_recorder_keeps_when_payloads_came_and_went():
    recorder = Recorder(("s",), ("s__valid", "s__ready"))
    watch(recorder, (0, 1, 0), (1, 0, 5), (1, 0, 5), (1, 1, 5), (1, 1, 6), (0, 0, 6))
    assert (recorder.offered, recorder.taken) == ({"s": [1, 4]}, {"s": [3, 4]})
    assert recorder.waveform(5) == ["s.valid  _####", "s.ready  #__##"]


def test_a_recorder_holds_its_streams_to_the_rules():
    with pytest.raises(StreamRuleError, match="stream s, cycle 1: the payload changed"):
        watch(Recorder(("s",)), (1, 0, 5), (1, 1, 6))


def test_stall_patterns_differ_by_stream_and_repeat_by_seed():
    pacing = Pacing(1)
    assert np.array_equal(pacing.stalls("a"), Pacing(1).stalls("a"))
    assert not np.array_equal(pacing.stalls("a"), pacing.stalls("b"))
    assert not np.array_equal(pacing.stalls("a"), Pacing(2).stalls("a"))
    assert 0.3 < pacing.stalls("a").mean() < 0.7
    assert Pacing().stalls("a") is None
    assert Pacing(1, free=("a",)).stalls("a") is None


def test_a_source_offers_the_next_payload_after_the_one_before_it_unless_stalled():
    stalls = Held(cycles={"s": (0, 4, 5)}).stalls("s")
    assert open_from(4, stalls) == 6
    assert offered_cycles([3, 6, 7], stalls, 0) == [1, 6, 7]


def test_a_wrong_cycle_is_named():
    with pytest.raises(CheckError, match=r"^beat 1: in cycle 5, not 6$"):
        check_cycles("beat", [4, 5], [4, 6])
    with pytest.raises(CheckError, match=r"^beat: 1 of them, not 2$"):
        check_cycles("beat", [4], [4, 6])


def test_a_wrong_payload_is_named():
    with pytest.raises(CheckError, match=r"^beats 1, cycle 8: 0xb was not expected"):
        check_sink("beats", SinkLog([7, 8], [10, 11], [1]))


def test_counts_that_differ_are_named_and_those_left_out_are_zero():
    check_counts("block", {"BUSY": 2, "IDLE": 0}, {"BUSY": 2})
    with pytest.raises(CheckError, match=r"^counters of the block: BUSY is 2, not 1; IDLE is 3"):
        check_counts("block", {"BUSY": 2, "IDLE": 3}, {"BUSY": 1})


def test_counts_are_read_by_the_value_of_their_cause():
    causes = enum.Enum("causes", {"BUSY": 0, "IDLE": 1})
    outcome = Outcome(0, 1, outputs={"cycles": 7 << 48 | 5})
    assert read_counts(lambda _: outcome, "cycles", causes) == {"BUSY": 5, "IDLE": 7}


def test_a_scenario_is_cut_off_by_the_limit_of_its_plays():
    seen = []
    cut = CutOff(lambda step: step(Play(limit=100)), 7)
    cut(seen.append)
    assert [play.limit for play in seen] == [7]


def test_a_transcript_keeps_every_outcome():
    outcomes = [Outcome(0, 1), Outcome(1, 5)]
    steps = iter(outcomes)
    result, kept = Transcript(lambda step: [step(Play()), step(Play())][1].cycles)(
        lambda _: next(steps)
    )
    assert (result, kept) == (5, outcomes)


def test_turns_stay_until_they_are_used():
    turns = Turns(3)
    everybody = [True] * 3
    assert turns.choose([False, True, True], used=False) == 1
    assert turns.choose(everybody, used=True) == 1
    assert [turns.choose(everybody, used=True) for _ in range(3)] == [2, 0, 1]
