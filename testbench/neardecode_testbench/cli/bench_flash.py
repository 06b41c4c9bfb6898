"""neardecode bench flash: a channel's bandwidth, and its faults."""

from collections import Counter
from typing import Annotated

import typer
from rich.progress import track
from rich.table import Table

from neardecode.config import Config, load
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.flash_soak import soak_controllers
from neardecode_testbench.cli.flash_sweep import Port, one_channel, sweep_channels
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.scenarios.flash.campaign import KINDS, Trial, run_trial
from neardecode_testbench.scenarios.flash.host_stream import HostStream, measure_host_stream
from neardecode_testbench.scenarios.flash.soak import VARIANTS
from neardecode_testbench.scenarios.flash_stream import (
    FlashStream,
    Pattern,
    StreamMeasure,
    measure_stream,
)

TERABYTE = 1e12


@commands.command()
def flash(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "hbf16",
    tr_us: Annotated[
        float | None, typer.Option(min=0.001, help="tR in microseconds, in place of its.")
    ] = None,
    banks: Annotated[int | None, typer.Option(min=1, help="Banks a die, in place of its.")] = None,
    dies: Annotated[int | None, typer.Option(min=1, help="Dies, in place of its.")] = None,
    pattern: Annotated[Pattern, typer.Option(help="Which pages are read.")] = "sequential",
    port: Annotated[
        Port, typer.Option(help="Whose: the MAC slice's pages, or the host's AXI bursts.")
    ] = "slice",
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Instead, tR from 1 to 20 us by 1 to 64 banks times dies."),
    ] = False,
    faults: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Instead, N faults of each kind, one after another."),
    ] = None,
    soak: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Instead, at least N random transactions, checked."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is left to chance.")] = 1,
    json: JsonOption = None,
) -> None:
    """Measure how much of its bus a flash channel fills, against the bound of its banks.

    One channel is simulated with its core dies; reads are as fast as it gives them, and whole
    rounds over its banks are counted after some that are not. With `--faults` the whole
    controller, host's port and all, is made to fail in every way that it knows, and everything
    that it answers is compared with what it was told to keep.

    Example: `neardecode bench flash --tr-us 4 --banks 16 --dies 4 --json flash.json`

    Example: `neardecode bench flash --config hbf-channel --port host --tr-us 1 --banks 8 --dies 1`

    With `--sweep` sequential and weight streams are measured over tR and banks, on every core.

    Example: `neardecode bench flash --sweep --json sweep.json`

    Example: `neardecode bench flash --faults 100`

    With `--soak` whole controllers get random traffic, and every answer is compared with a model
    of the specification; a difference ends with exit code 1.

    Example: `neardecode bench flash --soak 100000`
    """
    check_writable(json)
    quiet = json is not None and str(json) == "-"
    if soak is not None:
        soak_controllers(soak, seed, quiet, json)
        return
    if faults is not None:
        _campaign(faults, seed, quiet, json)
        return
    if sweep:
        sweep_channels(load(config), seed, quiet, json)
        return
    settings = one_channel(load(config), port, tr_us, banks, dies)
    channels = load(config).flash.channels
    if port == "host" and pattern != "sequential":
        raise InputError("the host's bursts are sequential: leave --pattern out")
    try:
        measured = (
            measure_host_stream(HostStream(settings))
            if port == "host"
            else measure_stream(FlashStream(settings, pattern, seed=seed))
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    flash_ = settings.flash
    peak = channels * flash_.beat_bytes * settings.clock_ghz * 1e9
    stops = flash_.banks * flash_.page_bytes * channels / TERABYTE * 1e6
    if not quiet:
        console.print(_stream_table(settings, pattern, measured))
        console.print(
            f"{channels} such channels: {measured.utilisation * peak / TERABYTE:.3f} TB/s,"
            f" peak {peak / TERABYTE:.3f} TB/s;"
            + (f" 1 TB/s up to a tR of {stops:.2f} us" if peak >= TERABYTE else " 1 TB/s at no tR")
        )
    write_json(
        json,
        {
            "config": config,
            "port": port,
            "pattern": pattern,
            "tr_us": flash_.sense_ns / 1000,
            "tr_cycles": settings.sense_cycles,
            "banks": flash_.banks_a_die,
            "dies": flash_.dies,
            "page_beats": flash_.page_beats,
            "utilisation": measured.utilisation,
            "bound": measured.bound,
            "ratio": measured.ratio,
            "cycles": measured.cycles,
            "total_cycles": measured.total_cycles,
            "busy": measured.stalls["BUSY"],
            "stalls": {
                cause.lower(): count for cause, count in measured.stalls.items() if cause != "BUSY"
            },
            "channels": channels,
            "tbs": measured.utilisation * peak / TERABYTE,
            "peak_tbs": peak / TERABYTE,
            "tr_us_at_1_tbs": stops if peak >= TERABYTE else None,
        },
    )


def _stream_table(config: Config, pattern: str, measured: StreamMeasure) -> Table:
    flash_ = config.flash
    table = Table(
        title=f"{pattern} pages, {flash_.dies} dies of {flash_.banks_a_die} banks,"
        f" tR {flash_.sense_ns / 1000:g} us = {config.sense_cycles:,} cycles",
        title_justify="left",
    )
    for column in ("utilisation", "bound", "ratio", "cycles by cause"):
        table.add_column(column, justify="left" if column == "cycles by cause" else "right")
    causes = sorted(measured.stalls.items(), key=lambda item: -item[1])
    table.add_row(
        f"{measured.utilisation:.4f}",
        f"{measured.bound:.4f}",
        f"{measured.ratio:.4f}",
        "  ".join(
            f"{cause.lower()} {count:,} ({count / measured.total_cycles:.1%})"
            for cause, count in causes
            if count
        ),
    )
    return table


def _campaign(count: int, seed: int, quiet: bool, json) -> None:
    """Runs the fault campaign; ends with an error if anything was not as it must be."""
    config = VARIANTS["correction"].config
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    injected: Counter[str] = Counter()
    wrong: list[str] = []
    trials = [(kind, seed + number) for kind in KINDS for number in range(count)]
    for kind, trial_seed in track(trials, "Faults", console=console, disable=quiet):
        result = run_trial(Trial(config, kind, trial_seed))
        outcomes[kind] += result.outcomes
        injected[kind] += result.injected
        wrong += [f"{line} (seed {trial_seed})" for line in result.wrong]
    if not quiet:
        table = Table(title="What came of every fault", title_justify="left")
        for column in ("kind", "faults", "what came of it"):
            table.add_column(column, justify="right" if column == "faults" else "left")
        for kind, counts in outcomes.items():
            table.add_row(
                kind,
                str(injected[kind]),
                "  ".join(f"{what} {number}" for what, number in sorted(counts.items())),
            )
        console.print(table)
        console.print(f"{len(wrong)} answers that the specification does not permit")
    write_json(
        json,
        {
            "seed": seed,
            "faults": dict(injected),
            "outcomes": {kind: dict(counts) for kind, counts in outcomes.items()},
            "wrong": wrong,
        },
    )
    if wrong:
        raise InputError(wrong[0])
