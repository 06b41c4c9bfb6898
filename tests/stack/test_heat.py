"""The thermal node against its reference, and the throttle's steps."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from neardecode.lib.heat import HeatThrottle, ThermalNode
from neardecode_testbench.reference.heat import temperatures


def clocked(component, port, values, *outputs):
    seen = []

    async def bench(context):
        for value in values:
            context.set(getattr(component, port), value)
            seen.append(tuple(context.get(getattr(component, name)) for name in outputs))
            await context.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize(
    ("weights", "window", "ambient"),
    [((3 << 20, 1 << 19, 7), 5, 90), ((1 << 26, 5, 9 << 22), 3, 400), ((1 << 24,), 1, 0)],
)
def test_the_temperature_is_the_reference_s_in_every_cycle(weights, window, ambient):
    random = np.random.default_rng(window)
    events = random.random((3000, len(weights))) < np.repeat([0.8, 0.1, 0.6], 1000)[:, None]
    packed = (events * (1 << np.arange(len(weights)))).sum(1).tolist()
    seen = clocked(ThermalNode(weights, window, ambient), "events", packed, "temperature")
    assert [value for (value,) in seen] == temperatures(events, weights, window, ambient)[
        :-1
    ].tolist()


def test_each_step_above_the_threshold_takes_a_cycle_and_gives_it_back_lower():
    heat = [100] * 3 + [101] * 20 + [103] * 20 + [102] * 20 + [100] * 40 + [97] * 20
    seen = clocked(HeatThrottle(100, 2, 3), "temperature", heat, "throttle", "permit")
    throttle = [value for value, _ in seen]
    assert [throttle[at] for at in (3, 22, 42, 62, 102, 122)] == [0, 1, 2, 2, 2, 0]
    rests = [16 - sum(permit for _, permit in seen[at : at + 16]) for at in (5, 26)]
    assert rests == [1, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ThermalNode((), 1, 0), "weights"),
        (lambda: ThermalNode((-1,), 1, 0), "weights"),
        (lambda: ThermalNode((1,), 0, 0), "window"),
        (lambda: ThermalNode((1,), 1, 512), "ambient"),
        (lambda: HeatThrottle(0, 1, 1), "threshold"),
        (lambda: HeatThrottle(500, 1, 1), "15 steps"),
        (lambda: HeatThrottle(10, 1, 0), "hysteresis"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
