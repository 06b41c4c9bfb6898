"""A scenario on Amaranth's simulator, every stream watched."""

from typing import Any

from amaranth.hdl import ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from neardecode_testbench.benches.watched import WatchedScenario
from neardecode_testbench.drive.amaranth_sim import _Pins
from neardecode_testbench.drive.player import Player
from neardecode_testbench.drive.stimulus import StuckError

__all__ = ["play", "play_after_reset"]


def play(component: wiring.Component, scenario: WatchedScenario) -> Any:
    """Plays a scenario and returns its result."""
    return play_after_reset(component, scenario)


def play_after_reset(component: wiring.Component, *scenarios: WatchedScenario) -> Any:
    """Plays scenarios with a reset between them and returns the last one's result.

    Those before the last may get stuck: they are cut off wherever they are.
    """
    reset = Signal()
    simulator = Simulator(ResetInserter(reset)(component))
    simulator.add_clock(1e-6)
    results: list[Any] = []

    async def bench(context):
        for scenario in scenarios:
            player = Player(_Pins(component, context), scenario.recorder)
            try:
                results.append(await player.run(scenario))
            except StuckError:
                if scenario is scenarios[-1]:
                    raise
            context.set(reset, 1)
            await context.tick()
            context.set(reset, 0)

    simulator.add_testbench(bench)
    simulator.run()
    return results[-1]
