from dataclasses import replace

import pytest

from neardecode.config import PRESETS
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.figure import Figure, FigureError
from neardecode_testbench.experiments.limits import limits_of
from neardecode_testbench.model.shapes import Shape

SMALL = Shape("small", 2, 128, 4, 2, 64, 256, 256)
PLAIN = Case(SMALL, PRESETS["decoder-tiny"], context=64)
CASES = {
    "flash buses": PLAIN,
    "prefetch window": PLAIN.changed(
        decoder={"prefetch": 1}, flash={"sense_ns": 600.0, "banks_a_die": 64}
    ),
    "tR and banks": PLAIN.changed(flash={"sense_ns": 1000.0}),
    "TSV bandwidth": replace(
        PLAIN.changed(stack={"vaults": 1, "pages_a_bank": 2048}), context=2000
    ),
    "fabric": replace(PLAIN, chips=2, hop_ns=5000.0),
}


@pytest.mark.parametrize("limit", CASES)
def test_names_the_limit_and_a_change_against_it(limit):
    limits = limits_of(CASES[limit])
    assert limits.limit == limit
    best = limits.changes[0]
    assert best.gain is not None
    assert best.gain > 0
    assert any(change.against == limit for change in limits.changes)


@pytest.mark.parametrize("limit", CASES)
def test_costs_add_up_to_the_token(limit):
    limits = limits_of(CASES[limit])
    total = sum(cost.cycles for cost in limits.costs)
    assert total == pytest.approx(limits.projection.cycles)


def test_a_change_buys_what_the_model_gives_with_it():
    limits = limits_of(PLAIN)
    change = next(c for c in limits.changes if c.what == "flash.channels 2 -> 4")
    faster = PLAIN.changed(flash={"channels": 4}).project()
    assert change.gain == pytest.approx(limits.projection.cycles / faster.cycles - 1)


def test_what_cannot_be_more_is_told():
    full = PLAIN.changed(flash={"channels": 16})
    change = next(c for c in limits_of(full).changes if c.what == "flash.channels 16 -> 16")
    assert (change.gain, change.why_not) == (None, "it is as large as it can be")


@pytest.mark.parametrize(
    ("value", "unit"), [(0.0, "GB"), (float("nan"), "GB"), (float("inf"), "s"), (1.01, "share")]
)
def test_a_figure_that_cannot_be_is_refused(value, unit):
    with pytest.raises(FigureError):
        Figure("it", value, unit, "nothing")


def test_a_figure_outside_its_range_is_refused():
    with pytest.raises(FigureError):
        Figure("it", 3.0, "GB", "nothing", 1.0, 2.0)
