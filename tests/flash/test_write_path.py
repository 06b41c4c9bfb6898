"""The write path: every answer, every page programmed, and the cycles of both."""

import shutil
from collections import Counter

import pytest
from amaranth.hdl import Value

from neardecode.config import Flash
from neardecode.config.flash import Host
from neardecode.flash.write.control import WriteControl
from neardecode.flash.write.gatherer import Gatherer
from neardecode.flash.write.path import WritePath
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.blocks.write_bench import WriteSettings
from neardecode_testbench.scenarios.blocks.write_model import Command
from neardecode_testbench.scenarios.blocks.write_path import RandomHost, RandomWrites, WriteScript
from neardecode_testbench.scenarios.properties.write_path import (
    GathererProperties,
    ObservedWriteControl,
    WriteControlProperties,
)

OK = (0, 0)
PAGES = 4
"""Pages of a block."""


def configuration(banks=2, units=4, page_beats=4, beat_bytes=32, writes=16, reads=4, rows=16):
    return Flash(
        dies=1,
        banks_a_die=banks,
        page_bytes=beat_bytes * page_beats,
        beat_bytes=beat_bytes,
        pages_a_bank=rows,
        host=Host(
            reads=reads,
            writes=writes,
            units=units,
            pages_a_block=PAGES,
            spare_blocks=2,
            zones=2,
        ),
    )


FLASH = configuration()
FULL_RATE = WriteSettings(stalls=0, gather_cycles=1000, close_cycles=0, grant_cycles=1, probes=0)


def run(script, settings=FULL_RATE, flash=FLASH):
    """Plays a script; the bench, and the cycles in which each stream was offered and taken."""
    scenario = WriteScript(flash, script, settings)
    return play(WritePath(flash), scenario), scenario.recorder


class Writes:
    """Writes commands, each with an entry and data of its own."""

    def __init__(self, bench):
        self.bench = bench
        self.bits = 8 * bench.config.beat_bytes
        self.sent = []

    def __call__(self, bank, row, first=0, beats=None, refused=OK, sent=None):
        beats = self.bench.config.page_beats if beats is None else beats
        entry = self.bench.free_entries()[0]
        data = [
            self.bench.random.getrandbits(self.bits) for _ in range(beats if sent is None else sent)
        ]
        command = Command(entry, (bank, row), first, beats, data, refused)
        self.bench.write(command)
        self.sent.append(command)
        # The next one needs another entry.
        self.bench.run(200, lambda: not self.bench.opens)
        return command

    def answers(self):
        """In the order of the commands; None where there is none yet."""
        found = {id(command): answer for command, answer in self.bench.model.answers}
        return [found.get(id(command)) for command in self.sent]


def answers(script, settings=FULL_RATE, flash=FLASH):
    """Plays a script that writes, and what came of each write."""

    def played(bench):
        write = Writes(bench)
        script(write, bench)
        bench.finish()
        return write.answers(), bench

    return run(played, settings, flash)[0]


@pytest.mark.parametrize("component", [WritePath, WriteControl, Gatherer])
def test_a_configuration_without_host_is_refused(component):
    flash = Flash(dies=1, banks_a_die=2, page_bytes=128, beat_bytes=32, pages_a_bank=16)
    with pytest.raises(ValueError, match="config must have host"):
        component(flash)


def test_a_page_in_one_write_is_answered_when_it_is_programmed():
    def script(write, bench):
        write(1, 0)
        bench.run(500, lambda: bool(bench.banks.operating))
        bench.run(500, lambda: not bench.banks.operating)
        assert write.answers() == [None]
        bench.run(500, lambda: bool(bench.banks.flash))
        assert write.answers() == [None]

    given, bench = answers(script)
    assert given == [OK]
    assert bench.banks.flash == {(1, 0): bench.model.answers[0][0].data}
    assert bench.events["erases"] == bench.events["programs"] == 1


@pytest.mark.parametrize("beats", [1, 2, 3, 5, 8])
def test_a_page_comes_in_writes_of_any_length_and_order(beats):
    flash = configuration(page_beats=8)
    starts = list(range(0, 8, beats))

    def script(write, bench):
        bench.random.shuffle(starts)
        for first in starts:
            write(0, 0, first, min(beats, 8 - first))

    given, bench = answers(script, flash=flash)
    assert given == [OK] * len(starts)
    page = [0] * 8
    for command, _ in bench.model.answers:
        page[command.first : command.first + command.beats] = command.data
    assert bench.banks.flash == {(0, 0): page}


