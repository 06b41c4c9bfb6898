"""neardecode config: show and check configurations."""

import sys
from typing import Annotated

import typer

from neardecode.config import PRESETS, Config, dumps, load
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.output import JsonOption, console, write_json

commands = typer.Typer(
    help=f"Show or check a configuration. Presets: {', '.join(PRESETS)}.", no_args_is_help=True
)
app.add_typer(commands, name="config")

Source = Annotated[str, typer.Argument(metavar="PRESET|FILE", help="A preset or a TOML file.")]


def _derived(config: Config) -> dict[str, float]:
    return {
        "bandwidth_gbs": config.bandwidth_gbs,
        "capacity_gib": config.flash.channels
        * config.flash.pages
        * config.flash.page_bytes
        / 2**30,
        "sense_cycles": config.sense_cycles,
        "utilisation_bound": config.utilisation_bound,
    }


@commands.command()
def show(source: Source = "demo", json: JsonOption = None) -> None:
    """Print a configuration as TOML, every key written out.

    Example: `neardecode config show hbf16 > mine.toml`
    """
    config = load(source)
    if json is None:
        sys.stdout.write(dumps(config))
    write_json(json, {**config.model_dump(exclude_none=True), "derived": _derived(config)})


@commands.command()
def check(source: Source, json: JsonOption = None) -> None:
    """Check a configuration and print what follows from it.

    Example: `neardecode config check mine.toml`
    """
    derived = _derived(load(source))
    if json is None or str(json) != "-":
        console.print(
            f"{source}: valid; {derived['bandwidth_gbs']:.1f} GB/s,"
            f" {derived['capacity_gib']:g} GiB, tR {derived['sense_cycles']} cycles, a read stream"
            f" fills at most {derived['utilisation_bound']:.1%} of the bus",
            soft_wrap=True,
        )
    write_json(json, {"source": source, "valid": True, **derived})
