"""Admin commands: every answer, every effect, and nothing from what is refused."""

import random
import shutil
from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from neardecode.config import Ecc, Flash, Host
from neardecode.flash.admin.admin import Admin
from neardecode.flash.admin.logs import ErrorLog
from neardecode.flash.admin.zone_pairs import ZonePairs
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.prove import ProofError, prove
from neardecode_testbench.drive.stimulus import StuckError
from neardecode_testbench.scenarios.blocks.admin import (
    AdminCommands,
    Change,
    random_script,
    read_everything,
)
from neardecode_testbench.scenarios.blocks.admin_model import (
    AdminModel,
    Command,
    LoggedError,
    Surroundings,
    get_feature,
    read_register,
    set_feature,
    write_register,
)
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, CheckError, Pacing
from neardecode_testbench.scenarios.properties.admin import AdminProperties, ObservedAdmin

CLOCK_GHZ = 1.6
SMALL = Flash(
    dies=2,
    banks_a_die=2,
    page_bytes=256,
    pages_a_bank=64,
    ecc=Ecc(codeword_bytes=128, correctable=8, retry_stages=5),
    host=Host(reads=8, writes=8, pages_a_block=4, zones=8, scratchpad_bytes=2048, units=4),
)
# Beats of half the size, no correction, and a bitmap of four beats.
LONG = Flash(
    dies=1,
    banks_a_die=4,
    page_bytes=128,
    beat_bytes=32,
    pages_a_bank=1024,
    host=Host(reads=16, writes=4, pages_a_block=4, zones=32, scratchpad_bytes=1024),
)
BUCC_HOST = 1 << 16 | 0x80
"""One command outstanding, the lowest grade, the host levels wear, not enabled."""


def run(script, config=SMALL, pacing=FULL_RATE, seed=1):
    scenario = AdminCommands(config, CLOCK_GHZ, script, pacing, seed)
    return play(Admin(config, CLOCK_GHZ), scenario)


def pairs(*zones, beat_bytes=64):
    data = sum((d << 16 | s) << 32 * place for place, (s, d) in enumerate(zones))
    assert data < 1 << 8 * beat_bytes
    return Command(True, 0x08, data=(data,))


def erase(capacity, setting, bitmap=0):
    return Command(True, 0x03 | capacity << 8 | setting << 10, data=(bitmap,))


def log_page(page, start=0, beats=1):
    return Command(False, 0x04 | page << 8 | start << 16, beats=beats)


def bitmap(start, beats):
    return Command(False, 0x0A | start << 16, beats=beats)


@pytest.mark.parametrize("config", [SMALL, LONG], ids=["small", "long"])
def test_after_reset_everything_reads_as_the_specification_says(config):
    ended = run(read_everything(), config)
    assert len(ended) == 154
    assert ended[0].prediction.data == [0x48464E44]


@pytest.mark.parametrize("config", [SMALL, LONG], ids=["small", "long"])
@pytest.mark.parametrize("seed", range(4))
def test_random_commands_at_full_rate(seed, config):
    run([*random_script(config, seed, 150), *read_everything()], config, seed=seed)


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("config", [SMALL, LONG], ids=["small", "long"])
def test_random_commands_under_random_stalls(share, config):
    run(random_script(config, 7, 120), config, Pacing(7, share), seed=7)


@pytest.mark.parametrize("stream", ["commands", "data", "answers"])
def test_one_stalled_stream_alone(stream):
    free = tuple({"commands", "data", "answers"} - {stream})
    run(random_script(SMALL, 8, 60), pacing=Pacing(8, 0.7, free))


