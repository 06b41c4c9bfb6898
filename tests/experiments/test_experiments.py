from dataclasses import replace

import pytest

from neardecode.config import PRESETS
from neardecode_testbench.experiments.ablation import ablation_experiment
from neardecode_testbench.experiments.baseline import baseline_experiment
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.figure import Figure, FigureError
from neardecode_testbench.experiments.memory_claims import memory_claims
from neardecode_testbench.experiments.near_overlap import crossed_cycles
from neardecode_testbench.experiments.outcome import Column, Outcome
from neardecode_testbench.experiments.scaling import (
    SWITCH_NS,
    _more_than_chips,
    scale,
    scaling_experiment,
)
from neardecode_testbench.experiments.streams import vault_rate
from neardecode_testbench.experiments.verdict import judged, judged_between
from neardecode_testbench.experiments.yields import led_around, stack_yield, yield_experiment
from neardecode_testbench.model.shapes import Shape
from neardecode_testbench.scenarios.stack_lanes import spare_lanes, worn_lanes

SMALL = Shape("small", 2, 128, 4, 2, 64, 256, 256)
CASE = Case(SMALL, PRESETS["decoder-tiny"], context=64)
STACK = PRESETS["stack"].stack
assert STACK is not None


def groups(stuck):
    size = STACK.lanes // STACK.repair.groups
    bits = [bool(stuck >> lane & 1) for lane in range(STACK.lanes)]
    return [bits[at : at + size] for at in range(0, STACK.lanes, size)]


@pytest.mark.parametrize(("lanes", "good"), [(spare_lanes, True), (worn_lanes, False)])
def test_repair_leads_around_what_the_rtl_is_made_to_lead_around(lanes, good):
    for stuck, _ in lanes(STACK, 20, 1):
        ways = [led_around(group, STACK.repair.spares) for group in groups(stuck)]
        assert all(way is not None for way in ways) == good
        for way, group in zip(ways, groups(stuck), strict=True):
            if way is not None:
                assert len(set(way)) == len(group) - STACK.repair.spares
                assert not any(group[lane] for lane in way)


def test_yield_without_faults_is_whole_and_falls_with_them():
    assert stack_yield(STACK, 0.0, 1) == 1
    assert stack_yield(STACK, 1e-4, 1) > stack_yield(STACK, 1e-3, 1)
    assert stack_yield(STACK, 1e-3, 2) > stack_yield(STACK, 1e-3, 1)


def test_draws_agree_with_the_closed_form():
    outcome = yield_experiment(STACK, 100, 1)
    assert all(row["agrees"] for row in outcome.rows)


def test_a_switch_only_adds_its_latency():
    (one,) = scale([replace(CASE, chips=2)], 1)
    low, middle, high = one.switched
    assert one.run.cycles < low < middle < high
    # Two sums a layer and one of the logits, up and down a tree of one level; beside them weights
    # come a little sooner.
    sums = 2 * SMALL.layers + 1
    longer = sums * 2 * (SWITCH_NS[2] - SWITCH_NS[0]) * 1.6
    assert high - low == pytest.approx(longer, rel=0.01)


def test_scaling_has_a_row_for_each_number_of_chips():
    outcome = scaling_experiment([CASE, replace(CASE, chips=2)], 1)
    assert [row["chips"] for row in outcome.rows] == [1, 2]
    assert outcome.rows[0]["switched"] is None
    assert outcome.rows[1]["speedup"] > 1


def test_scaling_shows_what_was_simulated_beside_the_model():
    small = [
        {"chips": 1, "context": 64, "rtl_cycles": 1000, "model_cycles": 1001},
        {"chips": 2, "context": 64, "rtl_cycles": 500, "model_cycles": 500},
    ]
    outcome = scaling_experiment([CASE], 1, small)
    assert [row["rtl"] for row in outcome.rows] == [1.6e6, 3.2e6, None]
    assert any("2.000 times on 2" in note and "within 0.100%" in note for note in outcome.notes)