def test_units_gather_side_by_side():
    def script(write, bench):
        for first in (2, 0, 3, 1):
            for bank, row in ((0, 0), (1, 0), (0, 1), (1, 4)):
                write(bank, row, first, 1)

    given, bench = answers(script)
    assert given == [OK] * 16
    assert sorted(bench.banks.flash) == [(0, 0), (0, 1), (1, 0), (1, 4)]


def test_different_banks_work_at_the_same_time_and_one_bank_does_one_thing():
    flash = configuration(banks=4)
    settings = WriteSettings(stalls=0, erase_cycles=400, program_cycles=400, seed=4)

    def script(write, bench):
        for bank in range(4):
            write(bank, 0)

    given, bench = answers(script, settings, flash)
    assert given == [OK] * 4
    assert bench.banks.most_at_once == 4


def test_a_block_is_written_page_by_page_and_again_from_page_0():
    def script(write, bench):
        for row in (*range(4, 8), 4, 5):
            write(0, row)
            if row == 7:
                bench.finish()

    given, bench = answers(script)
    assert given == [OK] * 6
    assert bench.banks.programmed == {(0, 1): 2}
    assert bench.events["erases"] == 2


def test_what_the_front_refuses_is_answered_after_its_data_and_changes_nothing():
    def script(write, bench):
        bench.host_stalled = True
        write(0, 0, refused=(1, 0))
        # Longer than a page, as the front may have refused it for.
        write(0, 0, beats=4, sent=11, refused=(13, 5))
        bench.run(50)
        assert write.answers() == [None, None]
        bench.host_stalled = False
        bench.finish()
        assert not bench.banks.flash
        write(0, 0)

    assert answers(script)[0] == [(1, 0), (13, 5), OK]


def test_a_beat_that_was_promised_overlaps():
    def script(write, bench):
        bench.host_stalled = True
        write(0, 0, 1, 2)
        write(0, 0, 2, 2)
        write(0, 0, 1, 1)
        write(0, 0, 3, 1)
        write(0, 0, 0, 1)
        # Now it is complete but for its data.
        write(0, 0, 0, 4)
        bench.host_stalled = False
        bench.run(40)
        write(0, 0, 0, 1)
        bench.finish()
        write(0, 0, 0, 1)

    given, _ = answers(script)
    assert given[:7] == [OK, (2, 0), (2, 0), OK, OK, (2, 0), (2, 0)]


def test_a_page_that_is_written_already_overlaps():
    def script(write, bench):
        write(0, 0)
        write(0, 1)
        bench.finish()
        write(0, 1)

    assert answers(script)[0] == [OK, OK, (2, 0)]


@pytest.mark.parametrize("sent", [1, 2, 4, 7])
def test_a_burst_of_another_length_is_invalid_and_its_page_runs_out_of_time(sent):
    def script(write, bench):
        write(0, 0, 0, 3, sent=sent)
        write(0, 0, 3, 1)
        write(1, 0)

    given, bench = answers(script)
    assert given == [(3, 0), (5, 0), OK]
    assert bench.events["timeouts"] == 1


@pytest.mark.parametrize("limit", [0, 1, 3, 4])
def test_units_beyond_the_limit_are_refused(limit):
    settings = WriteSettings(stalls=0, unit_limit=limit, gather_cycles=600, probes=0)

    def script(write, bench):
        for row in (0, 4, 8, 12):
            write(0, row, 0, 1)
        write(1, 0, 0, 1)
        # Those that gather are still joined.
        for row in (0, 4, 8, 12)[:limit]:
            write(0, row, 1, 3)
        bench.finish()
        write(1, 0)

    given, _ = answers(script, settings)
    opened = [OK] * limit + [(4, 0)] * (5 - limit)
    assert given == [*opened, *[OK] * limit, OK if limit else (4, 0)]


