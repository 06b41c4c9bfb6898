"""neardecode bench flash --soak: whole channel controllers under random traffic."""

import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import typer
from rich.progress import track
from rich.table import Table

from neardecode_testbench.cli.output import console, write_json
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.native import NativeRunner
from neardecode_testbench.scenarios.flash.controller import controller_design
from neardecode_testbench.scenarios.flash.soak import VARIANTS, Episode, EpisodeResult

__all__ = ["soak_controllers"]

EPISODE = 5000
"""Transactions from one reset to the next."""
MOST_SHOWN = 20


def soak_controllers(soak: int, seed: int, quiet: bool, json: Path | None) -> None:
    """Plays random traffic and checks every answer, shared out over the variants and the cores.

    Raises:
        Exit: with 1 if anything was not as it should be; each line says what.
    """
    results = {name: EpisodeResult() for name in VARIANTS}
    share = -(-soak // len(VARIANTS))
    for variant in VARIANTS.values():
        # Built once, before the cores share it.
        NativeRunner(controller_design(variant.config, faults=variant.faults)).close()
    jobs = [
        (name, seed + index, min(EPISODE, share - start))
        for index, start in enumerate(range(0, share, EPISODE))
        for name in VARIANTS
    ]
    began = time.perf_counter()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        running = {pool.submit(_episode, *job): job for job in jobs}
        done = track(as_completed(running), "Episodes", len(jobs), console=console, disable=quiet)
        for future in done:
            name, episode_seed, _ = running[future]
            result = future.result()
            results[name].add(result)
            for difference in result.differences[:MOST_SHOWN]:
                typer.echo(f"{name}, seed {episode_seed}: {difference}", err=True)
            if result.differences:
                pool.shutdown(cancel_futures=True)
                break
    seconds = time.perf_counter() - began
    total = EpisodeResult()
    for result in results.values():
        total.add(result)
    rate = total.transactions / seconds
    if not quiet:
        _print(total, rate)
    write_json(
        json,
        {
            "seed": seed,
            "transactions": total.transactions,
            "rate": rate,
            **_told(total),
            "channels": {name: _told(result) for name, result in results.items()},
        },
    )
    if total.differences:
        raise typer.Exit(1)


def _episode(name: str, seed: int, transactions: int) -> EpisodeResult:
    variant = VARIANTS[name]
    design = controller_design(variant.config, faults=variant.faults)
    return simulate(design, Episode(variant, seed, transactions), "native")


def _told(result: EpisodeResult) -> dict[str, Any]:
    return {
        "kinds": dict(sorted(result.kinds.items())),
        "reads": dict(sorted(result.reads.items())),
        "writes": dict(sorted(result.writes.items())),
        "admin": dict(sorted(result.admin.items())),
        "compared": result.compared,
        "differences": result.differences,
        "cycles": result.cycles,
    }


def _print(total: EpisodeResult, rate: float) -> None:
    table = Table(title=f"{total.transactions:,} transactions")
    for column in ("what", "how", "number"):
        table.add_column(column, justify="right" if column == "number" else "left")
    parts = {
        "transactions": total.kinds,
        "reads by status": total.reads,
        "writes by status": total.writes,
        "admin by status": total.admin,
    }
    for title, counts in parts.items():
        for name, count in sorted(counts.items()):
            table.add_row(title, name, f"{count:,}")
            title = ""
        table.add_section()
    table.add_row("words compared", "", f"{total.compared:,}")
    table.add_row("differences", "", f"{len(total.differences):,}")
    table.add_row("cycles", "", f"{total.cycles:,}")
    table.add_row("transactions a second", "", f"{rate:,.0f}")
    console.print(table)
