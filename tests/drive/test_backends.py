"""One scenario on four simulators: the same transfers in the same cycles."""

import shutil

import pytest

from neardecode.config import PRESETS
from neardecode_testbench.benches.flash_channel import DESIGN as CHANNEL
from neardecode_testbench.benches.flash_channel import FLASH, SENSE_CYCLES
from neardecode_testbench.devices.board import Board
from neardecode_testbench.drive.backends import BACKENDS, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import Pacing, Transcript
from neardecode_testbench.scenarios.blocks.flash_channel import ChannelReads, random_reads
from neardecode_testbench.scenarios.decode import DecodeScenario
from neardecode_testbench.scenarios.model import ModelSource

OTHERS = [
    pytest.param(
        backend,
        marks=pytest.mark.skipif(
            backend == "icarus" and shutil.which("iverilog") is None,
            reason="iverilog is not on PATH",
        ),
    )
    for backend in BACKENDS
    if backend != "amaranth"
]
TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def on_amaranth():
    """Transcripts of Amaranth's simulator, each made once."""
    made = {}

    def transcript(name, design, scenario):
        if name not in made:
            made[name] = simulate(design, Transcript(scenario), "amaranth")
        return made[name]

    return transcript


def decode(stall_seed):
    return DecodeScenario(
        TINY, ModelSource(seed=2), [72, 105, 33], 2, context=16, stall_seed=stall_seed
    )


@pytest.mark.parametrize("stall_seed", [None, 7], ids=["full rate", "stalls"])
@pytest.mark.parametrize("backend", OTHERS)
def test_a_board_decodes_in_the_same_cycles(backend, stall_seed, on_amaranth):
    design = Design(Board, (TINY,))
    run, outcomes = simulate(design, Transcript(decode(stall_seed)), backend)
    expected, expected_outcomes = on_amaranth(f"board {stall_seed}", design, decode(stall_seed))
    assert run.cycles == expected.cycles > 0
    assert outcomes == expected_outcomes
    assert run == expected
    assert run.values_compared > 0
    assert (run.mismatches, run.errors) == (0, 0)


@pytest.mark.parametrize("seed", [None, 3], ids=["full rate", "stalls"])
@pytest.mark.parametrize("backend", OTHERS)
def test_a_channel_reads_in_the_same_cycles(backend, seed, on_amaranth):
    plays = (random_reads(1, FLASH, 30), random_reads(2, FLASH, 20))
    scenario = ChannelReads(FLASH, SENSE_CYCLES, plays, pacing=Pacing(seed))
    run, outcomes = simulate(CHANNEL, Transcript(scenario), backend)
    expected, expected_outcomes = on_amaranth(f"channel {seed}", CHANNEL, scenario)
    assert outcomes == expected_outcomes
    assert run == expected
