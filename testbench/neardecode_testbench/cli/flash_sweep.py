"""Flash channels to measure, and streams over a grid of sensing times and banks."""

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import typer
from pydantic import ValidationError
from rich.progress import track
from rich.table import Table

from neardecode.config import Config
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import console, write_json
from neardecode_testbench.scenarios.flash_stream import (
    FlashStream,
    Pattern,
    StreamMeasure,
    measure_stream,
)

__all__ = ["Port", "one_channel", "sweep_channels"]

Port = Literal["slice", "host"]

ROWS = 64
"""Pages of a bank while it is measured; a stream needs no more."""
TIMES = (1.0, 4.0, 10.0, 20.0)
BANKS = ((1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4), (16, 4))
"""Banks a die, dies."""
SWEPT: tuple[Pattern, ...] = ("sequential", "weights")
LEAST_RATIO = 0.99


def one_channel(
    config: Config, port: Port, tr_us: float | None, banks: int | None, dies: int | None
) -> Config:
    """One channel of a configuration, as small as a stream needs.

    Raises:
        InputError: if the configuration has no such port, or its parts do not fit together.
    """
    changes: dict[str, object] = {"channels": 1, "repair": None, "pages_a_bank": ROWS}
    if port == "slice":
        changes["host"] = None
    elif config.flash.host is None:
        raise InputError("the configuration has no flash.host: try --config hbf-channel")
    else:
        changes["host"] = config.flash.host.model_dump() | {
            "pages_a_block": ROWS // 4,
            "spare_blocks": 2,
            "zones": 2,
        }
    if tr_us is not None:
        changes["sense_ns"] = 1000.0 * tr_us
    if banks is not None:
        changes["banks_a_die"] = banks
    if dies is not None:
        changes["dies"] = dies
    # Validated anew, for what was given by hand.
    tables = config.model_dump()
    try:
        return Config.model_validate({**tables, "flash": {**tables["flash"], **changes}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def sweep_channels(config: Config, seed: int, quiet: bool, json: Path | None) -> None:
    """Measures streams over a grid, on every core.

    Raises:
        Exit: with 1 if a stream does not reach its share of the bound.
        InputError: if a stream was faster than its bound.
    """
    points = [(tr_us, *banks) for banks in BANKS for tr_us in TIMES]
    measured: dict[tuple[float, int, int], list[StreamMeasure]] = {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        running = {pool.submit(_point, config, seed, *point): point for point in points}
        done = track(as_completed(running), "Points", len(points), console=console, disable=quiet)
        for future in done:
            try:
                measured[running[future]] = future.result()
            except ValueError as error:
                tr_us, banks, dies = running[future]
                raise InputError(f"tR {tr_us:g} us, {banks} x {dies} banks: {error}") from None
    least = min(one.ratio for pair in measured.values() for one in pair)
    if not quiet:
        table = Table(title="Share of the bound: sequential, weights", title_justify="left")
        table.add_column("banks x dies", justify="right")
        for tr_us in TIMES:
            table.add_column(f"tR {tr_us:g} us", justify="right")
        for banks, dies in BANKS:
            cells = [
                ", ".join(f"{one.ratio:.4f}" for one in measured[tr_us, banks, dies])
                for tr_us in TIMES
            ]
            table.add_row(f"{banks} x {dies} = {banks * dies}", *cells)
        console.print(table)
        console.print(f"least: {least:.4f}")
    write_json(
        json,
        {
            "least_ratio": least,
            "points": [
                {
                    "tr_us": tr_us,
                    "banks": banks,
                    "dies": dies,
                    "pattern": pattern,
                    "utilisation": one.utilisation,
                    "bound": one.bound,
                    "ratio": one.ratio,
                    "stalls": {name.lower(): count for name, count in one.stalls.items()},
                }
                for (tr_us, banks, dies), pair in sorted(measured.items())
                for pattern, one in zip(SWEPT, pair, strict=True)
            ],
        },
    )
    if least < LEAST_RATIO:
        raise typer.Exit(1)


def _point(config: Config, seed: int, tr_us: float, banks: int, dies: int) -> list[StreamMeasure]:
    settings = one_channel(config, "slice", tr_us, banks, dies)
    return [measure_stream(FlashStream(settings, pattern, seed=seed)) for pattern in SWEPT]
