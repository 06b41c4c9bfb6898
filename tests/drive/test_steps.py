"""What a step means, the same on the native runner and on the Python player."""

import numpy as np
import pytest

from neardecode_testbench.drive import amaranth_sim, native
from neardecode_testbench.drive.stimulus import (
    Play,
    Probe,
    Sink,
    Source,
    Storage,
    StorageError,
    StuckError,
)

WIDE = (1 << 79) | 0x0123_4567_89AB_CDEF


@pytest.fixture(params=["native", "player"])
def run(request, machine):
    def run(scenario):
        if request.param == "native":
            return native.run(machine, scenario, waves=None, wave_cycles=0)
        return amaranth_sim.run(machine.make(), scenario)

    return run


def outputs(step, *names, **levels):
    return step(Probe(levels, list(names))).outputs


def test_reset_is_over_before_the_first_cycle(run):
    def scenario(step):
        first = step(Probe({}, ["cycle", "o__valid"]))
        assert (first.start, first.cycles) == (0, 1)
        assert first.outputs == {"cycle": 0, "o__valid": 0}
        second = step(Probe({}, ["cycle"]))
        assert (second.start, second.outputs) == (1, {"cycle": 1})
        return "the end"

    assert run(scenario) == "the end"


@pytest.mark.parametrize("value", [0, 1, 1 << 99, (1 << 100) - 1, WIDE])
def test_a_probe_sets_and_gets_every_bit(run, value):
    def scenario(step):
        both = outputs(step, "wide_copy", "small", wide=value)
        return both, outputs(step, "wide_copy")

    assert run(scenario) == ({"wide_copy": value, "small": value >> 99}, {"wide_copy": value})


def test_a_port_that_is_not_there_is_named(run):
    with pytest.raises(KeyError, match="missing"):
        run(lambda step: outputs(step, missing=1))
    with pytest.raises(KeyError, match="missing"):
        run(lambda step: outputs(step, "missing"))


def test_payloads_go_through_at_one_a_cycle(run):
    payloads = [WIDE + index for index in range(5)]
    passed = [payload + 3 for payload in payloads]
    outcome = run(
        lambda step: step(Play([Source("i", payloads)], [Sink("o", 5, passed)], [], {"offset": 3}))
    )
    assert outcome.sources["i"] == [0, 1, 2, 3, 4]
    log = outcome.sinks["o"]
    assert (log.cycles, log.payloads, log.mismatches) == ([1, 2, 3, 4, 5], passed, [])
    assert (outcome.start, outcome.cycles) == (0, 6)


def test_levels_stay_over_plays_and_streams_idle_between_them(run):
    def scenario(step):
        step(Play([Source("i", [1])], [Sink("o", 1)], levels={"offset": 30}))
        assert outputs(step, "o__valid", "i__ready") == {"o__valid": 0, "i__ready": 1}
        return step(Play([Source("i", [1])], [Sink("o", 1)]))

    outcome = run(scenario)
    assert outcome.sinks["o"].payloads == [31]
    assert outcome.start == 3


def test_an_empty_play_takes_no_cycle(run):
    def scenario(step):
        outcome = step(Play([Source("i", [])], [Sink("o", 0)]))
        assert outcome.sources == {"i": []}
        assert outcome.sinks["o"].payloads == []
        return outcome.cycles, outputs(step, "cycle")["cycle"]

    assert run(scenario) == (0, 0)


def test_stalls_hold_back_in_their_cycles_and_an_offered_payload_stays(run):
    source, sink = np.array([1, 0, 0, 0, 0, 1], bool), np.array([1, 1, 0], bool)
    outcome = run(
        lambda step: step(Play([Source("i", [7, 8, 9], source)], [Sink("o", 3, None, sink)]))
    )
    # The second is offered in cycle 2 and goes through with the first; the third is offered in
    # cycle 3, and the stall in cycle 5, in which it is taken, does not take it back.
    assert outcome.sources["i"] == [1, 2, 5]
    log = outcome.sinks["o"]
    assert (log.cycles, log.payloads) == ([2, 5, 8], [7, 8, 9])


def test_stalls_count_from_reset(run):
    stalls = np.array([0, 0, 0, 1, 1], bool)

    def scenario(step):
        for _ in range(3):
            outputs(step)
        return step(Play([Source("i", [1], stalls)], [Sink("o", 1)]))

    assert run(scenario).sources["i"] == [5]


def test_a_wrong_payload_is_a_mismatch(run):
    play = Play([Source("i", [1, 2, 3])], [Sink("o", 3, [1, 5, 3])])
    assert run(lambda step: step(play)).sinks["o"].mismatches == [1]