def test_more_than_the_number_of_chips_is_explained_by_what_goes_without_it():
    slow = CASE.changed(flash={"sense_ns": 4000.0}, kv={"tiles_ahead": 2})
    one, two = scale([slow, replace(slow, chips=2)], 1)
    note = _more_than_chips(one, two, 1)
    assert "it gains" in note
    assert "With a tR of 40 ns" in note


def test_baseline_says_how_much_of_its_power_is_flash_and_from_where():
    outcome = baseline_experiment(CASE, 1)
    _, near = outcome.rows
    assert near["flash_watts_low"] < near["flash_watts"] < near["flash_watts_high"]
    assert near["flash_watts"] < near["watts"]
    assert any("NAND01G-B2B" in note for note in outcome.notes)


def test_near_memory_keeps_bytes_off_the_edges():
    on, off = ablation_experiment([CASE], 1).rows
    assert on["edge_mb"] < off["edge_mb"]
    assert off["tokens_low"] <= off["tokens_a_second"] <= off["tokens_high"]
    assert off["tokens_a_second"] <= on["tokens_a_second"]
    assert on["joules"] < off["joules"]


def test_ablation_shows_the_simulated_port_beside_its_rule():
    ports = [
        {"work": "work", "near_memory": "on", "rtl_cycles": 101, "model_cycles": 100},
        {"work": "work", "near_memory": "off", "rtl_cycles": 808, "model_cycles": 808},
    ]
    outcome = ablation_experiment([CASE], 1, ports)
    assert [row["near_memory"] for row in outcome.rows] == ["on", "off"] * 2
    assert [row["rtl"] for row in outcome.rows] == [101, 808, None, None]
    assert any("8.00 times on work" in note and "within 0.99%" in note for note in outcome.notes)


def test_beats_that_cross_cost_what_pins_are_slower():
    assert crossed_cycles(110, 100, 800) == 810
    assert crossed_cycles(110, 100, 50) == 110


def test_baseline_is_as_fast_as_its_pins():
    hbm, near = baseline_experiment(CASE, 1).rows
    run = CASE.project()
    moved = run.bound.flash_bytes + run.bound.kv_bytes
    assert hbm["latency_ms_low"] == pytest.approx(1e3 * moved / 819.2e9)
    assert near["tokens_a_second"] == pytest.approx(run.tokens_a_second)


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ([(10, 11, 12)], "reproduced"),
        ([(1, 2, 3)], "not reproduced"),
        ([(4, 5, 6)], "depends on luck"),
        ([(9, 9, 9), (1, 1, 1)], "depends on luck"),
    ],
)
def test_a_verdict_is_of_both_ends_of_all_ranges(figures, verdict):
    given = [Figure("it", middle, "GB", "drawn", low, high) for low, middle, high in figures]
    assert judged(given, lambda number: number >= 5, "luck") == verdict


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ([(2, 3, 4)], "reproduced"),
        ([(1, 3, 4)], "depends on luck"),
        ([(1, 1.5, 15)], "depends on luck"),
        ([(6, 7, 8)], "not reproduced"),
        ([(1, 1, 1), (9, 9, 9)], "depends on luck"),
    ],
)
def test_a_verdict_of_a_band_is_of_whole_ranges(figures, verdict):
    given = [Figure("it", middle, "GB", "drawn", low, high) for low, middle, high in figures]
    assert judged_between(given, 2, 5, "luck") == verdict


def test_claims_of_memories_are_judged_by_their_figures():
    found = {claim.name: claim for claim in memory_claims()}
    assert found["capacity"].in_paper == "abstract"
    assert found["capacity"].verdict == "reproduced"
    assert found["bandwidth"].verdict.startswith("depends on tR: up to 4.19 us")
    assert found["kv in flash"].verdict == "depends on tR and the stack's TSVs"
    assert found["hop"].verdict.startswith("depends on the cable: at most 7")
    assert all(claim.figures and claim.criterion and claim.source for claim in found.values())


def test_a_vault_streams_as_its_readme_says():
    assert vault_rate(PRESETS["stack"]) == pytest.approx(0.9914, abs=0.002)


def test_an_outcome_with_a_zero_is_refused():
    with pytest.raises(FigureError, match="no figure"):
        Outcome("it", (Column("x", "x"),), ({"x": 0.0},), ())
