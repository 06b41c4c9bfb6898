"""neardecode bench mac: how much of its memory's rate a slice takes."""

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Table

from neardecode.config import BlockFormat, load
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.devices.page_memory import RATE_CYCLES
from neardecode_testbench.drive.backends import BACKENDS, Backend
from neardecode_testbench.scenarios.blocks.mac_numbers import ZERO_PATTERNS, ZeroPattern
from neardecode_testbench.scenarios.mac_load import SliceLoad, SliceMeasure, measure_slice
from neardecode_testbench.scenarios.mac_shapes import (
    MODES,
    PATTERNS,
    SHAPES,
    LoadMode,
    LoadPattern,
    layer_jobs,
    slice_config,
)

LARGEST_UTILISATION = 1.0001


@commands.command()
def mac(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "hbf16",
    model: Annotated[str, typer.Option(help=f"One of: {', '.join(SHAPES)}.")] = "smollm2",
    mode: Annotated[LoadMode, typer.Option(help=f"One of: {', '.join(MODES)}.")] = "dot",
    block_format: Annotated[
        str,
        typer.Option(
            "--format", help=f"Of the matrices, one of: {', '.join(f.name for f in BlockFormat)}."
        ),
    ] = "Q4_1",
    rows: Annotated[
        int, typer.Option(min=1, help="Most rows of a matrix, and tokens of a KV head.")
    ] = 512,
    vectors: Annotated[int, typer.Option(min=1, max=8, help="Vectors a beat.")] = 1,
    rate: Annotated[
        int, typer.Option(min=1, max=RATE_CYCLES, help="Beats of the memory in 16 cycles.")
    ] = RATE_CYCLES,
    throttle: Annotated[
        int, typer.Option(min=0, max=RATE_CYCLES - 1, help="Of 16 cycles, taken away for heat.")
    ] = 0,
    divider: Annotated[
        int | None, typer.Option(help="The slice moves in one of so many cycles: 1, 2 or 4.")
    ] = None,
    pattern: Annotated[
        LoadPattern, typer.Option(help=f"Of keys and values, one of: {', '.join(PATTERNS)}.")
    ] = "dense",
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Of their pages, drawn: those that are read.")
    ] = 0.25,
    zero_blocks: Annotated[
        float, typer.Option(min=0, max=1, help="Of the matrices' blocks, those that are zero.")
    ] = 0.0,
    zeros: Annotated[
        ZeroPattern, typer.Option(help=f"How they lie, one of: {', '.join(ZERO_PATTERNS)}.")
    ] = "blocks",
    skip_zeros: Annotated[
        bool, typer.Option("--skip-zeros", help="Pages leave beats of zeros out.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is left to chance.")] = 1,
    backend: Annotated[Backend, typer.Option(help=f"One of: {', '.join(BACKENDS)}.")] = "native",
    json: JsonOption = None,
) -> None:
    """Measure how many of the beats that a memory could give a MAC slice takes.

    A slice does its share of one layer of a model, every value compared with the reference: `dot`
    multiplies its matrices, `accumulate` adds up the values of four KV heads, `attention` takes
    their keys and values in turn. The window reaches from the first beat taken to the last.

    Example: `neardecode bench mac --model llama-7b --format Q4_0 --rows 64 --json mac.json`

    Example: `neardecode bench mac --zero-blocks 0.9 --zeros groups --skip-zeros`

    Example: `neardecode bench mac --mode attention --rows 4096 --pattern random-pages --share 0.1`
    """
    check_writable(json)
    if model not in SHAPES:
        raise InputError(f"--model {model}: no such model; known: {', '.join(SHAPES)}")
    if block_format not in BlockFormat.__members__:
        raise InputError(
            f"--format {block_format}: no such format; known: {', '.join(BlockFormat.__members__)}"
        )
    if pattern != "dense" and mode == "dot":
        raise InputError("--pattern: the matrices' pages all matter; give --mode with it")
    if (zero_blocks or skip_zeros) and mode != "dot":
        option = "--zero-blocks" if zero_blocks else "--skip-zeros"
        raise InputError(f"{option}: keys and values are drawn without; give --mode dot")
    settings = load(config)
    if divider is not None:
        tables = settings.model_dump()
        tables["compute"]["clock_divider"] = divider
        settings = _validated(type(settings).model_validate, tables)
    shape, format_ = SHAPES[model], BlockFormat[block_format]
    settings = _validated(
        slice_config, settings, mode, format_, shape, vectors, pattern, skip_zeros=skip_zeros
    )
    jobs = layer_jobs(
        settings, mode, format_, shape, rows, pattern, share, zero_blocks, zeros, seed
    )
    for job in jobs:
        if job.rows > settings.compute.rows or job.blocks > settings.compute.blocks_a_row:
            raise InputError(
                f"--config {config}: a command of {job.rows} rows of {job.blocks} blocks is more"
                f" than compute.rows, {settings.compute.rows}, or compute.blocks_a_row,"
                f" {settings.compute.blocks_a_row}"
            )
    measured = measure_slice(SliceLoad(settings, jobs, rate, throttle, seed), backend)
    if not 0 < measured.utilisation <= LARGEST_UTILISATION:
        raise InputError(f"measured a utilisation of {measured.utilisation}, which cannot be")
    quiet = json is not None and str(json) == "-"
    what = block_format if mode == "dot" else "MXINT8"
    if not quiet:
        _print(f"{model}, {mode}, {what}, {vectors} vectors, {pattern}", len(jobs), measured)
    write_json(
        json,
        {
            "config": config,
            "model": model,
            "mode": mode,
            "format": what,
            "vectors": vectors,
            "pattern": pattern,
            "zeros": zeros,
            "skip_zeros": skip_zeros,
            "rate": rate / RATE_CYCLES,
            "throttle": throttle,
            "clock_divider": settings.compute.clock_divider,
            "commands": len(jobs),
            **{key: value for key, value in vars(measured).items() if key != "cycles"},
            "stalls": {
                cause.lower(): count
                for cause, count in measured.cycles.items()
                if cause not in ("BUSY", "SCALES", "TAIL")
            },
            "beats_by_kind": {
                kind.lower(): measured.cycles[kind] for kind in ("BUSY", "SCALES", "TAIL")
            },
        },
    )


