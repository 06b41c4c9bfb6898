"""neardecode area: what a block costs."""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from neardecode.config import Config, load
from neardecode_synth.area import synthesise
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.blocks import BLOCKS, make_block
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json


@app.command()
def area(
    block: Annotated[str, typer.Argument(help=f"One of: {', '.join(BLOCKS)}.")],
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="In its place, as TOML; may be repeated."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Count a block's gates and flip-flops with Yosys.

    Example: `neardecode area router --config tiny`

    Example: `neardecode area mac_slice --config hbf16 --set 'compute.formats=["Q4_0"]'`
    """
    check_writable(json)
    component = make_block(block, _changed(load(config), changes or []))
    quiet = json is not None and str(json) == "-"
    result = synthesise(component)
    if not quiet:
        table = Table(
            title=", ".join([block, f"configuration {config}", *(changes or [])]),
            title_justify="left",
        )
        table.add_column("what")
        table.add_column("count", justify="right")
        for cell, count in result.gates.items():
            table.add_row(cell.strip("$_"), f"{count:,}")
        table.add_row("flip-flops", f"{result.flip_flops:,}")
        table.add_row("of them with an enable", f"{result.enabled_flip_flops:,}")
        table.add_row("SRAM bits", f"{result.sram_bits:,}")
        table.add_row("logic, kGE", f"{result.logic_ge / 1000:,.1f}")
        table.add_row(
            "logic and flip-flops, kGE",
            f"{result.low_ge / 1000:,.1f} to {result.high_ge / 1000:,.1f}",
        )
        console.print(table)
    write_json(
        json,
        {
            "block": block,
            "config": config,
            "set": changes or [],
            "gates": result.gates,
            "flip_flops": result.flip_flops,
            "enabled_flip_flops": result.enabled_flip_flops,
            "sram_bits": result.sram_bits,
            "logic_ge": result.logic_ge,
            "low_ge": result.low_ge,
            "high_ge": result.high_ge,
        },
    )


def _changed(config: Config, changes: list[str]) -> Config:
    """A configuration with some of its keys in place of its own."""
    tables = config.model_dump(exclude_none=True)
    for change in changes:
        try:
            _merge(tables, tomllib.loads(change))
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"--set {change}: not TOML: {error}") from None
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise InputError(f"--set {key}: {first['msg'].removeprefix('Value error, ')}") from None


def _merge(tables: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Puts keys into tables within tables."""
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(tables.get(key), dict):
            _merge(tables[key], value)
        else:
            tables[key] = value
