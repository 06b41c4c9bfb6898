"""The thermal governor: its modes, their hysteresis, the trip that is kept, and the proofs."""

import random
import shutil
from itertools import pairwise

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from neardecode.flash.thermal import ThermalGovernor, ThermalMode
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties.thermal import ThermalProperties

NORMAL, LIGHT, SEVERE, SHUTDOWN = ThermalMode
BASE = 120
RELEASE, LIGHT_AT, SEVERE_AT, SHUTDOWN_AT = BASE + 50, BASE + 70, BASE + 90, 250
HYSTERESIS = 4
PERIOD = 8
OUTPUTS = (*("permit", "halt", "cattrip", "cattrip_status", "light_status", "link_error"),)
SETTINGS = {
    **{"release": 50, "light": 70, "severe": 90, "light_enabled": 1, "severe_enabled": 1},
    "clear_cattrip": 0,
}


def run(*cycles, governor=None):
    """Feeds inputs, a temperature or a mapping each; gives what is seen in each cycle and after."""
    governor = governor or ThermalGovernor(PERIOD, HYSTERESIS, SHUTDOWN_AT)
    seen = []
    reset = Signal()

    async def bench(context):
        for name, value in SETTINGS.items():
            context.set(getattr(governor, name), value)
        for cycle in (*cycles, {}):
            if isinstance(cycle, int):
                cycle = {"temperature": cycle}
            context.set(reset, cycle.get("reset", 0))
            for name, value in cycle.items():
                if name != "reset":
                    context.set(getattr(governor, name), value)
            seen.append(
                {
                    "mode": ThermalMode(context.get(governor.mode.as_value())),
                    **{name: context.get(getattr(governor, name)) for name in OUTPUTS},
                }
            )
            await context.tick()

    simulator = Simulator(ResetInserter(reset)(governor))
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def modes(*cycles, **options):
    """The modes that follow each cycle."""
    return [each["mode"] for each in run(*cycles, **options)[1:]]


def test_after_reset_all_is_normal():
    assert run()[0] == {
        **{"mode": NORMAL, "permit": 1, "halt": 0, "cattrip": 0, "cattrip_status": 0},
        **{"light_status": 0, "link_error": 0},
    }


def test_light_throttling_begins_at_its_threshold_and_ends_at_release():
    temperatures = (LIGHT_AT - 1, LIGHT_AT, LIGHT_AT - 1, RELEASE + 1, RELEASE, LIGHT_AT - 1)
    assert modes(*temperatures) == [NORMAL, LIGHT, LIGHT, LIGHT, NORMAL, NORMAL]


def test_severe_throttling_begins_at_its_threshold_and_ends_the_hysteresis_below():
    temperatures = (LIGHT_AT, SEVERE_AT - 1, SEVERE_AT, SEVERE_AT - 1, SEVERE_AT - HYSTERESIS + 1)
    assert modes(*temperatures, SEVERE_AT - HYSTERESIS, SEVERE_AT - 1) == [
        *(LIGHT, LIGHT, SEVERE, SEVERE, SEVERE),
        *(LIGHT, LIGHT),
    ]


def test_severe_throttling_can_begin_and_end_without_light():
    off = {"light_enabled": 0}
    assert modes(SEVERE_AT + 1, RELEASE - 1) == [SEVERE, NORMAL]
    assert modes(off, SEVERE_AT + 1, SEVERE_AT - HYSTERESIS) == [NORMAL, SEVERE, NORMAL]


def test_shutdown_begins_at_its_temperature_and_only_a_reset_ends_it():
    cool = {"temperature": 0, "light_enabled": 0, "severe_enabled": 0, "clear_cattrip": 1}
    seen = run(SHUTDOWN_AT - 1, SHUTDOWN_AT, cool, {}, {}, {"reset": 1}, {"clear_cattrip": 0})
    assert [each["mode"] for each in seen[1:]] == [SEVERE, *[SHUTDOWN] * 4, NORMAL, NORMAL]
    assert [each["link_error"] for each in seen[1:]] == [0, 1, 1, 1, 1, 0, 0]
    assert [each["cattrip"] for each in seen[1:]] == [1, 1, 1, 1, 1, 0, 0]
    assert seen[5]["cattrip_status"] == 1


def test_shutdown_needs_no_throttling_enabled():
    off = {"light_enabled": 0, "severe_enabled": 0}
    assert modes(off, SHUTDOWN_AT - 1, SHUTDOWN_AT) == [NORMAL, NORMAL, SHUTDOWN]


def test_what_is_disabled_ends():
    assert modes(LIGHT_AT + 1, {"light_enabled": 0}) == [LIGHT, NORMAL]
    assert modes(SEVERE_AT + 1, {"severe_enabled": 0}) == [SEVERE, LIGHT]
    assert modes(SEVERE_AT + 1, {"severe_enabled": 0, "light_enabled": 0}) == [SEVERE, NORMAL]


def test_the_trip_is_known_until_it_is_cleared_while_it_is_over():
    seen = run(
        *(SEVERE_AT + 1, {"clear_cattrip": 1}, {"clear_cattrip": 0}),
        *(RELEASE, {}, {"clear_cattrip": 1}, {"clear_cattrip": 0}),
    )
    assert [each["cattrip"] for each in seen] == [0, 1, 1, 1, 0, 0, 0, 0]
    assert [each["cattrip_status"] for each in seen] == [0, 1, 1, 1, 1, 1, 0, 0]


def test_halt_and_status_follow_the_mode():
    seen = run(RELEASE - 1, LIGHT_AT + 1, SEVERE_AT + 1)[1:]
    assert [each["halt"] for each in seen] == [0, 0, 1]
    assert [each["light_status"] for each in seen] == [0, 1, 0]


