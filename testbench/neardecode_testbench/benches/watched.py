"""What a bench needs of a scenario."""

from typing import Any, Protocol

from neardecode_testbench.drive.stimulus import Step
from neardecode_testbench.scenarios.blocks.edge import Recorder

__all__ = ["WatchedScenario"]


class WatchedScenario(Protocol):
    """A scenario with a recorder for the streams that it plays on."""

    @property
    def recorder(self) -> Recorder:
        """What saw the streams."""
        ...

    def __call__(self, step: Step) -> Any:
        """Runs on whatever simulator takes the steps."""
        ...
