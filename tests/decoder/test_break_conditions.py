"""What breaks decode at memory speed: it slows, the cause has its name, every value stays right."""

import pytest

from neardecode.config import PRESETS, with_changes
from neardecode_testbench.devices.link_channel import ChannelFaults
from neardecode_testbench.devices.token_board import TokenBoard
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.token_decode import TokenDecode

TINY = PRESETS["decoder-tiny"]
PROMPT = [72, 101, 108]
TR_NS = 125.0
CAUSES = ("exchange", "attention")
# Both ends of what joins the second chip to the first.
LINK = ("link1_up", "link1_down")


def decoded(*, prefetch: int, ambient_c: float):
    """A run with a flash latency of 200 cycles and vaults that are as hot as their surroundings."""
    config = with_changes(
        TINY,
        {
            "compute": {"rows": 512, "commands_ahead": 8},
            "flash": {"channels": 1, "banks_a_die": 16, "pages_a_bank": 64, "sense_ns": TR_NS},
            "stack": {"vaults": 1, "heat": {"ambient_c": ambient_c}},
            "decoder": {"prefetch": prefetch},
        },
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


def joined(**levels):
    """Two chips whose protected links lose and change frames."""
    config = with_changes(
        TINY,
        {
            "chips": 2,
            "flash": {"channels": 1},
            "stack": {"vaults": 1},
            "fabric": {"chip_link_latency": 4, "chip_links": "protected"},
        },
    )
    scenario = TokenDecode(config, ModelSource(), [PROMPT], 4, limit=80_000, levels=levels)
    return simulate(Design(TokenBoard, (config,)), scenario, "native")


@pytest.fixture(scope="module")
def sound():
    return joined()


@pytest.fixture(scope="module")
def losing():
    """Both ways of the link fall silent for 400 cycles now and then, and bits flip."""
    return joined(
        **{
            f"link_faults__{end}__{name}": value
            for end in range(2)
            for name, value in (
                ("outage_rate", ChannelFaults.event_steps(1 / 3000)),
                ("outage_cycles", 400),
                ("burst_rate", ChannelFaults.event_steps(1 / 500)),
                ("burst_cycles", 2),
            )
        }
    )


def test_a_link_that_is_lost_for_a_while_delays_and_loses_nothing(sound, losing):
    for run in (sound, losing):
        assert run.mismatches == 0
        assert run.flags == {"saturated": 0, "error": 0, "violated": 0}
    assert losing.tokens == sound.tokens
    assert losing.cycles > sound.cycles + 400
    replays = [
        sum(events["replays"] for block, events in run.events.items() if block in LINK)
        for run in (sound, losing)
    ]
    assert replays[0] == 0
    assert replays[1] > 0


def test_what_a_lost_link_costs_is_waited_for_in_exchanges_and_by_heads(sound, losing):
    for chip in range(2):
        waits = [
            sum(run.blocks[f"chip{chip}_decoder"]["stalls"][cause] for cause in CAUSES)
            for run in (sound, losing)
        ]
        assert waits[1] - waits[0] > 0.9 * (losing.cycles - sound.cycles)


def test_every_cycle_of_a_link_has_one_cause(losing):
    for end in LINK:
        link = losing.blocks[end]
        assert link["busy"] + sum(link["stalls"].values()) == losing.cycles
