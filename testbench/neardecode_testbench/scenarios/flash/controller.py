"""The controller that is soaked."""

from neardecode.config import Config
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.drive.design import Design

__all__ = ["controller_design", "faulty_controller"]


def faulty_controller(config: Config, seed: int = 1) -> ControllerBench:
    """A controller before dies that can fail."""
    return ControllerBench(config, faults=True, seed=seed)


def controller_design(config: Config, *, faults: bool) -> Design:
    """A controller before its dies."""
    return Design(faulty_controller if faults else ControllerBench, (config,))
