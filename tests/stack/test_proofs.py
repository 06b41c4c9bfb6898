"""The vault's properties, for all time, and each broken by a bug."""

import shutil
from dataclasses import replace

import pytest

from neardecode.config import StackCycles
from neardecode.config.flash import Repair
from neardecode.stack.banks import BankStates
from neardecode.stack.lanes import TsvLanes
from neardecode_testbench.benches.vault import TINY
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties.access_queue import (
    AccessQueueProperties,
    ObservedAccessQueue,
)
from neardecode_testbench.scenarios.properties.bank_states import BankStatesProperties
from neardecode_testbench.scenarios.properties.read_buffer import (
    ObservedReadBuffer,
    ReadBufferProperties,
)
from neardecode_testbench.scenarios.properties.read_order import (
    ObservedReadOrder,
    ReadOrderProperties,
)
from neardecode_testbench.scenarios.properties.refresh import (
    ObservedAllBankRefresh,
    ObservedBankRefresh,
    RefreshProperties,
)
from neardecode_testbench.scenarios.properties.tsv_lanes import TsvLanesProperties
from neardecode_testbench.scenarios.properties.vault_front import (
    ObservedVaultFront,
    VaultFrontProperties,
)
from neardecode_testbench.scenarios.properties.written_data import (
    ObservedDataPath,
    WrittenDataProperties,
)

SMALL = TINY.stack.model_copy(
    update={
        "banks_a_group": 2,
        "pages_a_bank": 2,
        "page_bytes": 32,
        "bank_groups": 2,
        "queue": 3,
        "starvation_beats": 3,
        "buffer_beats": 8,
    }
)
SHORT = StackCycles(
    rcd=2,
    rp=2,
    cl=2,
    cwl=1,
    ras=3,
    rc=6,
    ccd_s=1,
    ccd_l=2,
    rrd=2,
    faw=9,
    wr=1,
    wtr=1,
    rtp=2,
    refi=10,
    rfc=4,
    rfc_bank=3,
    refresh_gap=2,
)


def counterexample(properties, depth=10):
    """The statements that fail within a few cycles of the initial state."""
    with pytest.raises(ProofError) as caught:
        prove(properties, depth, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])
    return caught.value.messages


def test_no_command_is_early_whatever_the_commands_before():
    prove(BankStatesProperties(BankStates(SMALL, SHORT), SMALL, SHORT), SHORT.faw + 2)


@pytest.mark.parametrize(
    ("timing", "rule"), [("rc", "RC"), ("faw", "FAW"), ("wr", "WR"), ("rfc_bank", "RFC")]
)
def test_bank_states_of_a_timing_too_short_give_a_command_early(timing, rule):
    shorter = replace(SHORT, **{timing: getattr(SHORT, timing) - 1})
    properties = BankStatesProperties(BankStates(SMALL, shorter), SMALL, SHORT)
    assert f"{rule} is kept" in counterexample(properties)


def access_queue(bug=None):
    queue = ObservedAccessQueue(SMALL)
    return AccessQueueProperties(with_bug(queue, bug) if bug else queue, SMALL)


@pytest.mark.parametrize(("mode", "depth"), [("prove", 2), ("cover", 12)])
def test_a_queue_gives_every_beat_once_and_starves_none(mode, depth):
    prove(access_queue(), depth, mode)


def test_a_queue_that_takes_when_full_loses_an_access():
    def bug(queue, m):
        m.d.comb += queue.accesses.ready.eq(1)

    assert "takes while there is room" in counterexample(access_queue(bug))


def test_a_queue_that_forgets_passes_starves_the_oldest():
    def bug(queue, m):
        m.d.sync += queue.passed.eq(0)

    assert "passes are counted" in counterexample(access_queue(bug))


def test_a_queue_that_keeps_its_entries_gives_a_beat_twice():
    def bug(queue, m):
        m.d.sync += queue.entries[0].beat.eq(queue.entries[0].beat)

    messages = counterexample(access_queue(bug))
    assert "an access is kept as it came in, less the beats it gave" in messages


def read_buffer(bug=None):
    buffer = ObservedReadBuffer(SMALL)
    return ReadBufferProperties(with_bug(buffer, bug) if bug else buffer, SMALL)


@pytest.mark.parametrize(("mode", "depth"), [("prove", 2), ("cover", 12)])
def test_a_place_of_the_read_buffer_is_given_out_once(mode, depth):
    prove(read_buffer(), depth, mode)


def test_a_read_buffer_without_a_bound_gives_a_place_out_twice():
    def bug(buffer, m):
        m.d.comb += buffer.page_fits.eq(1)

    assert "a place is given out once" in counterexample(read_buffer(bug))


def read_order(bug=None):
    buffer = ObservedReadOrder(SMALL)
    return ReadOrderProperties(with_bug(buffer, bug) if bug else buffer, SMALL)


@pytest.mark.parametrize(("mode", "depth"), [("prove", 2), ("cover", 10)])
def test_answers_leave_in_the_order_in_which_they_were_asked_for(mode, depth):
    prove(read_order(), depth, mode)


def test_a_read_buffer_that_does_not_wait_for_a_beat_gives_another():
    def bug(buffer, m):
        m.d.sync += buffer.filled.eq(~0)

    assert "what is filled is due" in counterexample(read_order(bug))