def test_a_top_bit_is_compared(run):
    play = Play([Source("i", [1 << 79])], [Sink("o", 1, [0])])
    assert run(lambda step: step(play)).sinks["o"].mismatches == [0]


@pytest.mark.parametrize(
    ("keys", "mismatches"),
    [
        (0, [0, 1, 2, 3]),  # one order for all
        (0xF0, []),  # an order for each upper digit
        (0xFF, []),  # any order
        (1 << 79, [0, 1, 2, 3]),  # a digit that is 0 in all
    ],
)
def test_keys_name_what_comes_in_any_order(run, keys, mismatches):
    play = Play(
        [Source("i", [0x11, 0x21, 0x12, 0x22])],
        [Sink("o", 4, [0x21, 0x22, 0x11, 0x12], keys=keys)],
    )
    assert run(lambda step: step(play)).sinks["o"].mismatches == mismatches


@pytest.mark.parametrize(
    ("sent", "expected", "mismatches"),
    [
        ([0x12, 0x21, 0x11], [0x11, 0x12, 0x21], [0, 2]),  # out of order among equals
        ([0x31, 0x11], [0x11, 0x12], [0]),  # a key that nobody expects
        ([0x11, 0x12, 0x13], [0x11, 0x12, 0x21], [2]),  # more of a key than expected
    ],
)
def test_order_and_number_count_among_equal_keys(run, sent, expected, mismatches):
    play = Play([Source("i", sent)], [Sink("o", len(sent), expected, keys=0xF0)])
    assert run(lambda step: step(play)).sinks["o"].mismatches == mismatches


@pytest.mark.parametrize("expected", [None, [0], [1]])
def test_transfers_after_the_last_are_mismatches(run, expected):
    def scenario(step):
        # A payload stays behind in the register, ahead of those of the next play.
        step(Play([Source("i", [0])]))
        return step(Play([Source("i", [5])], [Sink("o", 1, expected)], trailing=4))

    outcome = run(scenario)
    log = outcome.sinks["o"]
    assert log.payloads == [0, 5]
    assert log.mismatches == ([0, 1] if expected == [1] else [1])
    assert outcome.cycles == 1 + 4


def test_trailing_cycles_without_a_transfer_are_counted(run):
    outcome = run(lambda step: step(Play([Source("i", [1])], [Sink("o", 1, [1])], trailing=4)))
    assert outcome.cycles == 2 + 4
    assert outcome.sinks["o"].mismatches == []


def test_a_play_that_does_not_end_says_how_far_it_came(run):
    with pytest.raises(StuckError) as caught:
        run(lambda step: step(Play([Source("i", [1, 2, 3])], [Sink("o", 5)], limit=50)))
    assert str(caught.value) == "no end after 50 cycles: i gave 3 of 3; o took 3 of 5"


def test_a_scenario_may_go_on_after_a_play_without_end(run):
    def scenario(step):
        with pytest.raises(StuckError):
            step(Play([], [Sink("o", 1)], limit=50))
        return outputs(step, "cycle")["cycle"]

    assert run(scenario) == 50


def test_the_limit_is_the_most_cycles(run):
    play = Play([Source("i", [1, 2, 3])], [Sink("o", 3)], limit=4)
    assert run(lambda step: step(play)).cycles == 4
    play.limit = 3
    with pytest.raises(StuckError, match=r"^no end after 3 cycles: i gave 3 of 3; o took 2 of"):
        run(lambda step: step(play))


def memory():
    return np.arange(10 * 32, dtype=np.uint8).reshape(10, 32)


def reading(address, log_every=0):
    return Play(
        [Source("i", [0])],
        [Sink("o", 1)],
        [Storage("storage", memory(), 32, log_every)],
        {"reading": 1, "address": address},
    )


def test_storage_gives_the_beat_one_cycle_later(run):
    def scenario(step):
        step(reading(3))
        return outputs(step, "beat")["beat"]

    assert run(scenario) == int.from_bytes(memory()[3].tobytes(), "little")


def test_storage_is_read_as_it_is(run):
    def scenario(step):
        play = reading(9)
        step(play)
        play.storages[0].memory[9] = 0xA5
        step(play)
        return outputs(step, "beat")["beat"]

    assert run(scenario) == int("a5" * 32, 16)


def test_accesses_are_kept_at_multiples_only(run):
    def scenario(step):
        return [step(reading(*way)).accesses for way in [(6, 3), (5, 3), (0, 3), (6, 0)]]

    assert run(scenario) == [
        {"storage": [(0, 6), (1, 6)]},
        {"storage": []},
        {"storage": [(4, 0), (5, 0)]},
        {"storage": []},
    ]


