"""neardecode bench stack: a vault's bandwidth, its TSVs, its heat."""

from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.progress import track
from rich.table import Table

from neardecode.config import Config, load
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.devices.vault_bench import VaultBench
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.stack_lanes import (
    LaneTrial,
    single_lanes,
    spare_lanes,
    worn_lanes,
)
from neardecode_testbench.scenarios.stack_stream import (
    Pattern,
    StackMeasure,
    StackStream,
    measure_stack,
)

TERABYTE = 1e12
ROWS = 1024
"""Pages of a bank while it is measured: enough that random beats hardly ever share a row."""
RANDOM_TRIALS = 200
HEAT_TIME_US = 10.0
"""Time constant of a run that heats: the node then settles within it."""


@commands.command()
def stack(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "stack",
    pattern: Annotated[Pattern, typer.Option(help="What is read and written.")] = "stream",
    refresh: Annotated[
        Literal["all-bank", "by-bank"] | None, typer.Option(help="In place of its own.")
    ] = None,
    read_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the beats that are read.")
    ] = 1.0,
    intervals: Annotated[int, typer.Option(min=1, help="Refresh intervals measured.")] = 8,
    heat: Annotated[
        float | None,
        typer.Option(metavar="C", help="Let it heat, from this ambient temperature."),
    ] = None,
    lanes: Annotated[
        bool, typer.Option("--lanes", help="Instead, make TSVs stick, one set after another.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is left to chance.")] = 1,
    json: JsonOption = None,
) -> None:
    """Measure how many beats a DRAM vault moves, against the bound of its timings.

    One vault is simulated with its DRAM, whose checker refuses any command that comes too early,
    and every beat is compared. Whole refresh intervals are counted, after some that are not.

    Example: `neardecode bench stack --refresh all-bank --json stack.json`

    Example: `neardecode bench stack --config stack-3tbs --pattern random`

    With `--heat` the vault warms up as it works, from the ambient temperature given: above 85 C it
    refreshes twice as often, above its threshold its reader is slowed. The time constant is
    shortened to 10 us, so that it settles.

    Example: `neardecode bench stack --heat 80`

    With `--lanes` each TSV sticks alone, then as many as there are spares, then one more.

    Example: `neardecode bench stack --lanes`
    """
    check_writable(json)
    quiet = json is not None and str(json) == "-"
    given = load(config)
    settings = _settings(given, refresh, heat)
    if lanes:
        _campaign(settings, seed, quiet, json)
        return
    stack_, cycles = settings.stack, settings.stack_cycles
    assert stack_ is not None
    assert given.stack is not None
    tsvs = given.stack.tsvs
    constants = settings.stack_heat if heat is not None else None
    stream = StackStream(stack_, cycles, pattern, read_share, intervals, constants, seed)
    try:
        measured = measure_stack(stream)
    except (CheckError, ValueError) as error:
        raise InputError(str(error)) from None
    vaults = stack_.vaults
    peak = vaults * stack_.beat_bytes * settings.clock_ghz * 1e9 / TERABYTE
    if not quiet:
        console.print(_table(settings, pattern, measured))
        console.print(
            f"{vaults} such vaults: {measured.utilisation * peak:.3f} TB/s,"
            f" peak {peak:.3f} TB/s, over {tsvs:,} signal TSVs"
        )
        if measured.temperature_c is not None:
            events, total = measured.events, sum(measured.causes.values())
            console.print(
                f"{measured.temperature_c:.1f} C at the end; refresh at twice the rate in"
                f" {events['HOT'] / total:.1%} of the cycles; the reader rested in"
                f" {events['THROTTLED'] / total:.1%}, at the end {measured.throttle} of 16"
            )
    write_json(
        json,
        {
            "config": config,
            "pattern": pattern,
            "refresh": stack_.refresh,
            "read_share": read_share,
            "utilisation": measured.utilisation,
            "bound": measured.bound,
            "ratio": measured.ratio,
            "cycles": measured.cycles,
            "causes": {cause.lower(): count for cause, count in measured.causes.items()},
            "events": {event.lower(): count for event, count in measured.events.items()},
            "vaults": vaults,
            "tsvs": tsvs,
            "tbs": measured.utilisation * peak,
            "peak_tbs": peak,
            "temperature_c": measured.temperature_c,
            "throttle": measured.throttle,
        },
    )


def _settings(config: Config, refresh: str | None, ambient: float | None) -> Config:
    """A configuration with what was given by hand, its vaults as small as a measurement needs."""
    if config.stack is None:
        raise InputError("stack: this configuration has none; try the preset stack")
    tables = config.model_dump(exclude_none=True)
    tables["stack"]["pages_a_bank"] = ROWS
    if refresh is not None:
        tables["stack"]["refresh"] = refresh
    if ambient is not None:
        tables["stack"].setdefault("heat", {})
        tables["stack"]["heat"] |= {"ambient_c": ambient, "time_constant_us": HEAT_TIME_US}
    # Validated anew, for what was given by hand.
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _table(config: Config, pattern: str, measured: StackMeasure) -> Table:
    stack_ = config.stack
    assert stack_ is not None
    table = Table(
        title=f"{pattern}, {stack_.banks} banks in {stack_.bank_groups} groups, refresh"
        f" {stack_.refresh}, {config.clock_ghz:g} GHz",
        title_justify="left",
    )
    for column in ("beats a cycle", "bound", "ratio", "cycles by cause"):
        table.add_column(column, justify="left" if column == "cycles by cause" else "right")
    total = sum(measured.causes.values())
    causes = sorted(measured.causes.items(), key=lambda item: -item[1])
    table.add_row(
        f"{measured.utilisation:.4f}",
        f"{measured.bound:.4f}",
        f"{measured.ratio:.4f}",
        "  ".join(
            f"{cause.lower()} {count:,} ({count / total:.1%})" for cause, count in causes if count
        ),
    )
    return table


def _campaign(config: Config, seed: int, quiet: bool, json) -> None:
    """Makes TSVs stick; a wrong bit or a wrong report is an error."""
    assert config.stack is not None
    stack_ = config.stack.model_copy(update={"pages_a_bank": 16})
    cycles = config.stack_cycles
    design = Design(VaultBench, (stack_, cycles, None))
    kinds = {
        "each lane alone": (list(single_lanes(stack_)), True),
        "all spares used": (list(spare_lanes(stack_, RANDOM_TRIALS, seed)), True),
        "one more": (list(worn_lanes(stack_, RANDOM_TRIALS, seed)), False),
    }
    for name, (sets, repairable) in kinds.items():
        for stuck, value in track(sets, name, console=console, disable=quiet):
            trial = LaneTrial(stack_, cycles, stuck, value, repairable, seed=seed)
            try:
                simulate(design, trial, "native")
            except CheckError as error:
                raise InputError(str(error)) from None
    if not quiet:
        table = Table(title=f"{stack_.lanes} data TSVs a vault", title_justify="left")
        for column in ("stuck", "times", "what came of it"):
            table.add_column(column, justify="right" if column == "times" else "left")
        for name, (sets, repairable) in kinds.items():
            outcome = (
                "repaired, no wrong bit"
                if repairable
                else "reported, the vault retired, its DRAM untouched"
            )
            table.add_row(name, str(len(sets)), outcome)
        console.print(table)
    write_json(
        json,
        {
            "lanes": stack_.lanes,
            "groups": stack_.repair.groups,
            "spares": stack_.repair.spares,
            "trials": {name: len(sets) for name, (sets, _) in kinds.items()},
            "wrong": 0,
        },
    )