def test_a_read_buffer_that_stores_a_place_too_far_gives_another_beat():
    def bug(buffer, m):
        m.d.comb += m.submodules.memory.write_ports[0].addr.eq(buffer.stored_place + 1)

    assert "a beat is kept as it was stored" in counterexample(read_order(bug))


def test_a_read_buffer_that_mixes_tags_is_told():
    def bug(buffer, m):
        with m.If(buffer.count == 1):
            m.d.sync += buffer.beats.payload.tag.eq(5)

    messages = counterexample(read_order(bug))
    assert "a beat leaves in its turn, with its tag, its flags and what was stored" in messages


def vault_front(bug=None):
    front = ObservedVaultFront(SMALL)
    return VaultFrontProperties(with_bug(front, bug) if bug else front, SMALL)


@pytest.mark.parametrize(("mode", "depth"), [("prove", 2), ("cover", 6)])
def test_nothing_is_taken_without_room_and_runs_page_by_page(mode, depth):
    prove(vault_front(), depth, mode)


def test_a_front_that_does_not_ask_for_room_is_told():
    def bug(front, m):
        m.d.comb += front.answers.valid.eq(front.requests.valid)

    assert "an answer has places" in counterexample(vault_front(bug))


def test_a_front_that_gives_a_page_twice_is_told():
    def bug(front, m):
        m.d.sync += front.done.eq(0)

    assert "the pages of a run are counted" in counterexample(vault_front(bug))


def test_a_front_that_writes_to_a_retired_vault_is_told():
    def bug(front, m):
        m.d.comb += front.data.valid.eq(front.writes.ready)

    assert "nothing reaches a vault that is retired" in counterexample(vault_front(bug))


def written_data(bug=None):
    path = ObservedDataPath(SMALL, SHORT)
    return WrittenDataProperties(
        ObservedAccessQueue(SMALL), with_bug(path, bug) if bug else path, SMALL
    )


@pytest.mark.parametrize(("mode", "depth"), [("prove", 2), ("cover", 8)])
def test_a_beat_is_there_for_every_write(mode, depth):
    prove(written_data(), depth, mode)


def test_a_path_that_keeps_a_beat_gives_it_to_two_writes():
    def bug(path, m):
        m.d.comb += m.submodules.waiting.o.ready.eq(0)

    assert "a beat for every write, and no other" in counterexample(written_data(bug))


NARROW = SMALL.model_copy(update={"beat_bytes": 2})
LANES = {
    "one spare": NARROW,
    "two spares": NARROW.model_copy(update={"repair": Repair(groups=1, spares=2)}),
}


def tsv_lanes(config, bug=None):
    lanes = TsvLanes(config)
    return TsvLanesProperties(with_bug(lanes, bug) if bug else lanes, config)


@pytest.mark.parametrize("config", LANES.values(), ids=LANES)
@pytest.mark.parametrize("mode", ["prove", "cover"])
def test_lanes_that_stick_are_found_and_led_around(config, mode):
    prove(tsv_lanes(config), TsvLanes.test_cycles + 2, mode)


def test_lanes_that_forget_how_many_are_bad_are_told():
    def bug(lanes, m):
        m.d.comb += lanes.failed.eq(0)

    assert "too many bad lanes are told" in counterexample(tsv_lanes(NARROW, bug), 13)


def test_lanes_that_drive_one_pattern_only_find_less():
    def bug(lanes, m):
        with m.If(~lanes.done):
            m.d.comb += lanes.write_lanes.eq(0)

    assert "every lane that sticks is found" in counterexample(tsv_lanes(NARROW, bug), 13)


# By bank four of them follow each other; refi is the least that `Stack` lets this be.
OFTEN = {
    ObservedAllBankRefresh: (replace(SHORT, refi=40), 20),
    ObservedBankRefresh: (replace(SHORT, refi=64), 44),
}


def refreshes(kind, postponed=3, bug=None):
    config = SMALL.model_copy(update={"postponed": postponed})
    cycles, _ = OFTEN[kind]
    refresh = kind(config, cycles)
    return RefreshProperties(with_bug(refresh, bug) if bug else refresh, config, cycles)


@pytest.mark.parametrize("kind", OFTEN)
def test_a_refresh_is_postponed_no_further_than_its_limit_whatever_the_accesses(kind):
    prove(refreshes(kind), OFTEN[kind][1])


def test_a_refresh_comes_to_its_limit_where_accesses_leave_no_room():
    prove(refreshes(ObservedAllBankRefresh, 1), 25, "cover")


def test_a_refresh_that_never_goes_first_is_postponed_too_far():
    def bug(refresh, m):
        m.d.comb += refresh.urgent.eq(0)

    messages = counterexample(refreshes(ObservedBankRefresh, 1, bug), 68)
    assert "a refresh is postponed no further than its limit" in messages


def test_a_refresh_that_lets_rows_be_opened_comes_too_late():
    def bug(refresh, m):
        m.d.comb += [refresh.drains.eq(0), refresh.blocked.eq(0)]

    messages = counterexample(refreshes(ObservedAllBankRefresh, 1, bug), 44)
    assert "a refresh is postponed no further than its limit" in messages


def test_a_refresh_that_forgets_a_bank_is_told_by_the_bank_s_age():
    def bug(refresh, m):
        m.d.sync += refresh.debts[0].eq(0)

    messages = counterexample(refreshes(ObservedBankRefresh, 1, bug), 36)
    assert "what is owed covers the time" in messages