def test_every_status_of_every_command_occurs_among_the_random_ones():
    # What the model says; the hardware is held to it elsewhere.
    seen = set()
    for seed in range(24):
        for config in (SMALL, LONG):
            model = AdminModel(config, CLOCK_GHZ, Surroundings())
            for item in random_script(config, seed, 150):
                if isinstance(item, tuple):
                    for error in item:
                        if error is not None:
                            model.log(error)
                elif isinstance(item, Command):
                    seen.add((item.address & 0xFF, item.write, model(item).status))
    wanted = {
        *((0x01, True, status) for status in (0, 1, 2, 3, 5)),
        *((0x02, False, status) for status in (0, 1, 3)),
        *((0x03, True, status) for status in (0, 1, 2, 3, 5)),
        *((0x04, False, status) for status in (0, 1, 2, 3)),
        *((0x08, True, status) for status in (0, 1, 2, 3, 5)),
        *((0x0A, False, status) for status in (0, 2, 3)),
        *((0x20, False, status) for status in (0, 1, 3, 5)),
        *((0x20, True, status) for status in (0, 1, 3, 5)),
        *((0x07, True, 5), (0x09, False, 5), (0x05, False, 5), (0x1F, False, 5)),
    }
    assert wanted - seen == set()


ILLEGAL = {
    "opcode 0": (Command(False, 0x00), 5),
    "BIST": (Command(True, 0x07, data=(0,)), 5),
    "BIST as a read": (Command(False, 0x07), 5),
    "Read UCIe Errors": (Command(False, 0x09), 5),
    "a reserved opcode": (Command(True, 0x0B, data=(1, 2, 3), beats=3), 5),
    "Set Feature as a read": (replace(get_feature(2), address=0x201), 5),
    "Get Feature as a write": (replace(set_feature(2, 1), address=0x202), 5),
    "Get Log Page as a write": (Command(True, 0x04, data=(0,)), 5),
    "user field of flash": (replace(set_feature(2, 1), user=0), 3),
    "reserved user bit": (replace(set_feature(2, 1), user=0b100000010), 3),
    "third user bit of a feature": (replace(set_feature(2, 1), user=0b110), 3),
    "reserved user bit of a register": (replace(write_register(True, 12, 1), user=0b1110), 3),
    "two beats of a feature": (replace(set_feature(2, 1), beats=2, data=(1, 2)), 5),
    "more data than beats": (replace(set_feature(2, 1), data=(1, 2)), 5),
    "less data than beats": (replace(set_feature(2, 1), beats=2), 5),
    "two beats of a register": (replace(read_register(True, 0), beats=2), 5),
    "64 beats of a register": (replace(read_register(True, 0), beats=64), 5),
    "unknown feature": (set_feature(4, 0), 1),
    "feature beyond the address": (set_feature(1 << 27 | 2, 0), 1),
    "get of a feature that is only set": (get_feature(0x10), 1),
    "retry mode 2": (set_feature(0, 2), 2),
    "threshold beyond t": (set_feature(1, 9), 2),
    "read limit of 33 bits": (set_feature(2, 1 << 32), 2),
    "more stages than there are": (set_feature(3, 6), 2),
    "value with its highest bit": (set_feature(0, 1 << 511), 2),
    "bad block in no bank": (set_feature(0x10, 4), 2),
    "bad block beyond the bank": (set_feature(0x10, 16 << 16), 2),
    "bad block with more bits": (set_feature(0x10, 1 << 48), 2),
    "unknown register": (read_register(False, 0x00C), 1),
    "reserved register": (read_register(True, 0x068), 1),
    "register behind the last": (read_register(True, 0x154), 1),
    "register far away": (read_register(True, 1 << 23), 1),
    "register not at a dword": (read_register(True, 0x00E), 1),
    "reserved address bit of a register": (
        replace(read_register(True, 0), address=0x20 | 1 << 35),
        1,
    ),
    "write of a constant": (write_register(True, 0x000, 1), 1),
    "write of a status": (write_register(True, 0x010, 1), 1),
    "write of an unused timer": (write_register(True, 0x108, 1), 1),
    "write of an empty dword": (write_register(False, 0x05C, 1), 1),
    "upper half of MADDR": (write_register(False, 0x014, 1), 1),
    "wear levelling by the base die": (write_register(True, 0x00C, 1 << 16 | 0x40 | 1), 5),
    "reserved wear levelling": (write_register(True, 0x00C, 1 << 16 | 0xC0 | 1), 5),
    "more commands than there are": (write_register(True, 0x00C, 4 << 24 | 1 << 16 | 1), 5),
    "no speed grade": (write_register(True, 0x00C, 1), 5),
    "two speed grades": (write_register(True, 0x00C, 3 << 16 | 1), 5),
    "speed grade too high": (write_register(True, 0x00C, 4 << 16 | 1), 5),
    "reserved unit of time": (write_register(True, 0x100, 0x106), 5),
    "reserved unit beyond three bits": (write_register(True, 0x104, 0x180), 5),
    "cryptographic erase": (erase(1, 2), 1),
    "reserved erase": (erase(1, 3), 1),
    "reserved address bit of an erase": (
        Command(True, 0x03 | 1 << 10 | 1 << 12, data=(0,)),
        1,
    ),
    "erase of a zone that is not there": (erase(2, 1, 0x100), 2),
    "erase of no zone": (erase(2, 1, 0), 2),
    "no erase of no zone": (erase(2, 0, 0), 2),
    "UCIe log": (log_page(2), 1),
    "telemetry log": (log_page(3), 1),
    "reserved log": (log_page(4), 1),
    "reserved address bits of a log": (log_page(0x10), 1),
    "reserved upper address bits of a log": (Command(False, 0x04 | 1 << 32), 1),
    "smart log behind its end": (log_page(0, 2), 2),
    "smart log over its end": (log_page(0, 0, 3), 2),
    "error log over its end": (log_page(1, 15, 2), 2),
    "error log far behind its end": (log_page(1, 0xFFFF, 64), 2),
    "error log without an error": (log_page(1), 3),
    "other remapping": (replace(pairs((1, 2)), address=0x108), 2),
    "reserved address bit of a remapping": (replace(pairs((1, 2)), address=0x08 | 1 << 16), 2),
    "remapping of a zone that is not there": (pairs((0, 1), (2, 8)), 1),
    "remapping to a zone that is not there": (pairs((9, 1)), 1),
    "remapping of a zone to itself": (pairs((0, 1), (3, 3)), 1),
    "remapping of a source twice": (pairs((1, 2), (1, 3)), 1),
    "remapping of a destination twice": (pairs((1, 2), (3, 2)), 1),
    "remapping of a zone on both sides": (pairs((1, 2), (2, 3)), 1),
    "remapping of zone 0 twice": (pairs((0, 2), (3, 0)), 1),
    "remapping that is bad in its last pair": (pairs((1, 2), *[(0, 0)] * 14, (1, 3)), 1),
    "other report": (Command(False, 0x0A | 1 << 8), 1),
    "reserved address bit of the report": (Command(False, 0x0A | 1 << 32), 1),
    "bitmap behind its end": (bitmap(1, 1), 2),
    "bitmap over its end": (bitmap(0, 2), 2),
}


