"""What an experiment found: rows of figures and what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from neardecode_testbench.experiments.case import Case, projected
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.model.project import Projection

__all__ = ["Column", "Outcome", "runs_of"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: In each row.
        head: Above it.
        form: How a number is written.
    """

    key: str
    head: str
    form: str = ""


@dataclass(frozen=True)
class Outcome:
    """An experiment's result.

    Attributes:
        title: What was run.
        columns: Those that are shown; rows may have more.
        rows: By key; a number is positive, and ``None`` where there cannot be one.
        notes: What the rows say, and what stands behind them.

    Raises:
        FigureError: if a number is zero, not a number, or a share above one.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            for key, value in row.items():
                if isinstance(value, float) and not (isfinite(value) and value > 0):
                    raise FigureError(f"{self.title}: {key} is {value!r}, which is no figure")
                if key.endswith("_share") and value is not None and value > 1.0001:
                    raise FigureError(f"{self.title}: {key} is {value:.4f}, more than all of it")

    def table(self) -> dict[str, Any]:
        """For machines."""
        return {"title": self.title, "rows": [dict(row) for row in self.rows], "notes": self.notes}


def runs_of(cases: Sequence[Case], jobs: int) -> list[Projection]:
    """Projections, each of which there must be.

    Raises:
        FigureError: if one cannot be run.
    """
    found = []
    for run in projected(cases, jobs):
        if isinstance(run, str):
            raise FigureError(run)
        found.append(run)
    return found
