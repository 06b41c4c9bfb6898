import pytest

from neardecode_testbench.scenarios.stream_rules import StreamRuleError, StreamRules


def watch(*cycles):
    rules = StreamRules("scores")
    return rules, [rules.cycle(*cycle) for cycle in cycles]


def test_counts_cycles_and_transfers():
    rules, transferred = watch((0, 0, 5), (0, 1, 6), (1, 0, 7), (1, 1, 7), (1, 1, 8), (0, 1, 0))
    assert transferred == [False, False, False, True, True, False]
    assert (rules.cycles, rules.transfers) == (6, 2)


def test_the_payload_is_free_while_nothing_waits():
    watch((0, 0, 1), (0, 0, 2), (1, 1, 3), (1, 1, 4), (0, 1, 5), (1, 1, 6))


def test_valid_that_drops_before_ready_is_named_with_stream_and_cycle():
    with pytest.raises(
        StreamRuleError, match=r"^stream scores, cycle 2: valid dropped before ready"
    ):
        watch((1, 1, 3), (1, 0, 4), (0, 1, 4))


def test_a_payload_that_changes_before_ready_is_named_with_stream_and_cycle():
    with pytest.raises(
        StreamRuleError, match=r"^stream scores, cycle 3: the payload changed from 4 to 5"
    ):
        watch((0, 0, 3), (1, 0, 4), (1, 0, 4), (1, 1, 5))


def test_a_transfer_ends_the_wait():
    watch((1, 0, 4), (1, 1, 4), (0, 0, 5))


def test_reset_forgets_a_payload_that_waits():
    rules, _ = watch((1, 0, 4))
    rules.reset()
    rules.cycle(0, 0, 9)
    assert rules.cycles == 2


def test_payloads_of_any_type_are_compared():
    with pytest.raises(StreamRuleError):
        watch((1, 0, {"row": 1}), (1, 0, {"row": 2}))