def _validated(make, *arguments, **options):
    """A configuration, or one line that says what does not fit."""
    try:
        return make(*arguments, **options)
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _print(title: str, jobs: int, measured: SliceMeasure) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    causes = "  ".join(
        f"{cause.lower()} {count:,}"
        for cause, count in sorted(measured.cycles.items(), key=lambda item: -item[1])
        if count
    )
    for what, figure in (
        ("commands", f"{jobs:,}"),
        ("values compared", f"{measured.values:,}"),
        ("beats taken", f"{measured.beats:,}"),
        ("beats that the memory could give", f"{measured.deliverable:,.0f}"),
        ("utilisation", f"{measured.utilisation:.4f}"),
        ("cycles of the window", f"{measured.window:,}"),
        ("cycles by the formula", f"{measured.formula:,.0f}"),
        ("beats of elements", f"{measured.busy_share:.2%}"),
        ("lane occupancy", f"{measured.lane_occupancy:.2%}"),
        ("of blocks that are not zero", f"{measured.useful_occupancy:.2%}"),
        (
            "blocks, of them zero, left out",
            f"{measured.blocks:,}, {measured.zero_blocks:,}, {measured.left_out:,}",
        ),
        (
            "beats of whole pages, to those taken",
            f"{measured.whole_beats:,}, {measured.whole_beats / measured.beats:.2f}",
        ),
        ("cycles by cause", causes),
    ):
        table.add_row(what, figure)
    console.print(table)