def test_a_unit_may_be_reused_when_its_last_answer_is_offered():
    settings = WriteSettings(stalls=0, unit_limit=1, probes=0, close_cycles=0)

    def script(write, bench):
        for row in range(4):
            write(0, row)
            bench.run(1000, lambda: len(bench.model.answers) == len(write.sent))

    assert answers(script, settings, configuration(units=2))[0] == [OK] * 4


def test_pages_that_are_skipped_are_refused():
    def script(write, bench):
        write(0, 1)
        write(0, 0, 0, 1)
        write(0, 2)
        write(0, 1, 0, 1)
        write(0, 4, 0, 1)
        # Page 0 while its block is being written.
        write(0, 0, 0, 1)
        for row in (0, 1, 4):
            write(0, row, 1, 3)
        bench.run(300)
        write(0, 2, 0, 2)
        write(0, 0)
        write(0, 2, 2, 2)

    given, _ = answers(script, WriteSettings(stalls=0, program_cycles=3, erase_cycles=3, probes=0))
    assert given[:6] == [(6, 1), OK, (6, 1), OK, OK, (2, 0)]
    assert given[6:] == [OK, OK, OK, OK, (6, 1), OK]


@pytest.mark.parametrize("units", [2, 4, 8])
def test_a_page_runs_out_of_time_within_a_lap_of_its_limit(units):
    limit = 60

    def script(bench):
        write = Writes(bench)
        write(0, 0, 0, 1)
        bench.run(300, lambda: bool(bench.events["timeouts"]))
        return bench.cycle - 1

    settings = WriteSettings(stalls=0, gather_cycles=limit, probes=0)
    flash = configuration(units=units)
    over, recorder = run(script, settings, flash)
    opened = recorder.taken["opens"][0]
    assert limit <= over - opened < limit + max(units, 4)


def test_a_unit_is_kept_for_readers_that_were_told_of_it_just_before_its_end():
    def script(bench):
        write = Writes(bench)
        # Answered at once, so that nothing but a reader can keep the unit.
        write(0, 0, 0, 3, sent=2)
        bench.run(300, lambda: bool(bench.events["timeouts"]))
        over = bench.cycle - 1
        bench.run(300, lambda: not bench.busy)
        return bench.cycle - 1 - over

    settings = WriteSettings(stalls=0, gather_cycles=60, probes=0)
    # Probed in the cycle of its end, told in the next, held two cycles later, seen so in the next.
    assert run(script, settings, configuration(units=2))[0] == 1 + 2 + 1 + 1


def test_a_page_that_runs_out_of_time_takes_later_ones_with_it():
    def script(write, bench):
        write(0, 0)
        bench.finish()
        write(0, 1, 0, 2)
        write(0, 2, 0, 4)
        write(0, 3, 0, 1)
        write(1, 0)
        bench.run(400, lambda: bool(bench.events["timeouts"]))
        # The block goes on where the first one was.
        write(0, 2)
        write(0, 1)
        write(0, 2)

    settings = WriteSettings(stalls=0, gather_cycles=200, probes=0)
    given, bench = answers(script, settings)
    assert given == [OK, (5, 0), (6, 1), (6, 1), OK, (6, 1), OK, OK]
    assert bench.events["timeouts"] == 1


def test_commands_of_a_lost_page_are_answered_when_their_data_has_come():
    def script(write, bench):
        write(0, 0, 0, 1)
        bench.run(50)
        bench.host_stalled = True
        write(0, 0, 1, 1)
        write(0, 0, 2, 1)
        bench.run(400)
        assert write.answers() == [(5, 0), None, None]
        # Its page is free for a new unit all the same.
        write(0, 0)
        bench.host_stalled = False

    settings = WriteSettings(stalls=0, gather_cycles=200, probes=0)
    assert answers(script, settings)[0] == [(5, 0), (5, 0), (5, 0), OK]


def test_a_halt_ends_what_was_not_begun():
    def script(write, bench):
        write(0, 0)
        bench.run(300, lambda: bool(bench.banks.operating))
        write(0, 1)
        write(1, 0, 0, 2)
        write(1, 1)
        write(1, 4)
        bench.run(20)
        bench.halt = 1
        bench.run(500)
        # What was begun came to its end, and nothing waits until the halt is over.
        assert write.answers() == [OK, *[(9, 1)] * 3, OK]
        assert not bench.banks.operating
        write(1, 8, 0, 1)
        bench.run(100)
        bench.halt = 0

    settings = WriteSettings(stalls=0, gather_cycles=5000, probes=0, close_cycles=0)
    given, _ = answers(script, settings, configuration(units=8))
    assert given == [OK, *[(9, 1)] * 3, OK, (9, 1)]


