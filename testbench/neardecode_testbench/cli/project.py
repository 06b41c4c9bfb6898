"""neardecode project: any model on any configuration, by the model of the decoder."""

from typing import Annotated, Any

import typer
from rich.table import Table

from neardecode.config import BlockFormat, load
from neardecode_synth.energy import energies
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.changes import SetOption, changed
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.cli.validate import validated
from neardecode_testbench.model.fit import fit
from neardecode_testbench.model.project import Projection, project
from neardecode_testbench.model.shapes import SHAPES, load_shape

__all__ = ["projected"]


@app.command(name="project")
def project_command(
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL|FILE", help=f"A GGUF or config.json file, or: {', '.join(SHAPES)}."
        ),
    ] = "smollm2-135m",
    config: Annotated[
        str, typer.Option(metavar="PRESET|FILE", help="Configuration of a chip.")
    ] = "decoder-demo",
    changes: SetOption = None,
    chips: Annotated[int, typer.Option(min=1, max=64, help="Chips that share the model.")] = 1,
    context: Annotated[int, typer.Option(min=1, help="Tokens that are attended to.")] = 2048,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Blocks of the weights; by default its own."),
    ] = None,
    hop_ns: Annotated[
        float | None, typer.Option(min=0, help="Of a link between chips, each way.")
    ] = None,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate", help="Hold the model against the RTL, of configurations by chance."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of what --validate draws.")] = 1,
    points: Annotated[int, typer.Option(min=1, max=1000, help="How many it draws.")] = 40,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes of --validate; by default one a core.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Say how long a token takes, what it takes at least, and where the time goes.

    The bound is what memories must carry. The model walks the decoder's program and lays every
    unit's work out in time. With `--validate` it is held against the RTL instead, and the command
    fails where it is further off than it may be.

    Example: `neardecode project --model llama-2-70b --config hbf16 --chips 4 --context 32768`

    Example: `neardecode project --validate --seed 1 --points 40 --json errors.json`
    """
    check_writable(json)
    if validate:
        result = validated(seed, points, jobs, quiet=str(json) == "-")
        write_json(json, result.table())
        if not result.holds:
            raise typer.Exit(1)
        return
    if weights is not None and weights not in BlockFormat.__members__:
        raise InputError(f"--weights must be one of {', '.join(BlockFormat.__members__)}")
    result = projected(model, config, changes or [], chips, context, weights, hop_ns)
    table = result_table(result)
    if json is None or str(json) != "-":
        _print(result, table)
    request = {
        "model": model,
        "config": config,
        "set": changes or [],
        "chips": chips,
        "context": context,
        "weights": weights,
        "hop_ns": hop_ns,
    }
    write_json(json, {"config": config, "request": request, **table})


def projected(
    model: str,
    config: str,
    changes: list[str],
    chips: int,
    context: int,
    weights: str | None = None,
    hop_ns: float | None = None,
) -> Projection:
    """A projection by names.

    Raises:
        ConfigError, InputError: in one line.
    """
    settings = changed(load(config), changes)
    kind = None if weights is None else BlockFormat[weights]
    return project(fit(load_shape(model), settings, context, chips, kind), context, hop_ns)


def result_table(result: Projection) -> dict[str, Any]:
    """A projection for machines, with its energy."""
    parts = energies(result.bits)
    energy = {key: sum(getattr(part, key) for part in parts) for key in ("low", "middle", "high")}
    return {**result.table(), "energy_a_token": energy}


def _print(result: Projection, table: dict[str, Any]) -> None:
    fitted, bound = result.fitted, result.bound
    of = "" if fitted.chips == 1 else f", {fitted.chips} chips"
    console.print(f"{fitted.shape.name}{of}, a token that attends to {result.rows:,}\n")
    for line in fitted.assumed:
        console.print(f"assumed: {line}", style="dim", highlight=False)
    lines = Table(title="Cycles of a token", title_justify="left")
    lines.add_column("what")
    lines.add_column("cycles", justify="right")
    lines.add_column("share", justify="right")
    for cause, cycles in sorted(result.causes.items(), key=lambda item: -item[1]):
        lines.add_row(cause, f"{cycles:,.0f}", f"{cycles / result.cycles:.2%}")
    lines.add_row("of busy, slices waited for flash", f"{result.memory:,.0f}", "")
    lines.add_row("all", f"{result.cycles:,.0f}", "")
    console.print(lines)
    kept = "the flash behind them" if fitted.config.kv.placement == "flash" else "the vaults' TSVs"
    limits = {"sense": "tR and banks", "bus": "the channels' buses", "kv": kept}
    energy = table["energy_a_token"]
    for line in (
        f"bound      {bound.cycles:,.0f} cycles, set by {limits[bound.limit]};"
        f" {bound.flash_bytes / 1e9:.3f} GB of weights and {bound.kv_bytes / 1e9:.3f} GB of keys"
        " and values a chip",
        f"model      {result.cycles:,.0f} cycles, {result.bound_ratio:.4f} of the bound:"
        f" {result.tokens_a_second:,.1f} tokens a second at {fitted.config.clock_ghz:g} GHz",
        f"energy     {energy['middle'] * 1e3:,.3f} mJ ({energy['low'] * 1e3:,.3f} to"
        f" {energy['high'] * 1e3:,.3f}), memories and links alone",
        f"walked     {result.walked[0]} of {fitted.shape.layers} layers,"
        f" {result.walked[1]:,} of {result.rows:,} tokens of context; the rest in proportion",
    ):
        console.print(line, highlight=False, soft_wrap=True)