@pytest.mark.parametrize("kind", ILLEGAL)
def test_an_illegal_command_gets_its_status_and_changes_nothing(kind):
    command, status = ILLEGAL[kind]
    settings = [
        *((False, 0x010), (False, 0x018), (False, 0x208), (True, 0x00C), (True, 0x014)),
        *((True, 0x100), (True, 0x104), (True, 0x150)),
    ]
    look = [
        *(read_register(*place) for place in settings),
        *(get_feature(address) for address in range(4)),
    ]
    # The host levels wear; the rest is as after reset.
    ended = run([write_register(True, 0x00C, BUCC_HOST), *look, command, *look])
    before, refused, after = ended[1 : 1 + len(look)], ended[1 + len(look)], ended[-len(look) :]
    assert refused.prediction.status == status
    assert refused.prediction.effects == []
    assert [e.prediction.data for e in before] == [e.prediction.data for e in after]
    assert len(refused.answers) == (1 if command.write else command.beats)


def test_all_illegal_commands_one_after_another_leave_every_register_alone():
    script = [
        write_register(True, 0x00C, BUCC_HOST),
        *read_everything(),
        *(command for command, _ in ILLEGAL.values()),
        *read_everything(),
    ]
    ended = run(script)
    count = len(read_everything())
    before, after = ended[1 : 1 + count], ended[-count:]
    assert [e.prediction.data for e in before] == [e.prediction.data for e in after]