def failing(bench, bank):
    """Lets the operation that runs in a bank fail."""
    bench.banks.operating[bank].failed = True


def test_a_block_whose_erase_fails_is_replaced_and_written_all_the_same():
    def script(write, bench):
        write(0, 0)
        write(0, 1, 0, 2)
        bench.run(300, lambda: bool(bench.banks.operating))
        failing(bench, 0)
        bench.run(300, lambda: bool(bench.events["erase_failures"]))
        write(0, 1, 2, 2)
        write(0, 2)

    given, bench = answers(script, WriteSettings(stalls=0, gather_cycles=5000, erase_cycles=300))
    assert given == [OK] * 4
    assert bench.model.blocks[0, 0].physical >= FLASH.blocks_a_bank
    assert bench.banks.programmed == {(0, bench.model.blocks[0, 0].physical): 3}
    assert bench.events["erase_failures"] == 1


def test_a_replacement_is_erased_while_another_bank_waits_for_its_readers():
    def script(write, bench):
        write(0, 0)
        bench.run(300, lambda: bool(bench.banks.operating))
        failing(bench, 0)
        bench.banks.withheld = True
        write(1, 0)
        bench.run(500, lambda: bool(bench.model.answers))
        assert write.answers() == [OK, None]
        bench.banks.withheld = False

    settings = WriteSettings(stalls=0, gather_cycles=5000, close_cycles=0, erase_cycles=40, seed=8)
    assert answers(script, settings)[0] == [OK, OK]


@pytest.mark.parametrize("row", [0, 1])
def test_a_bank_is_shut_in_any_cycle_around_the_start_of_a_replacement(row):
    settings = WriteSettings(
        stalls=0, gather_cycles=5000, close_cycles=0, replace_cycles=0, erase_cycles=40, probes=0
    )
    for later in range(20):

        def script(write, bench, later=later):
            for earlier in range(row):
                write(1, earlier)
                bench.finish()
            write(0, 0)
            bench.run(300, lambda: bool(bench.banks.operating))
            failing(bench, 0)
            bench.banks.withheld = True
            write(1, row)
            bench.run(300, lambda: bool(bench.events["erase_failures"]))
            bench.run(later)
            bench.banks.withheld = False

        given, bench = answers(script, settings)
        assert given == [OK] * (row + 2)
        assert bench.events["erase_failures"] == 1


def test_a_block_without_a_replacement_is_retired():
    def script(write, bench):
        write(0, 0)
        write(0, 1)
        write(0, 4)
        for failures in range(3):
            bench.run(
                500, lambda: 0 in bench.banks.operating and bench.banks.operating[0].failed is False
            )
            failing(bench, 0)
            seen = failures + 1
            bench.run(500, lambda seen=seen: bench.events["erase_failures"] == seen)
        bench.finish()
        write(0, 0)
        write(0, 3)

    given, bench = answers(script, WriteSettings(stalls=0, gather_cycles=5000, erase_cycles=300))
    assert given == [(8, 1), (6, 2), OK, (1, 0), (1, 0)]
    assert bench.events["erase_failures"] == 3


def test_a_block_whose_program_fails_is_written_again_from_page_0():
    def script(write, bench):
        write(0, 0)
        write(0, 1)
        write(0, 2)
        write(0, 3, 0, 1)
        bench.run(2000, lambda: bench.events["programs"] == 1)
        bench.run(2000, lambda: bool(bench.banks.operating))
        failing(bench, 0)
        bench.run(2000, lambda: bool(bench.events["program_failures"]))
        bench.finish()
        write(0, 2)
        write(0, 3)
        for row in range(3):
            write(0, row)

    settings = WriteSettings(stalls=0, gather_cycles=5000, program_cycles=300)
    given, bench = answers(script, settings)
    assert given == [OK, (7, 0), (6, 2), (6, 2), (6, 2), (6, 2), OK, OK, OK]
    assert bench.banks.programmed[0, bench.model.blocks[0, 0].physical] == 3


