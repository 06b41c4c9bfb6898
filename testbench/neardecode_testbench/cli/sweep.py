"""neardecode sweep: many configurations, on this machine or on a cluster, and the best of them."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.table import Table

from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import (
    JsonOption,
    check_pictures,
    check_writable,
    console,
    write_json,
)
from neardecode_testbench.drive.design import write_atomically
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.experiments.pareto import OBJECTIVES, pareto_front
from neardecode_testbench.experiments.points import Point, read_spec
from neardecode_testbench.experiments.runners import on_cluster, on_processes
from neardecode_testbench.experiments.store import read_rows, write_rows
from neardecode_testbench.report.front import front_picture

SAVE_SECONDS = 2.0
"""Between two writes of what is done."""
SHOWN = 20
"""Lines of a table."""
HEADS = {
    "tokens_a_second": "tokens a second",
    "joules": "J a token",
    "memory_usd": "memories, $",
    "tsv_mm2": "TSVs, mm2",
}
"""Above the figures of a point."""


@app.command()
def sweep(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="What is swept.")],
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help="Parquet with a row a point; by default beside SPEC. What it has is not run anew.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, as tcp://host:port."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes of this machine; by default one a core.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help=f"Of the front; may be repeated. By default: {', '.join(OBJECTIVES)}."),
    ] = None,
    plot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Draw points and front, .png or .svg; repeatable."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Project every point of a specification, and show those that no other beats.

    SPEC has `model`, `config`, `chips`, `context`, `weights`, `hop_ns`, each a value or a list of
    them, and under `axes` lists by keys of the configuration. A point that cannot be is reported
    and costs no other; what is done is kept, so that the same command goes on where it ended.

        model = "smollm2-135m"
        config = "decoder-demo"
        context = [512, 2048]
        axes."flash.sense_ns" = [1000.0, 2500.0, 4000.0]
        axes."flash.channels" = [2, 4, 8]

    Example: `neardecode sweep spec.toml --json sweep.json --plot front.svg`

    Example: `neardecode sweep spec.toml --scheduler tcp://127.0.0.1:8786`
    """
    kept = results or spec.with_suffix(".parquet")
    plots = plot or []
    check_writable(json, kept, *plots)
    check_pictures("--plot", plots)
    names = objective or list(OBJECTIVES)
    if unknown := [name for name in names if name not in OBJECTIVES]:
        raise InputError(f"--objective {unknown[0]}: none of {', '.join(OBJECTIVES)}")
    if scheduler is not None and jobs is not None:
        raise InputError("--jobs: not with --scheduler, whose workers are as many as they are")
    quiet = json is not None and str(json) == "-"
    points = {point.key: point for point in read_spec(spec)}
    rows = {
        row["key"]: row for row in read_rows(kept) if row["key"] in points and row["error"] is None
    }
    again = len(rows)
    open_ = [point for key, point in points.items() if key not in rows]
    if open_:
        done = (
            on_cluster(open_, scheduler)
            if scheduler is not None
            else on_processes(open_, jobs or os.cpu_count() or 1)
        )
        shown = track(done, "Points", len(open_), console=console, disable=quiet)
        _collect(iter(shown), rows, kept, points)
    ordered = [rows[key] for key in points]
    good = [row for row in ordered if row["error"] is None]
    failed = [row for row in ordered if row["error"] is not None]
    for row in good:
        _check(row)
    front = [good[number] for number in pareto_front(good, names)]
    for file in plots if good else ():
        write_atomically(file, front_picture(good, front, file.suffix[1:]))
    if not quiet:
        _print(ordered, failed, front, names, points, again, kept)
    write_json(
        json,
        {
            "spec": str(spec),
            "results": str(kept),
            "points": len(ordered),
            "kept_from_before": again,
            "failed": failed,
            "objectives": names,
            "front": front,
        },
    )
    if not good:
        raise InputError(f"{spec}: no point could be run: {failed[0]['error']}")


def _collect(
    done: Iterator[dict[str, Any]],
    rows: dict[str, dict[str, Any]],
    kept: Path,
    points: Mapping[str, Point],
) -> None:
    """Takes rows as they come, and writes them now and then and in the end, whatever ends it."""
    order = list(points)
    saved = time.monotonic()
    try:
        for row in done:
            rows[row["key"]] = row
            if time.monotonic() - saved > SAVE_SECONDS:
                write_rows(kept, rows.values(), order)
                saved = time.monotonic()
    finally:
        if rows:
            write_rows(kept, rows.values(), order)


def _check(row: Mapping[str, Any]) -> None:
    """A figure that cannot be is an error, also where it was read from a file."""
    for name in (*OBJECTIVES, "cycles", "bound_share"):
        if not 0 < row[name] < float("inf"):
            raise FigureError(f"{row['key']}: {name} is {row[name]!r}, which is no figure")


def _print(
    ordered: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
    front: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    points: Mapping[str, Point],
    again: int,
    kept: Path,
) -> None:
    # What is the same in all points is no column.
    varied = [
        name
        for name in dict(next(iter(points.values())).values)
        if len({str(row[name]) for row in ordered}) > 1
    ]
    table = Table(title=f"Not beaten in {', '.join(names)}", title_justify="left")
    for head in (*varied, *HEADS.values(), "limit"):
        table.add_column(head, justify="left" if head == "limit" else "right", overflow="fold")
    best = sorted(front, key=lambda row: -row["tokens_a_second"])
    for row in best[:SHOWN]:
        cells = [str(row[name]) for name in varied]
        table.add_row(*cells, *(f"{row[name]:.4g}" for name in HEADS), row["limit"])
    if front:
        console.print(table)
        console.print("Middle figures; their ranges are in the results.", style="dim")
    if len(best) > SHOWN:
        console.print(f"and {len(best) - SHOWN} more, in --json", style="dim")
    by_error: dict[str, list[Mapping[str, Any]]] = {}
    for row in failed:
        by_error.setdefault(row["error"], []).append(row)
    for error, of_it in list(by_error.items())[:SHOWN]:
        what = ", ".join(f"{name} {of_it[0][name]}" for name in varied)
        line = f"failed, {len(of_it)}: {error}; the first: {what}"
        console.print(line, highlight=False, soft_wrap=True)
    console.print(
        f"{len(ordered)} points, {again} of them from before, {len(failed)} failed,"
        f" {len(front)} not beaten; {kept}",
        highlight=False,
        soft_wrap=True,
    )