def test_zones_are_not_remapped_before_the_host_levels_wear():
    ended = run([pairs((1, 2)), write_register(True, 0x00C, BUCC_HOST), pairs((1, 2))])
    assert [e.prediction.status for e in ended] == [5, 0, 0]


def test_a_full_payload_of_pairs_is_swapped_in_its_order():
    config = LONG.model_copy(update={"beat_bytes": 64, "page_bytes": 256})
    order = random.Random(1).sample(range(32), 32)
    zones = tuple(zip(order[::2], order[1::2], strict=True))
    ended = run([write_register(True, 0x00C, BUCC_HOST), pairs(*zones)], config)
    assert ended[-1].prediction.effects == [("swap", *pair) for pair in zones]


def test_pairs_that_are_not_used_may_stand_anywhere():
    script = [write_register(True, 0x00C, BUCC_HOST), pairs((0, 0), (0, 5), (0, 0), (2, 1))]
    ended = run(script)
    assert ended[-1].prediction.effects == [("swap", 0, 5), ("swap", 2, 1)]


@pytest.mark.parametrize(
    ("capacity", "zones", "scratchpad"), [(0, 0xFF, 1), (1, 0xFF, 0), (2, 0x81, 0), (3, 0, 1)]
)
def test_an_erase_takes_what_its_capacity_says(capacity, zones, scratchpad):
    ended = run([erase(capacity, 1, 0x81), erase(capacity, 0, 0x81)])
    assert ended[0].prediction.effects == [("erase", zones, scratchpad)]
    assert ended[1].prediction.effects == []


def test_the_bitmap_has_a_bit_a_block_banks_first():
    retired = ((0, 0), (3, 0), (1, 100), (2, 255), (3, 255), (0, 64))
    ended = run([Change(retired=retired), bitmap(0, 4), bitmap(1, 2), bitmap(3, 1)], LONG)
    whole = sum(1 << block * 4 + bank for bank, block in retired)
    beats = [whole >> 256 * beat & (1 << 256) - 1 for beat in range(4)]
    assert [e.prediction.data for e in ended] == [beats, beats[1:3], beats[3:]]


def test_the_error_log_is_read_newest_first():
    errors = [LoggedError(k % 7, k % 16, k % 8, k) for k in range(20)]
    script = [(errors[0], errors[1]), (None, errors[2])]
    script += [log_page(1, 0, 16), log_page(1, 2), log_page(1, 3)]
    script += [(errors[3], None), (errors[4], None)]
    script += list(zip(errors[5::2], [*errors[6::2], None], strict=True))
    ended = run([*script, log_page(1, 0, 16)])
    assert [e.prediction.status for e in ended] == [0, 0, 3, 0]
    numbers = [[beat & 0xFFFFFFFF for beat in e.prediction.data] for e in ended]
    assert numbers[0] == [3, 2, 1] + [0] * 13
    assert numbers[3] == list(range(20, 4, -1))


def test_an_interrupt_is_pending_until_it_is_cleared_and_shown_while_enabled():
    cause, enable = (False, 0x204), (False, 0x208)
    ended = run(
        [
            (None, LoggedError(1, 4, 2, 9)),
            read_register(*cause),
            write_register(*enable, 1),
            write_register(*cause, 6),
            read_register(*cause),
            write_register(*cause, 1),
            read_register(*cause),
            Change(levels={"light_status": 1}),
            read_register(*cause),
            write_register(*enable, 2),
            write_register(*cause, 7),
            Change(levels={"light_status": 0}),
            Change(counts={7: 1}),
            read_register(*cause),
            write_register(*cause, 7),
            Change(levels={"reduced": 1}),
            Change(levels={"reduced": 0}),
            read_register(*cause),
            write_register(*cause, 4),
            Change(levels={"cattrip_status": 1}),
            Change(levels={"shutdown": 1}),
            read_register(*cause),
        ]
    )
    causes = [e.prediction.data[0] for e in ended if not e.command.write]
    assert causes == [1, 1, 0, 2, 6, 4, 2]


