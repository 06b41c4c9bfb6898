import numpy as np
import pytest

from neardecode.config import (
    PRESETS,
    BlockFormat,
    Config,
    ConfigError,
    Flash,
    with_changes,
)
from neardecode_testbench.model.fit import fit
from neardecode_testbench.model.project import project
from neardecode_testbench.model.shapes import SHAPES, Shape
from neardecode_testbench.model.tree import Tree

SMALL = Shape("small", 6, 256, 4, 2, 64, 512, 1024)
WIDE = Config(flash=Flash(channels=4, dies=1, page_bytes=2048, sense_ns=1000.0))


@pytest.mark.parametrize("context", [16, 2048])
def test_no_token_is_faster_than_its_bound(context):
    for config in (PRESETS["decoder-demo"], PRESETS["hbf16"], PRESETS["hbf16-16banks"]):
        result = project(fit(SMALL, config, context), context)
        assert result.cycles > result.bound.cycles


def _in_flash(config: Config) -> Config:
    return with_changes(config, {"kv": {"placement": "flash"}})


def test_keys_and_values_in_flash_wait_for_its_senses():
    vaults, flash = (project(fit(SMALL, config, 512), 512) for config in (WIDE, _in_flash(WIDE)))
    assert flash.cycles > flash.bound.cycles
    # Of six layers each has at least one sense that nothing hides.
    waited = flash.causes["attention"] - vaults.causes["attention"]
    assert waited > 6 * WIDE.sense_cycles
    assert flash.bits["flash"] > vaults.bits["flash"]
    assert flash.bits["dram"] < vaults.bits["dram"]
    assert sum(flash.bits.values()) == sum(vaults.bits.values())


def test_keys_and_values_that_the_flash_does_not_hold_are_refused():
    with pytest.raises(ConfigError, match="keys and values of 65,536 tokens take"):
        fit(SMALL, _in_flash(Config(flash=Flash(pages_a_bank=16))), 65536)


def test_tiles_are_asked_for_ahead_by_a_sense():
    fitted = fit(SMALL, _in_flash(WIDE), 512)
    assert fitted.config.kv.tiles_ahead * WIDE.flash.page_beats >= WIDE.sense_cycles
    assert fitted.assumed[-1] == f"kv.tiles_ahead {fitted.config.kv.tiles_ahead}"


def test_causes_are_the_whole():
    result = project(fit(SMALL, WIDE, 512), 512)
    assert sum(result.causes.values()) == pytest.approx(result.cycles)


def test_a_long_context_is_what_a_walk_through_it_says(monkeypatch):
    """Drawn on from two shorter walks, against all of it walked."""
    fitted = fit(SMALL, WIDE, 8192)
    drawn = project(fitted, 8192)
    assert drawn.walked[1] < 8192
    monkeypatch.setattr("neardecode_testbench.model.project.ROWS", 8192)
    walked = project(fitted, 8192)
    assert walked.walked[1] == 8192
    assert drawn.cycles == pytest.approx(walked.cycles, rel=1e-2)


def test_many_layers_are_what_a_walk_through_them_says(monkeypatch):
    shape = Shape("deep", 24, 256, 4, 2, 64, 512, 1024)
    fitted = fit(shape, WIDE, 256)
    walked = project(fitted, 256)
    assert walked.walked[0] == 24
    monkeypatch.setattr("neardecode_testbench.model.project.PAGES", 0)
    drawn = project(fitted, 256)
    assert drawn.walked[0] < 24
    assert drawn.cycles == pytest.approx(walked.cycles, rel=1e-2)


def test_a_70b_model_on_four_stacks_reads_a_quarter_of_its_weights():
    fitted = fit(SHAPES["llama-2-70b"], PRESETS["hbf16"], 64, 4)
    weights = SHAPES["llama-2-70b"].parameters * (1 + 1 / 32) / 4
    assert fitted.program.beats * 64 * 16 == pytest.approx(weights, rel=0.01)


def test_says_what_it_assumed():
    assumed = fit(SMALL, PRESETS["hbf16"], 64).assumed
    assert "a decoder" in assumed
    assert fit(SMALL, fit(SMALL, WIDE, 64).config, 64).assumed == ()


@pytest.mark.parametrize(
    ("shape", "config", "chips", "what"),
    [
        ("llama-2-70b", Config(flash=Flash(pages_a_bank=1024)), 1, "its weights take"),
        ("small", WIDE, 9, "9 chips are more than the 8 blocks"),
        ("llama-2-7b", Config.model_validate({"compute": {"clock_divider": 2}}), 1, "clock_div"),
        ("small", with_changes(WIDE, {"kv": {"placement": "tiered"}}), 1, "kv.placement"),
    ],
)
def test_refuses_what_cannot_be(shape, config, chips, what):
    with pytest.raises(ConfigError, match=what):
        fit((SHAPES | {"small": SMALL})[shape], config, 64, chips)


def test_fewer_bits_a_weight_take_less_time():
    eight, four = (
        project(fit(SMALL, WIDE, 64, 1, kind), 64) for kind in (BlockFormat.Q8_0, BlockFormat.Q4_0)
    )
    assert four.bound.flash_cycles < 0.6 * eight.bound.flash_cycles
    assert four.cycles < eight.cycles


def test_an_exchange_goes_up_the_tree_and_down():
    assert Tree(1, 1).latency == 2
    # Two links in a line of two, four to the middle of two rows of four and back.
    two, eight = Tree(2, 1), Tree(8, 1)
    assert two.latency == 2 * 2 + 2
    assert eight.latency == 2 * 3 * 2 + 2
    back = two.results({0: np.array([5, 6]), 1: np.array([9, 10])})
    assert [times.tolist() for times in back.values()] == [[13, 14], [15, 16]]


def test_chips_that_stand_for_all_take_as_long_as_all(monkeypatch):
    fitted = fit(SMALL, WIDE, 64, 4)
    two = project(fitted, 64)
    monkeypatch.setattr(
        "neardecode_testbench.model.project._walked", lambda chips, rows: list(range(chips))
    )
    assert project(fitted, 64).cycles == pytest.approx(two.cycles, rel=2e-3)
