"""The table of the model against the RTL, and what it comes to."""

import os
from typing import Any

from rich.progress import track
from rich.table import Table

from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import console
from neardecode_testbench.experiments.validation import Validation, validate
from neardecode_testbench.experiments.validation_points import draw

__all__ = ["validated"]

HEADS = {
    "kv": "KV in",
    "banks": "banks",
    "channels": "ch",
    "chips": "chips",
    "page_bytes": "page",
    "sense_us": "tR, us",
    "context": "rows",
}
"""What is shown of a point, few enough for 80 columns; JSON has all of it."""
RESULTS = ("rtl", "model", "error", "failed")


def validated(seed: int, count: int, jobs: int | None, *, quiet: bool) -> Validation:
    """Runs every point and prints its line, misses and failures with the others.

    Args:
        seed: Of the points.
        count: How many.
        jobs: Processes at a time; by default one a core.
        quiet: Print nothing.

    Raises:
        InputError: if no point could be run.
    """
    points = draw(seed, count)
    rows = validate(points, jobs or os.cpu_count() or 1)
    done = []
    for row in track(rows, "Points", count, console=console, disable=quiet):
        done.append(row)
        if not quiet:
            console.print(_line(row), style="dim", highlight=False, soft_wrap=True)
    order = {tuple(point.table().items()): number for number, point in enumerate(points)}
    done.sort(key=lambda row: order[tuple((k, v) for k, v in row.items() if k not in RESULTS)])
    result = Validation(seed, tuple(done))
    if not quiet:
        _print(result)
    if not result.good:
        raise InputError(f"no point could be run: {result.failed[0]['failed']}")
    return result


def _line(row: dict[str, Any]) -> str:
    """What came of a point, as it comes."""
    named = ", ".join(f"{name} {row[key]}" for key, name in HEADS.items())
    return f"{named}: {row['failed'] or format(row['error'], '.3%')}"


def _print(result: Validation) -> None:
    lines = Table(
        title=f"Cycles of a token, or of heads in flash: RTL and model, seed {result.seed}",
        box=None,
    )
    for head in (*HEADS.values(), "RTL", "model", "error"):
        lines.add_column(head, justify="right", no_wrap=True)
    for row in result.good:
        rtl, model = (sum(row[name]) / len(row[name]) for name in ("rtl", "model"))
        lines.add_row(*_named(row), f"{rtl:,.0f}", f"{model:,.0f}", f"{row['error']:.3%}")
    console.print(lines)
    for row in result.failed:
        console.print(f"failed: {', '.join(_named(row))}: {row['failed']}", soft_wrap=True)
    if result.mean_error is not None and result.worst_error is not None:
        limits = result.table()["limits"]
        console.print(
            f"{len(result.good)} of {len(result.points)} points: mean error"
            f" {result.mean_error:.4%} (below {limits['mean']:.1%}"
            f" {_kept(result.mean_error < limits['mean'])}), worst {result.worst_error:.3%}"
            f" (below {limits['worst']:.0%} {_kept(result.worst_error < limits['worst'])})",
            highlight=False,
            soft_wrap=True,
        )


def _named(row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in HEADS]


def _kept(holds: bool) -> str:
    return "holds" if holds else "missed"