def test_a_block_that_is_chosen_shows_its_wear_and_a_zone_its_mean():
    assert SMALL.host is not None
    around = Surroundings()
    script = []
    for block, zone in ((5, 1), (0, 7), (63, 0)):
        script += [write_register(False, 0x22C, block), write_register(False, 0x238, zone)]
        script += [read_register(False, offset) for offset in (0x230, 0x234, 0x23C)]
    ended = run(script)
    seen = [e.prediction.data[0] for e in ended if not e.command.write]
    assert seen == [
        *(*around.wear(1, 1), around.zone_erases(1)),
        *(*around.wear(0, 0), around.zone_erases(7)),
        *(*around.wear(3, 15), around.zone_erases(0)),
    ]


def test_first_answers_come_when_the_documentation_says():
    host = write_register(True, 0x00C, BUCC_HOST)
    expected = [
        (Command(False, 0x05), 2),
        (set_feature(2, 7), 4),
        (get_feature(2), 4),
        (read_register(True, 0x00C), 4),
        (host, 4),
        (write_register(True, 0x100, 0x1001), 29),
        (log_page(0), 4),
        (bitmap(0, 1), 8 * 64 + 3),
        (pairs((1, 2)), 64 // 2 + 3),
        (pairs((1, 1)), 64 // 4 + 3),
    ]
    ended = run([host, *(command for command, _ in expected)])[1:]
    assert [e.answers[0] - e.started for e in ended] == [cycles for _, cycles in expected]


def test_further_beats_come_when_the_documentation_says():
    log, scan, refused, erased = run(
        [log_page(0, 0, 4), bitmap(0, 4), replace(bitmap(0, 4), user=0), erase(1, 1)], LONG
    )
    assert [b - a for a, b in zip(log.answers, log.answers[1:], strict=False)] == [3] * 3
    assert [b - a for a, b in zip(scan.answers, scan.answers[1:], strict=False)] == [258] * 3
    assert [b - a for a, b in zip(refused.answers, refused.answers[1:], strict=False)] == [1] * 3
    assert erased.erased is not None
    assert erased.answers == [erased.erased + 1]


class CutShort:
    """A scenario that is left standing after so many cycles."""

    def __init__(self, scenario, cycles):
        self.scenario, self.cycles, self.recorder = scenario, cycles, scenario.recorder

    def __call__(self, step):
        left = [self.cycles]

        def counted(given):
            if not left[0]:
                raise StuckError("cut short")
            left[0] -= 1
            return step(given)

        return self.scenario(counted)


@pytest.mark.parametrize("cycles", [*range(400, 412), 900])
def test_reset_leaves_nothing_of_what_was_set_or_under_way(cycles):
    def scenario(script):
        return AdminCommands(SMALL, CLOCK_GHZ, script)

    look = [*read_everything(), log_page(1), log_page(0, 0, 2), bitmap(0, 1), pairs((1, 2))]
    before = CutShort(scenario(random_script(SMALL, 5, 100)), cycles)
    ended = play_after_reset(Admin(SMALL, CLOCK_GHZ), before, scenario(look))
    assert ended[-4].prediction.status == 3


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not on PATH")
def test_the_verilog_answers_the_same():
    # In Icarus whatever was never written is X, and an X at an output is an error.
    script = [*random_script(SMALL, 11, 60), *read_everything()]
    scenario = AdminCommands(SMALL, CLOCK_GHZ, script, Pacing(11, 0.3))
    assert simulate(Design(Admin, (SMALL, CLOCK_GHZ)), scenario, "icarus") == run(
        script, pacing=Pacing(11, 0.3)
    )


def test_the_scenario_sees_a_wrong_answer():
    assert SMALL.host is not None
    other = SMALL.model_copy(update={"host": SMALL.host.model_copy(update={"units": 8})})
    scenario = AdminCommands(other, CLOCK_GHZ, read_everything())
    with pytest.raises(CheckError, match="answer 1"):
        play(Admin(SMALL, CLOCK_GHZ), scenario)


@pytest.mark.parametrize("seed", range(3))
def test_an_entry_overwritten_behind_a_snapshot_reads_as_zeros(seed):
    source = random.Random(seed)
    dut = ErrorLog(SMALL)

    async def bench(ctx):
        logged, kept = [], []
        newest = 0
        asked = None
        ctx.set(dut.take, 1)
        await ctx.tick()
        for _ in range(600):
            take = source.random() < 0.05
            index = source.randrange(16)
            errors = []
            ctx.set(dut.take, take)
            ctx.set(dut.index, index)
            for port in dut.errors:
                fields = [source.randrange(1 << bits) for bits in (4, 4, 3, 8)]
                strobe = source.random() < 0.2
                ctx.set(port.en, strobe)
                for name, value in zip(("kind", "status", "info", "address"), fields, strict=True):
                    ctx.set(port[name], value)
                errors += [fields] * strobe
            if asked is not None:
                entry = ctx.get(dut.entry)
                names = ("number", "kind", "status", "info", "address")
                assert [entry[name] for name in names] == asked
            assert ctx.get(dut.number) == len(logged)
            assert ctx.get(dut.entries) == min(len(logged), 16)
            number = newest - index
            present = number > 0 and number > len(logged) - 16
            asked = [number, *logged[number - 1]] if present else [0] * 5
            if take:
                newest = len(logged)
                # What is asked for in the same cycle is of the snapshot before.
            logged += errors
            kept.append(present)
            await ctx.tick()
        assert any(kept)
        assert not all(kept)

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


def test_pairs_are_checked_before_any_is_swapped():
    dut = ZonePairs(8)

    async def bench(ctx):
        for zones, bad in (((1, 2), 0), ((0, 0), 0), ((3, 4), 0), ((2, 5), 1), ((6, 7), 1)):
            ctx.set(dut.check, 1)
            ctx.set(dut.pair.source, zones[0])
            ctx.set(dut.pair.destination, zones[1])
            assert ctx.get(dut.swap.en) == 0
            await ctx.tick()
            assert ctx.get(dut.bad) == bad
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.bad) == 0

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


PROVED = Flash(
    dies=1,
    banks_a_die=2,
    page_bytes=128,
    beat_bytes=32,
    pages_a_bank=16,
    host=Host(reads=2, writes=2, pages_a_block=4, zones=2, scratchpad_bytes=1024),
)


def test_a_command_has_its_answers_once_and_no_other():
    prove(AdminProperties(ObservedAdmin(PROVED, CLOCK_GHZ)), 2)


def test_the_proof_is_about_states_that_are_reached():
    prove(AdminProperties(ObservedAdmin(PROVED, CLOCK_GHZ)), 12, "cover")


def forgets_the_entry(admin, m):
    m.d.comb += admin.answers.payload.entry.eq(0)


def is_never_the_last(admin, m):
    m.d.comb += admin.answers.payload.last.eq(0)


def takes_a_command_while_one_is_under_way(admin, m):
    m.d.comb += admin.commands.ready.eq(1)


@pytest.mark.parametrize(
    "bug",
    [forgets_the_entry, is_never_the_last, takes_a_command_while_one_is_under_way],
)
def test_a_broken_sequencer_breaks_its_proof(bug):
    admin = ObservedAdmin(PROVED, CLOCK_GHZ, bug)
    with pytest.raises(ProofError) as caught:
        prove(AdminProperties(admin, False), 12, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])


@pytest.mark.parametrize(
    ("config", "clock", "message"),
    [
        (SMALL.model_copy(update={"host": None}), 1.6, "host"),
        (SMALL, 0, "clock_ghz must be positive, not 0"),
        (SMALL, -1.0, "clock_ghz must be positive"),
    ],
)
def test_wrong_arguments(config, clock, message):
    with pytest.raises(ValueError, match=message):
        Admin(config, clock)