@pytest.mark.parametrize("period", [2, 5, 8])
def test_light_throttling_permits_one_sense_in_a_period(period):
    governor = ThermalGovernor(light_period=period)
    seen = run(0, 0, LIGHT_AT + 1, *([LIGHT_AT] * 40), RELEASE - 1, 0, 0, governor=governor)
    permits = [cycle for cycle, each in enumerate(seen) if each["permit"] and each["light_status"]]
    assert len(permits) >= 40 // period - 1
    assert {later - cycle for cycle, later in pairwise(permits)} == {period}
    assert all(each["permit"] for each in seen if each["mode"] == NORMAL)


def rule(cycles):
    """The modes of the docstring, one threshold after another."""
    mode = NORMAL
    for cycle in cycles:
        heat = cycle["temperature"]
        warm = cycle["light_enabled"] and heat >= BASE + cycle["light"]
        hold = cycle["light_enabled"] and heat > BASE + cycle["release"]
        trip = cycle["severe_enabled"] and heat >= BASE + cycle["severe"]
        keep = cycle["severe_enabled"] and heat > BASE + cycle["severe"] - HYSTERESIS
        if mode == SHUTDOWN or heat >= SHUTDOWN_AT:
            mode = SHUTDOWN
        elif trip or (mode == SEVERE and keep):
            mode = SEVERE
        elif warm or (mode != NORMAL and hold):
            mode = LIGHT
        else:
            mode = NORMAL
        yield mode


@pytest.mark.parametrize("seed", range(4))
def test_random_heat_and_thresholds_follow_the_rule(seed):
    source = random.Random(seed)
    cycles = []
    heat = 150
    thresholds = {"release": 50, "light": 70, "severe": 90}
    for _ in range(1500):
        heat = min(max(heat + source.randint(-9, 9), 100), 248)
        if source.random() < 0.02:
            thresholds = {name: source.randrange(128) for name in thresholds}
        enables = {f"{name}_enabled": int(source.random() < 0.95) for name in ("light", "severe")}
        cycles.append({"temperature": heat, **thresholds, **enables})
    expected = list(rule(cycles))
    assert modes(*cycles) == expected
    assert {NORMAL, LIGHT, SEVERE} == set(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"light_period": 1}, "light_period must be an integer from 2, not 1"),
        ({"light_period": 2.5}, "light_period must be an integer from 2, not 2.5"),
        ({"hysteresis": -1}, "hysteresis must be an integer from 0 to 120, not -1"),
        ({"hysteresis": 121}, "hysteresis must be an integer from 0 to 120, not 121"),
        ({"hysteresis": "4"}, "hysteresis must be an integer from 0 to 120, not '4'"),
        ({"shutdown": 119}, "shutdown must be an integer from 120 to 510, not 119"),
        ({"shutdown": 511}, "shutdown must be an integer from 120 to 510, not 511"),
    ],
)
def test_refuses_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ThermalGovernor(**options)


def properties(bug=None, period=4):
    governor = ThermalGovernor(period, HYSTERESIS, SHUTDOWN_AT)
    if bug is not None:
        with_bug(governor, bug)
    return ThermalProperties(governor, period, HYSTERESIS, SHUTDOWN_AT)


@pytest.mark.parametrize("period", [2, 4, 5])
def test_the_rules_hold_for_all_time(period):
    prove(properties(period=period), 2 * period + 4)


def test_the_proof_is_about_modes_that_are_reached():
    prove(properties(), 9, "cover")


def not_trip(governor):
    heat = governor.temperature
    return (heat < BASE + governor.severe) & (heat < SHUTDOWN_AT)


def normal_one_cycle_longer(governor, m):
    warm = Signal()
    m.d.sync += warm.eq(governor.light_enabled & (governor.temperature >= BASE + governor.light))
    with m.If((governor.mode == NORMAL) & ~warm & not_trip(governor)):
        m.d.sync += governor.mode.eq(NORMAL)


def light_without_hysteresis(governor, m):
    cool = governor.temperature < BASE + governor.light
    with m.If((governor.mode == LIGHT) & cool & not_trip(governor)):
        m.d.sync += governor.mode.eq(NORMAL)


def severe_without_hysteresis(governor, m):
    with m.If((governor.mode == SEVERE) & (governor.temperature < BASE + governor.severe)):
        m.d.sync += governor.mode.eq(LIGHT)


def restarts_when_cold(governor, m):
    with m.If(governor.temperature == 0):
        m.d.sync += governor.mode.eq(NORMAL)


def no_pin_when_shut_down(governor, m):
    m.d.comb += governor.cattrip.eq(governor.mode == SEVERE)


def trip_forgotten_when_it_is_over(governor, m):
    m.d.comb += governor.cattrip_status.eq(governor.cattrip)


def never_permits_when_throttled(governor, m):
    m.d.comb += governor.permit.eq(governor.mode == NORMAL)


def permits_too_often(governor, m):
    with m.If(governor.mode == LIGHT):
        m.d.comb += governor.permit.eq(1)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (normal_one_cycle_longer, "never normal from the light threshold on"),
        (light_without_hysteresis, "light ends at release only"),
        (severe_without_hysteresis, "severe ends when it has cooled"),
        (restarts_when_cold, "a shutdown stays"),
        (no_pin_when_shut_down, "the pin is high when severe or worse"),
        (trip_forgotten_when_it_is_over, "a trip is not forgotten"),
        (never_permits_when_throttled, "throttling permits one in every period"),
        (permits_too_often, "light throttling permits one in every period and no more"),
    ],
)
def test_a_broken_governor_breaks_its_proof(bug, message):
    with pytest.raises(ProofError) as caught:
        prove(properties(bug), 9, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])
    assert message in caught.value.messages
