"""neardecode verilog: the hardware as SystemVerilog."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from neardecode.chip import counter_names
from neardecode.config import Config, dumps, load
from neardecode.verilog import header, to_verilog
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.blocks import BLOCKS, make_block
from neardecode_testbench.cli.changes import SetOption, changed
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.drive.design import write_atomically

__all__ = ["verilog_of"]


@app.command()
def verilog(
    block: Annotated[str, typer.Argument(help=f"One of: {', '.join(BLOCKS)}.")] = "chip",
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    changes: SetOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: BLOCK.sv.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Write a block as SystemVerilog, parameters and ports above it.

    With the chip goes the map of its counters.

    Example: `neardecode verilog flash_channel --config hbf16 -o channel.sv`

    Example: `neardecode verilog mesh_router --set fabric.token_channels=2`
    """
    path = output or Path(f"{block}.sv")
    check_writable(path, json)
    settings = changed(load(config), changes or [])
    text = verilog_of(block, settings)
    write_atomically(path, text)
    results: dict = {"block": block, "file": str(path), "modules": text.count("\nmodule ")}
    if block == "chip":
        counters = path.with_suffix(".counters.json")
        names = counter_names(settings)
        write_atomically(counters, json_format.dumps(dict(enumerate(names)), indent=2) + "\n")
        results["counters"] = str(counters)
    if json is None or str(json) != "-":
        console.print(f"{path}: {results['modules']} modules", highlight=False)
    write_json(json, results)


def verilog_of(block: str, config: Config) -> str:
    """A block as SystemVerilog, parameters and ports above it.

    Raises:
        InputError: if there is no such block.
        ConfigError: if the configuration has not what the block needs.
    """
    component = make_block(block, config)
    return header(component, block, dumps(config)) + to_verilog(component, block)
