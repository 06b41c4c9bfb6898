"""The NAND core dies: every wire of the bus in every cycle."""

import pytest

from neardecode.config import Flash
from neardecode_testbench.benches.amaranth_sim import play
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.scenarios.blocks.nand_drive import DriveBus


def run(banks, page_beats, sense_cycles, cycles=500, rows=8, **options):
    flash = Flash(
        dies=1,
        banks_a_die=banks,
        pages_a_bank=rows,
        page_bytes=32 * page_beats,
        beat_bytes=32,
    )
    return play(NandDies(flash, sense_cycles), DriveBus(flash, sense_cycles, cycles, **options))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("senses", "transfers"), [(1, 1), (0.5, 0.1), (0.1, 0.5), (0.9, 0.02)])
@pytest.mark.parametrize(
    ("banks", "page_beats", "sense_cycles"),
    [(1, 4, 3), (1, 4, 20), (2, 4, 3), (2, 4, 9), (4, 8, 30), (8, 4, 33), (4, 4, 62), (4, 4, 63)],
)
def test_every_wire_is_predicted(banks, page_beats, sense_cycles, senses, transfers, seed):
    result = run(
        banks,
        page_beats,
        sense_cycles,
        seed=seed,
        sense_share=senses,
        transfer_share=transfers,
    )
    assert result.transfers
    assert result.beats


@pytest.mark.parametrize("sense_cycles", [3, 4, 17, 126, 127, 128])
@pytest.mark.parametrize("page_beats", [4, 16])
def test_a_page_is_on_the_bus_a_tr_and_a_transfer_latency_after_its_sense(sense_cycles, page_beats):
    result = run(2, page_beats, sense_cycles, cycles=sense_cycles + page_beats + 3)
    assert result.senses[0][0] == 0
    assert result.transfers[0][0] == sense_cycles
    first = sense_cycles + NandDies.transfer_latency
    assert NandDies.transfer_latency == 2
    assert result.beats[:page_beats] == list(
        range(first, min(first + page_beats, sense_cycles + page_beats + 3))
    )


def test_the_bus_carries_a_beat_in_every_cycle_when_enough_banks_sense():
    result = run(8, 4, 20, cycles=400)
    steady = [cycle for cycle in result.beats if cycle >= 60]
    assert steady == list(range(60, 400))


def test_a_bank_senses_its_next_page_while_the_first_one_crosses():
    result = run(1, 16, 30, cycles=400)
    cycles = [cycle for cycle, _, _ in result.senses]
    assert cycles == list(range(0, 400, 30))


def test_a_bank_that_is_never_asked_holds_two_pages():
    result = run(2, 4, 10, transfer_share=0)
    assert len(result.senses) == 4
    assert result.beats == []


@pytest.mark.parametrize("sense_cycles", [2, 1, 0, -5])
def test_refuses_a_tr_that_is_too_short(sense_cycles):
    with pytest.raises(ValueError, match=f"sense_cycles must be at least 3, not {sense_cycles}"):
        NandDies(Flash(), sense_cycles)
