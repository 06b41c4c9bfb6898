"""What breaks decode at memory speed: it slows, the cause has its name, every value stays right."""

import pytest

from neardecode.config import PRESETS, Config
from neardecode_testbench.devices.token_board import TokenBoard
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.token_decode import TokenDecode

TINY = PRESETS["decoder-tiny"]
PROMPT = [72, 101, 108]
TR_NS = 125.0


def decoded(*, prefetch: int, ambient_c: float):
    """A run with a flash latency of 200 cycles and vaults that are as hot as their surroundings."""
    config = Config.model_validate(
        {
            **TINY.model_dump(),
            "compute": {**TINY.compute.model_dump(), "rows": 512},
            "flash": {
                **TINY.flash.model_dump(),
                "channels": 1,
                "banks_a_die": 16,
                "pages_a_bank": 64,
                "sense_ns": TR_NS,
            },
            "stack": {
                **TINY.stack.model_dump(),
                "vaults": 1,
                "heat": {"ambient_c": ambient_c},
            },
            "decoder": {**TINY.decoder.model_dump(), "prefetch": prefetch},
        }
    )
    scenario = TokenDecode(config, ModelSource(), [PROMPT], 4, limit=80_000)
    return simulate(Design(TokenBoard, (config,)), scenario, "native")


@pytest.fixture(scope="module")
def far_ahead():
    return decoded(prefetch=8, ambient_c=45.0)


@pytest.fixture(scope="module")
def short_and_hot():
    return decoded(prefetch=1, ambient_c=100.0)


def share(run, block, cause):
    return run.blocks[block]["stalls"][cause] / run.cycles


def test_a_window_that_is_too_short_brings_the_latency_of_flash_back(far_ahead, short_and_hot):
    assert share(far_ahead, "slice0", "memory") < 0.5 * share(short_and_hot, "slice0", "memory")
    assert short_and_hot.cycles > 1.1 * far_ahead.cycles


def test_a_slice_that_is_too_hot_rests_and_the_vault_says_so(far_ahead, short_and_hot):
    assert far_ahead.blocks["attention_slice0"]["stalls"]["heat"] == 0
    assert short_and_hot.blocks["attention_slice0"]["stalls"]["heat"] > 0
    refreshes = [
        run.events["vault0"]["refreshes"] / run.cycles for run in (far_ahead, short_and_hot)
    ]
    assert refreshes[1] == pytest.approx(2 * refreshes[0], rel=0.1)


def test_every_value_stays_right(far_ahead, short_and_hot):
    for run in (far_ahead, short_and_hot):
        assert run.mismatches == 0
        assert not run.flags["error"]
        assert not run.flags["violated"]
    assert far_ahead.tokens == short_and_hot.tokens