def test_a_program_that_fails_without_a_replacement_retires_the_block():
    def script(write, bench):
        bench.spares[0] = 0
        write(0, 0)
        bench.run(2000, lambda: 0 in bench.banks.operating and not bench.banks.operating[0].erase)
        failing(bench, 0)
        bench.finish()
        write(0, 0)

    given, _ = answers(script, WriteSettings(stalls=0, gather_cycles=5000, program_cycles=300))
    assert given == [(8, 1), (1, 0)]


def test_pages_of_a_bank_that_is_retired_meanwhile_are_not_programmed():
    def script(write, bench):
        write(0, 0)
        bench.run(2000, lambda: bool(bench.banks.operating))
        write(0, 4)
        write(0, 5)
        bench.run(20)
        for (bank, _), record in bench.model.blocks.items():
            record.retired = 2 if bank == 0 else 0
        # The model cannot see when the hardware finds out.
        for unit in bench.model.units[1:]:
            unit.live = False
            unit.answer = (8, 2) if unit.page == (0, 4) else (6, 2)

    given, bench = answers(script, WriteSettings(stalls=0, erase_cycles=400, probes=0, seed=3))
    assert given == [OK, (8, 2), (6, 2)]
    assert list(bench.banks.flash) == [(0, 0)]


@pytest.mark.parametrize(
    ("zones", "blocks"), [(1, (0, 1)), (2, (2, 3)), (3, (0, 1, 2, 3)), (0, ())]
)
@pytest.mark.parametrize(("banks", "units"), [(1, 2), (2, 4), (4, 2)])
def test_a_secure_erase_erases_its_zones_and_holds_commands(banks, units, zones, blocks):
    flash = configuration(banks, units)
    bad = (0, 2)

    def script(write, bench):
        for row in (0, 1, 12):
            write(0, row)
            bench.finish()
        bench.model.blocks[bad].retired = 1
        bench.secure_erase(zones)
        bench.run(10)
        entry = bench.free_entries()[0]
        data = [7] * flash.page_beats
        bench.write(Command(entry, (0, 0), 0, flash.page_beats, data))
        bench.run(20_000, lambda: not bench.around.erase_request)
        assert not bench.around.erase_request
        erased = {(bank, block) for bank in range(banks) for block in blocks} - {bad}
        assert {block for block, pages in bench.banks.programmed.items() if not pages} == erased
        for block in erased:
            assert bench.model.blocks[block].next_page == 0
        assert bench.events["erases"] == 2 + len(erased)
        bench.finish()

    assert answers(script, WriteSettings(stalls=0, seed=1), flash)[0] == [OK] * 3


def test_a_secure_erase_waits_for_units_and_replaces_bad_blocks():
    def script(write, bench):
        write(0, 0, 0, 2)
        bench.secure_erase(1)
        bench.run(100)
        assert bench.around.erase_request
        assert not bench.banks.operating
        write(0, 0, 2, 2)
        bench.run(3000, lambda: bench.around.erasing_zones and 1 in bench.banks.operating)
        failing(bench, 1)
        bench.run(20_000, lambda: not bench.around.erase_request)

    given, bench = answers(script, WriteSettings(stalls=0, seed=2, erase_cycles=100))
    assert given == [OK, OK]
    assert bench.events["erase_failures"] == 1
    assert bench.events["erases"] == 1 + 4
    replaced = [record for record in bench.model.blocks.values() if record.physical >= 4]
    assert len(replaced) == 1


def test_a_write_is_checked_in_two_cycles_and_its_data_comes_at_full_rate():
    flash = configuration(page_beats=64)

    def script(bench):
        write = Writes(bench)
        write(0, 0)
        bench.finish()

    _, recorder = run(script, flash=flash)
    assert recorder.taken["opens"][0] - recorder.offered["opens"][0] == 1
    first = recorder.taken["opens"][0] + 1
    assert recorder.taken["data"] == list(range(first, first + 64))
    first = recorder.taken["operations"][1] + 2
    assert recorder.taken["beats"] == list(range(first, first + 64))