def test_an_address_beyond_the_memory_is_named(run):
    def scenario(step):
        step(reading(9))
        step(reading(10))

    with pytest.raises(StorageError) as caught:
        run(scenario)
    assert str(caught.value) == "cycle 2: storage read beat 10, beyond its 10"


def test_storages_stay_connected_while_a_design_is_probed(run):
    def scenario(step):
        step(reading(3))
        seen = [outputs(step, "beat", address=address)["beat"] for address in (7, 2, 5)]
        step(reading(9, 3))
        # What is asked for between plays is not among the accesses of either.
        kept = [outputs(step, "beat", address=6)["beat"], step(reading(9, 3)).accesses]
        return [*seen, *kept]

    beats = [int.from_bytes(memory()[at].tobytes(), "little") for at in (3, 7, 2, 9)]
    assert run(scenario) == [*beats, {"storage": [(8, 9), (9, 9)]}]


def test_a_write_during_a_probe_changes_its_beat(run):
    changed = odd()

    def scenario(step):
        step(storing(changed, 3))
        outputs(step, address=4, writing=1, fresh=7)
        return outputs(step, "old", writing=0)["old"], outputs(step, "old")["old"]

    # A write leaves standing what was read before it.
    before = int.from_bytes(odd()[3].tobytes(), "little")
    assert run(scenario) == (before, 7)
    expected = odd()
    expected[4] = [7] + [0] * 70
    assert changed.tolist() == expected.tolist()


def test_an_address_beyond_the_memory_is_named_during_a_probe(run):
    def scenario(step):
        step(reading(9))
        outputs(step, address=10)

    with pytest.raises(StorageError) as caught:
        run(scenario)
    assert str(caught.value) == "cycle 2: storage read beat 10, beyond its 10"


def odd():
    return np.random.default_rng(1).integers(256, size=(10, 71), dtype=np.uint8)


def storing(memory, address, new=None, log_every=0):
    return Play(
        [Source("i", [0])],
        [Sink("o", 1)],
        [Storage("store", memory, 71, log_every, writable=True)],
        {"reading": 1, "address": address, "writing": int(new is not None), "fresh": new or 0},
    )


@pytest.mark.parametrize("address", [0, 4, 9])
def test_a_write_changes_its_beat_and_no_other(run, address):
    memory, new = odd(), int.from_bytes(bytes(range(100, 171)), "little")
    run(lambda step: step(storing(memory, address, new)))
    expected = odd()
    expected[address] = range(100, 171)
    assert memory.tolist() == expected.tolist()


def test_a_beat_of_an_odd_size_is_read_whole_and_alone(run):
    def scenario(step):
        step(storing(odd(), 3))
        return outputs(step, "old")["old"]

    assert run(scenario) == int.from_bytes(odd()[3].tobytes(), "little")


def test_a_write_is_read_back_in_the_next_cycle(run):
    memory, new = odd(), (1 << 568) - 3

    def scenario(step):
        written = storing(memory, 5, new)
        written.sinks, written.sources, written.trailing = [], [], 1
        read = storing(memory, 5)
        read.sinks, read.sources, read.trailing = [], [], 1
        assert (step(written).cycles, step(read).cycles) == (1, 1)
        read.trailing = 2
        step(read)
        return outputs(step, "old")["old"]

    assert run(scenario) == new


def test_a_write_leaves_what_was_read_standing(run):
    memory = odd()

    def scenario(step):
        step(storing(memory, 3))
        step(storing(memory, 3, 1))
        return outputs(step, "old")["old"]

    assert run(scenario) == int.from_bytes(odd()[3].tobytes(), "little")


def test_writes_are_kept_apart_from_reads(run):
    def scenario(step):
        outcomes = [step(storing(odd(), 6, new, 3)) for new in (None, 7)]
        outcomes += [step(storing(odd(), *way)) for way in ((5, 7, 3), (6, 7, 0))]
        outcomes += [step(reading(6, 3))]
        return [(outcome.accesses, outcome.writes) for outcome in outcomes]

    assert run(scenario) == [
        ({"store": [(0, 6), (1, 6)]}, {"store": []}),
        ({"store": []}, {"store": [(2, 6), (3, 6)]}),
        ({"store": []}, {"store": []}),
        ({"store": []}, {"store": []}),
        ({"storage": [(8, 6), (9, 6)]}, {}),
    ]


def test_a_write_beyond_the_memory_is_named(run):
    with pytest.raises(StorageError) as caught:
        run(lambda step: step(storing(odd(), 10, 1)))
    assert str(caught.value) == "cycle 0: store wrote beat 10, beyond its 10"


def test_an_error_of_the_scenario_comes_out(run):
    def scenario(step):
        outputs(step)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(scenario)
