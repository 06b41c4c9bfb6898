"""The controller that is soaked."""

from neardecode.config import Config
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.drive.design import Design

__all__ = ["controller_design"]


def controller_design(config: Config, *, faults: bool) -> Design:
    """A controller before its dies, its decisions logged; the dies can fail if ``faults``."""
    return Design(ControllerBench, (config, faults, 1, True))