RANDOM = [
    (seed, banks, units, page_beats)
    for seed, (banks, units, page_beats) in enumerate(
        [(2, 4, 4), (1, 2, 4), (4, 8, 8), (2, 2, 8), (1, 4, 4), (2, 8, 4)]
    )
]


def random_writes(seed, halts=0.1, cycles=1500):
    def script(bench):
        host = RandomHost(bench, seed)
        host(cycles, halts)
        bench.finish()
        return bench

    return script


def random_settings(seed):
    return WriteSettings(
        seed=seed,
        stalls=(0.0, 0.3, 0.6)[seed % 3],
        unit_limit=(None, None, 2)[seed % 3],
        gather_cycles=(150, 400)[seed % 2],
        program_failures=0.08,
        erase_failures=0.08,
        probes=(0.9, 0.3)[seed % 2],
    )


@pytest.mark.parametrize(("seed", "banks", "units", "page_beats"), RANDOM)
def test_every_answer_is_predicted_under_random_writes_and_stalls(seed, banks, units, page_beats):
    flash = configuration(banks, units, page_beats)
    bench, _ = run(random_writes(seed), random_settings(seed), flash)
    seen = Counter(status for _, (status, _) in bench.model.answers)
    assert seen[0] > 10
    assert bench.events["programs"] > 5


def test_random_writes_bring_every_status():
    seen = set()
    for seed in range(4):
        settings = WriteSettings(
            seed=seed, gather_cycles=150, program_failures=0.1, erase_failures=0.2, unit_limit=3
        )
        bench, _ = run(random_writes(seed, halts=0.2), settings)
        seen |= {answer for _, answer in bench.model.answers}
    front = {(1, 0), (13, 5)}
    assert seen - front == {
        *((0, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 1), (6, 2), (7, 0), (8, 1), (9, 1)),
    }


def test_readers_hold_a_buffer_until_they_are_done():
    settings = WriteSettings(seed=11, stalls=0.2, probes=1.0, program_cycles=10, erase_cycles=10)
    bench, _ = run(random_writes(11, halts=0), settings, configuration(units=2))
    assert bench.readers.held_after_end > 5


@pytest.mark.parametrize("cycles", [1, 40, 120, 333])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    def cut(bench):
        RandomHost(bench, 1)(cycles)

    def scenario():
        return WriteScript(FLASH, RandomWrites(2, 400), WriteSettings(seed=2))

    first = WriteScript(FLASH, cut, WriteSettings(seed=1))
    after = play_after_reset(WritePath(FLASH), first, scenario())
    assert after == play(WritePath(FLASH), scenario())


@pytest.mark.parametrize("backend", ["native", "icarus"])
def test_other_simulators_see_the_same(backend):
    def scenario():
        return WriteScript(FLASH, RandomWrites(3, 700), random_settings(3))

    here = play(WritePath(FLASH), scenario())
    assert len(here[1]) > 20
    assert simulate(Design(WritePath, (FLASH,)), scenario(), backend) == here


@pytest.mark.parametrize("units", [2, 4])
def test_no_more_units_come_into_use_than_the_limit(units):
    control = ObservedWriteControl(configuration(units=units))
    prove(WriteControlProperties(control), 2)


def test_every_command_is_answered_once_after_its_data():
    flash = configuration(units=2, writes=2)
    prove(GathererProperties(Gatherer(flash), 2), 8, "bmc")


def counterexample(properties, depth):
    with pytest.raises(ProofError) as caught:
        prove(properties, depth, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])
    return caught.value.messages


def test_the_proof_of_the_limit_finds_a_control_that_ignores_it():
    def bug(control, m):
        m.d.comb += m.submodules.write_check.full.eq(0)

    control = with_bug(ObservedWriteControl(configuration(units=2)), bug)
    messages = counterexample(WriteControlProperties(control), 12)
    assert messages == ("no more units are in use than the limit",)


def test_the_proof_of_answers_finds_a_gatherer_that_forgets_commands():
    def bug(gatherer, m):
        m.d.comb += gatherer.control.settled.eq(~gatherer.control.listed)

    gatherer = with_bug(Gatherer(configuration(units=2, writes=2)), bug)
    assert counterexample(GathererProperties(gatherer, 2), 6)
    assert len(Value.cast(gatherer.control.settled)) == 2
