"""What goes wrong in core dies: every bit predicted, and as often as it was asked for."""

import math

import numpy as np
import pytest
from amaranth.sim import Simulator

from neardecode.config import PRESETS, Ecc, Flash
from neardecode.verilog import to_verilog
from neardecode_testbench.benches.amaranth_sim import play
from neardecode_testbench.devices.board import Board
from neardecode_testbench.devices.channel_bench import ChannelBench
from neardecode_testbench.devices.faults import RateSum, Xorshift, generator_seed
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.scenarios.blocks.nand_drive import DriveBus
from neardecode_testbench.scenarios.blocks.nand_faults import (
    FlipModel,
    LaneModel,
    XorshiftModel,
    page_rate,
)

SENSE, PROGRAM, ERASE = 12, 20, 30
HISTORY = {"error_rate": 90_000, "wear_rate": 100, "read_rate": 60_000, "age_rate": 900}


def run(flash, faults, cycles=700, *, seed=1, **options):
    host = flash.host is not None
    return play(
        NandDies(flash, SENSE, PROGRAM, ERASE, seed=seed),
        DriveBus(
            flash,
            SENSE,
            cycles,
            PROGRAM,
            ERASE,
            seed=seed,
            die_seed=seed,
            faults=faults,
            operation_share=0.3 if host else 0,
            sense_share=0.5,
            **options,
        ),
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rate", [0, 1, 1 << 16, 1 << 19, (1 << 20) - 1])
@pytest.mark.parametrize("sections", ["ecc", "host", "host, ecc"])
def test_every_bit_that_flips_is_predicted(flash_with, sections, rate, seed):
    result = run(flash_with(sections), {"error_rate": rate}, seed=seed)
    assert (result.flips > 0) == (rate > 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dropped", [None, *HISTORY])
def test_a_block_s_history_is_counted(flash_with, dropped, seed):
    faults = {name: 0 if name == dropped else value for name, value in HISTORY.items()}
    assert run(flash_with("host"), faults, seed=seed).flips


def test_failures_and_flips_are_repeated_by_the_seed_alone(flash_with):
    faults = {"error_rate": 1 << 18, "program_failures": 20000, "erase_failures": 20000}
    ends = [
        [failed for *_, failed in run(flash_with("host"), faults, seed=seed).ends]
        for seed in (1, 2)
    ]
    assert ends[0] != ends[1]
    assert all(0 < sum(failed) < len(failed) for failed in ends)


@pytest.mark.parametrize("rate", [1 << 14, 1 << 17, 1 << 19])
def test_as_many_bits_flip_as_asked_for(flash_with, rate):
    flash = flash_with("ecc")
    result = play(
        NandDies(flash, SENSE),
        DriveBus(flash, SENSE, 6000, faults={"error_rate": rate}, sense_share=0.99),
    )
    width, beats = 8 * flash.stored_bytes, len(result.beats)
    # A third of the senses are in a stage of 0 to 7, which halves the rate as often.
    chance = rate / 2**20 * (0.7 + 0.3 * sum(2.0**-stage for stage in range(8)) / 8)
    mean = 4 * beats * chance * (1 - 1.5 * chance / width)
    page = flash.page_beats
    # Beats of a page share their stage.
    spread = math.sqrt(4 * beats * chance + beats / page * (4 * page * rate / 2**20) ** 2 / 4)
    assert abs(result.flips - mean) < 5 * spread


@pytest.mark.parametrize("rate", [1 << 6, 1 << 12, 1 << 17, 1 << 19])
@pytest.mark.parametrize("seed", range(3))
def test_flips_are_as_frequent_as_their_rate_and_anywhere(rate, seed):
    width, beats = 568, 40_000
    model = FlipModel(width, seed)
    flips, counts, places = [], [], np.zeros(width)
    for _ in range(beats):
        beat, count = model.beat(0, rate, False)
        counts.append(count)
        flips.append(beat.bit_count())
        while beat:
            low = beat & -beat
            places[low.bit_length() - 1] += 1
            beat ^= low
    assert counts == flips
    chance = rate / 2**20
    # Two candidates in the same place count once.
    mean = width * (1 - (1 - chance / width) ** 4)
    assert abs(sum(flips) - beats * mean) < 5 * math.sqrt(4 * beats * chance * (1 - chance))
    each = sum(flips) / width
    if each > 20:
        chi = ((places - each) ** 2 / each).sum()
        assert abs(chi - width) < 5 * math.sqrt(2 * width)


def test_garbage_is_neither_what_was_stored_nor_anything_regular():
    model = FlipModel(568, 1)
    beats = [model.beat(0, 0, True)[0] for _ in range(200)]
    ones = sum(beat.bit_count() for beat in beats)
    assert abs(ones - 200 * 284) < 5 * math.sqrt(200 * 568)
    assert len(set(beats)) == 200


def test_the_generator_is_marsaglia_s():
    generator = XorshiftModel(1, 0)
    generator.state = 1
    taken = [generator.take() for _ in range(4)]
    assert taken == [1, 1082269761, 1152992998833853505, 11177516664432764457]


def test_no_two_generators_begin_alike():
    seeds = {generator_seed(seed, index) for seed in range(50) for index in (0, 1, 2, 3, 255)}
    assert len(seeds) == 250
    assert all(0 < seed < 1 << 64 for seed in seeds)


@pytest.mark.parametrize("seed", [0, -1, 1 << 64])
def test_a_generator_refuses_a_state_that_it_cannot_have(seed):
    with pytest.raises(ValueError, match=rf"^seed must be from 1 to 2\*\*64 - 1, not {seed}$"):
        Xorshift(seed)


def test_a_page_s_rate():
    assert page_rate({}, 0) == 0
    assert page_rate({"error_rate": 1000}, 3) == 125
    assert page_rate(HISTORY, 0, 1000, 100_000, 1 << 24) == 90_000 + 390 + 91_552 + 900
    assert page_rate(HISTORY, 1, 2**32 - 1) == (2**20 - 1) // 2


def test_the_hardware_sums_a_rate_to_the_last_bit():
    adder, random = RateSum(), np.random.default_rng(1)
    simulator = Simulator(adder)

    async def bench(context):
        for _ in range(500):
            faults = {"error_rate": int(random.integers(1 << random.integers(21)))}
            for name in ("wear_rate", "read_rate", "age_rate"):
                faults[name] = int(random.integers(1 << random.integers(17)))
            counts = [int(random.integers(1 << random.integers(33))) for _ in range(3)]
            stage = int(random.integers(8)) if random.random() < 0.5 else 0
            for name, value in faults.items():
                context.set(getattr(adder, name), value)
            for port, count in zip((adder.erases, adder.reads, adder.age), counts, strict=True):
                context.set(port, count)
            context.set(adder.stage, stage)
            assert context.get(adder.rate) == page_rate(faults, stage, *counts)

    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sections", ["ecc", "host", "host, ecc", "host, ecc, repair"])
def test_stuck_lanes_stick_in_both_directions(flash_with, sections, seed):
    flash = flash_with(sections)
    random = np.random.default_rng(seed)
    stuck = sum(1 << int(lane) for lane in random.integers(flash.lanes, size=5))
    value = int.from_bytes(random.bytes(flash.lanes // 8), "little")
    looped = 40 if flash.repair else 0
    faults = {"stuck": stuck, "stuck_value": value, "error_rate": 1 << 17}
    result = run(flash, faults, seed=seed, loopback_cycles=looped)
    assert result.beats
    assert bool(result.returned) == bool(looped)


def faulty_lanes(flash, seed):
    """Up to as many in each group as it has spares."""
    random = np.random.default_rng(seed)
    groups, spares = flash.repair.groups, flash.repair.spares
    size = flash.lanes // groups
    lanes = 0
    for group in range(groups):
        for lane in random.choice(size, size=int(random.integers(spares + 1)), replace=False):
            lanes |= 1 << group * size + int(lane)
    return lanes


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sections", ["repair", "host, ecc, repair"])
def test_lanes_are_led_around(flash_with, sections, seed):
    flash = flash_with(sections)
    faulty = faulty_lanes(flash, seed)
    faults = {"stuck": faulty, "stuck_value": faulty & 0x5555} if flash.host else {}
    result = run(flash, faults, seed=seed, faulty=faulty, loopback_cycles=10)
    assert result.beats


def test_what_is_led_around_arrives(flash_with):
    flash = flash_with("host, ecc, repair")
    model = LaneModel(flash)
    beat = int.from_bytes(np.random.default_rng(1).bytes(flash.stored_bytes), "little")
    for seed in range(20):
        faulty = faulty_lanes(flash, seed)
        lanes = model.spread(beat, faulty)
        assert lanes & faulty == 0
        assert model.gather(lanes, faulty) == beat
    first = model.places(0)[: 8 * flash.stored_bytes // 2]
    assert first == list(range(len(first)))


def test_dies_without_faults_have_no_ports_for_them(flash_with):
    for sections in ("ecc", "host", "host, ecc"):
        dies = NandDies(flash_with(sections), SENSE, PROGRAM, ERASE, faults=False)
        assert not {"faults", "flipped"} & set(dies.signature.members)
    assert "generator" not in to_verilog(NandDies(flash_with("ecc"), SENSE, faults=False), "dut")


def test_a_board_for_decode_carries_nothing_that_goes_wrong():
    board = Board(PRESETS["tiny"])
    chip = dict(board.chip.signature.members)
    del chip["dies"]
    assert set(board.signature.members) == {*chip, "storage"}
    assert "generator" not in to_verilog(board, "dut")


def test_a_channel_s_bench_has_the_ports_of_its_dies():
    def ports(flash):
        bench = ChannelBench(flash, SENSE)
        return set(bench.signature.members) - set(bench.channel.signature.members)

    assert ports(Flash()) == {"storage"}
    assert ports(Flash(ecc=Ecc())) == {"storage", "faults", "flipped"}
