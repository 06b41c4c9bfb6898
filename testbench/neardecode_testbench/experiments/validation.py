"""The model held against the RTL, on configurations that nothing in it was made for.

No term of the model is fitted: each is a delay of a block's registers or a rule of its controller,
so there is no set of runs that it was calibrated with, and every seed is a test of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from neardecode.config import ConfigError
from neardecode_testbench.drive.stimulus import StorageError, StuckError
from neardecode_testbench.drive.toolchain import ToolError
from neardecode_testbench.experiments.runners import on_processes
from neardecode_testbench.experiments.validation_points import Measured
from neardecode_testbench.reference.compiler import CompileError

__all__ = ["MEAN_LIMIT", "WORST_LIMIT", "Validation", "measure", "validate"]

MEAN_LIMIT, WORST_LIMIT = 0.002, 0.01
"""What errors are held to, as fractions."""
REFUSALS = (ConfigError, CompileError, ToolError, StuckError, StorageError, ValueError)


@dataclass(frozen=True)
class Build:
    """Points that share a build of the RTL.

    Attributes:
        key: The same for the same points.
        points: They.
        values: Nothing beside them.
    """

    key: str
    points: tuple[Measured, ...]
    values: tuple[()] = ()


@dataclass(frozen=True)
class Validation:
    """What came of it.

    Attributes:
        seed: Of the points.
        points: A row each; of those that failed with ``error`` None and why in ``failed``.
    """

    seed: int
    points: tuple[dict[str, Any], ...]

    @property
    def good(self) -> list[dict[str, Any]]:
        """Points that were run."""
        return [point for point in self.points if point["failed"] is None]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Points that were not."""
        return [point for point in self.points if point["failed"] is not None]

    @property
    def mean_error(self) -> float | None:
        """Of the points that were run, as a fraction."""
        errors = [point["error"] for point in self.good]
        return sum(errors) / len(errors) if errors else None

    @property
    def worst_error(self) -> float | None:
        """The same."""
        return max((point["error"] for point in self.good), default=None)

    @property
    def holds(self) -> bool:
        """All points were run and their errors are small enough."""
        mean, worst = self.mean_error, self.worst_error
        if mean is None or worst is None or self.failed:
            return False
        return mean < MEAN_LIMIT and worst < WORST_LIMIT

    def table(self) -> dict[str, Any]:
        """For machines."""
        return {
            "seed": self.seed,
            "mean_error": self.mean_error,
            "worst_error": self.worst_error,
            "limits": {"mean": MEAN_LIMIT, "worst": WORST_LIMIT},
            "holds": self.holds,
            "failed": len(self.failed),
            "points": list(self.points),
        }


def measure(point: Measured) -> dict[str, Any]:
    """A point in RTL and by the model: cycles, and how far they are apart.

    It never raises for a point that cannot be; ``failed`` is then a line that says why.
    """
    row = {**point.table(), "rtl": None, "model": None, "error": None, "failed": None}
    try:
        rtl, model = point.measure()
    except REFUSALS as error:
        return {**row, "failed": " ".join(f"{type(error).__name__}: {error}".split())}
    return {**row, "rtl": rtl, "model": model, "error": abs(sum(model) / sum(rtl) - 1)}


def _measured(build: Build) -> dict[str, Any]:
    """All points of a build, one after the other."""
    return {"key": build.key, "rows": [measure(point) for point in build.points]}


def validate(points: Sequence[Measured], jobs: int) -> Iterator[dict[str, Any]]:
    """Rows as `measure` gives them, as they come, those of a build together.

    A build whose process dies costs its own points only.

    Args:
        points: What is measured.
        jobs: Processes at a time; each compiles with all cores.
    """
    groups: dict[Any, list[Measured]] = {}
    for point in points:
        groups.setdefault(point.board, []).append(point)
    builds = {
        str(number): Build(str(number), tuple(group))
        for number, group in enumerate(groups.values())
    }
    for done in on_processes(list(builds.values()), jobs, _measured):
        if "rows" in done:
            yield from done["rows"]
            continue
        for point in builds[done["key"]].points:
            yield {
                **point.table(),
                "rtl": None,
                "model": None,
                "error": None,
                "failed": done["error"],
            }
