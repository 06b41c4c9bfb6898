"""neardecode bench near: the same slice beside its memory and across the stack's edge."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.progress import track
from rich.table import Table

from neardecode.config import Config, load
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.drive.backends import BACKENDS, Backend
from neardecode_testbench.scenarios.near_load import (
    WORKS,
    NearLoad,
    NearMeasure,
    measure_near,
    near_config,
)

PRESETS = ("stack", "stack-3tbs")
SETTINGS = ((True, 1), (True, 2), (True, 4), (False, 1))
"""Near memory on or off, and the slice's clock; the first is what the others are compared with."""


@commands.command()
def near(
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRESET|FILE",
            help=f"Configuration; may be repeated. By default: {', '.join(PRESETS)}.",
        ),
    ] = None,
    work: Annotated[
        list[str] | None,
        typer.Option(help=f"May be repeated. By default all: {', '.join(WORKS)}."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and activations.")] = 1,
    backend: Annotated[Backend, typer.Option(help=f"One of: {', '.join(BACKENDS)}.")] = "native",
    json: JsonOption = None,
) -> None:
    """Compare slices beside their memory with the same slices across the stack's edge.

    One vault does its share of the work with its share of the stack's pins, every value compared:
    with near memory at the full clock, at a half and at a quarter of it, and without, where every
    beat crosses the edge to a central array. Cycles are counted from the first command to the last
    value at the host; what a setting takes more than near memory at the full clock is told by the
    slice's causes, which add up to it.

    Example: `neardecode bench near --json near.json`

    Example: `neardecode bench near --config stack-3tbs --work "llama-7b weights"`
    """
    check_writable(json)
    for name in work or ():
        if name not in WORKS:
            raise InputError(f"--work {name}: no such work; known: {', '.join(WORKS)}")
    quiet = json is not None and str(json) == "-"
    loads = [
        (source, name, near_memory, divider, _load(source, name, near_memory, divider, seed))
        for source in config or PRESETS
        for name in work or WORKS
        for near_memory, divider in SETTINGS
    ]
    rows = []
    base: NearMeasure | None = None
    for source, name, near_memory, divider, load_ in track(
        loads, "Measuring", console=console, disable=quiet
    ):
        result = measure_near(load_, backend)
        if (near_memory, divider) == SETTINGS[0]:
            base = result
        assert base is not None
        rows.append(_row(source, name, near_memory, divider, load_.config, result, base))
    if not quiet:
        for source in config or PRESETS:
            console.print(_table(source, load(source), [r for r in rows if r["config"] == source]))
    write_json(json, {"seed": seed, "rows": rows})


def _load(source: str, name: str, near_memory: bool, divider: int, seed: int) -> NearLoad:
    """What is measured, or one line that says what does not fit."""
    try:
        settings = near_config(load(source), near_memory, divider)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"--config {source}: {message}") from None
    jobs = WORKS[name].jobs(settings)
    blocks = max(job.blocks for job in jobs)
    if blocks > settings.compute.blocks_a_row:
        raise InputError(
            f"--config {source}: rows of {blocks} blocks are more than compute.blocks_a_row,"
            f" {settings.compute.blocks_a_row}"
        )
    return NearLoad(settings, jobs, seed)


def _row(
    source: str,
    name: str,
    near_memory: bool,
    divider: int,
    config: Config,
    result: NearMeasure,
    base: NearMeasure,
) -> dict[str, Any]:
    """A line of the table, as JSON."""
    more = {cause: count - base.causes[cause] for cause, count in result.causes.items()}
    return {
        "config": source,
        "work": name,
        "near_memory": near_memory,
        "clock_divider": divider,
        "link_bits": config.off_stack_bits,
        "ports": config.ports,
        "bytes_in": result.bytes_in,
        "bytes_out": result.bytes_out,
        "bytes_ratio": (result.bytes_in + result.bytes_out) / (base.bytes_in + base.bytes_out),
        "cycles": result.cycles,
        "cycles_ratio": result.cycles / base.cycles,
        "bound": result.bound,
        "limit": result.limit,
        "pins_busy": result.pins["BUSY"] / result.cycles,
        "excess": result.cycles - base.cycles,
        "excess_by_cause": {cause.lower(): count for cause, count in more.items() if count},
        "causes": {cause.lower(): count for cause, count in result.causes.items()},
        "pins": {cause.lower(): count for cause, count in result.pins.items()},
        "values": result.values,
    }


def _table(source: str, config: Config, rows: list[dict[str, Any]]) -> Table:
    pins = config.off_stack
    table = Table(
        title=f"{source}: one of {config.ports} ports, {config.off_stack_bits} bits a cycle of the"
        f" edge for each ({pins.pins} pins of {pins.pin_gbit_s} Gb/s, {pins.bandwidth_gbs:,.1f}"
        " GB/s in all; the defaults are JEDEC JESD238's for HBM3)",
        title_justify="left",
    )
    table.add_column("work, slice")
    for column in ("bytes over the edge, in, out, ratio", "cycles, ratio", "pins busy"):
        table.add_column(column, justify="right")
    table.add_column("limit, share of its bound; cycles more, by cause")
    for row in rows:
        place = "near" if row["near_memory"] else "outside"
        clock = {1: "", 2: ", 1/2 clock", 4: ", 1/4 clock"}[row["clock_divider"]]
        more = sorted(row["excess_by_cause"].items(), key=lambda item: -abs(item[1]))
        causes = "  ".join(f"{cause} {count:+,}" for cause, count in more)
        table.add_row(
            f"{row['work']}\n{place}{clock}",
            f"{row['bytes_in']:,}\n{row['bytes_out']:,}\n{row['bytes_ratio']:.2f}",
            f"{row['cycles']:,}\n{row['cycles_ratio']:.2f}",
            f"{row['pins_busy']:.1%}",
            f"{row['limit']}, {row['bound'] / row['cycles']:.3f}"
            + (f"\n{row['excess']:+,}: {causes}" if more else ""),
            end_section=row is rows[-1] or not row["near_memory"],
        )
    return table
