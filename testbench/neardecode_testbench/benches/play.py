"""A scenario on the design of a cocotb simulation, every stream watched.

A bench is a module with a ``DESIGN`` and cocotb tests; each test plays one scenario from reset. The
scenario brings stimulus and checks, its recorder holds every stream to the stream rules in every
cycle.
"""

from typing import Any

from neardecode_testbench.benches.watched import WatchedScenario
from neardecode_testbench.drive.cocotb_scenario import CocotbPins, reset
from neardecode_testbench.drive.player import Player
from neardecode_testbench.drive.stimulus import StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff

__all__ = ["leave_standing", "play"]


async def play(dut, scenario: WatchedScenario) -> Any:
    """Resets the design, plays a scenario and returns its result.

    Raises:
        CheckError: if a value or a cycle is not what the scenario expects.
        StreamRuleError: if a stream broke a rule.
        UnknownValueError: if a bit is X or Z where a value was read.
    """
    await reset(dut)
    result = await Player(CocotbPins(dut), scenario.recorder).run(scenario)
    if not scenario.recorder.cycles:
        raise RuntimeError("the streams were not watched")
    return result


async def leave_standing(dut, scenario: WatchedScenario, cycles: int) -> None:
    """Resets the design, plays some cycles of a scenario and leaves it there.

    Raises:
        RuntimeError: if the scenario was done by then.
    """
    try:
        await play(dut, CutOff(scenario, cycles))
    except StuckError:
        return
    raise RuntimeError(f"the scenario was done before cycle {cycles}")
