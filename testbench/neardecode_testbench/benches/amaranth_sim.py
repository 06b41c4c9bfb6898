"""A scenario on Amaranth's simulator, every stream watched."""

from typing import Any

from amaranth.hdl import ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from neardecode_testbench.benches.watched import WatchedScenario
from neardecode_testbench.drive.amaranth_sim import _Pins
from neardecode_testbench.drive.player import Player
from neardecode_testbench.drive.stimulus import StuckError

__all__ = ["Bench", "play", "play_after_reset"]


class Bench:
    """A component in Amaranth's simulator, made once and played on from its initial state.

    Args:
        component: What to simulate.
    """

    def __init__(self, component: wiring.Component):
        self._component = component
        self._reset = Signal()
        self._scenarios: tuple[WatchedScenario, ...] | None = None
        self._results: list[Any] = []
        self._simulator = Simulator(ResetInserter(self._reset)(component))
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._body)

    def play(self, *scenarios: WatchedScenario) -> Any:
        """Plays scenarios with a reset between them and returns the last one's result.

        Those before the last may get stuck: they are cut off wherever they are.
        """
        if self._scenarios is not None:
            self._simulator.reset()
        self._scenarios, self._results = scenarios, []
        self._simulator.run()
        return self._results[-1]

    async def _body(self, context) -> None:
        assert self._scenarios is not None
        for scenario in self._scenarios:
            player = Player(_Pins(self._component, context), scenario.recorder)
            try:
                self._results.append(await player.run(scenario))
            except StuckError:
                if scenario is self._scenarios[-1]:
                    raise
            context.set(self._reset, 1)
            await context.tick()
            context.set(self._reset, 0)


def play(component: wiring.Component, scenario: WatchedScenario) -> Any:
    """Plays a scenario and returns its result."""
    return Bench(component).play(scenario)


def play_after_reset(component: wiring.Component, *scenarios: WatchedScenario) -> Any:
    """Plays scenarios with a reset between them; as `Bench.play`."""
    return Bench(component).play(*scenarios)
