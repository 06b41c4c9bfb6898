"""Amaranth's own simulator: no compiler needed."""

import sys
from pathlib import Path
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from neardecode_testbench.drive.player import Player
from neardecode_testbench.drive.stimulus import Scenario
from neardecode_testbench.drive.waves import cut_vcd

__all__ = ["run"]

CYCLE_FS = 10**9
"""A cycle in Amaranth's unit of time; the edge is in its middle."""
RECURSION_LIMIT = 50_000


class _Pins:
    """Ports of a component in Amaranth's simulator."""

    def __init__(self, component: wiring.Component, context):
        self._context = context
        self._values = {
            "__".join(map(str, path)): Value.cast(value)
            for path, _, value in component.signature.flatten(component)
        }
        self._driven: dict[str, int] = {}

    def set(self, port: str, value: int) -> None:
        if self._driven.get(port) != value:
            self._driven[port] = value
            self._context.set(self._values[port], value)

    async def settle(self) -> None:
        pass

    def get(self, port: str) -> int:
        value = self._context.get(self._values[port])
        return value if value >= 0 else value + (1 << len(self._values[port]))

    async def clock(self) -> None:
        await self._context.tick()


def run(
    component: wiring.Component,
    scenario: Scenario,
    *,
    waves: Path | None = None,
    wave_cycles: int = 0,
) -> Any:
    """Plays a scenario and returns its result.

    Args:
        component: What to simulate.
        scenario: What to do.
        waves: A VCD file to write.
        wave_cycles: Cycles of it.
    """
    # A memory's enables become one expression a word, as deep as the word is wide.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    simulator = Simulator(component)
    simulator.add_clock(CYCLE_FS * 1e-15)
    results: list[Any] = []

    async def bench(context):
        results.append(await Player(_Pins(component, context)).run(scenario))

    simulator.add_testbench(bench)
    if waves is None:
        simulator.run()
    else:
        with simulator.write_vcd(str(waves)):
            simulator.run()
        cut_vcd(waves, wave_cycles * CYCLE_FS)
    return results[0]
