"""neardecode verilog: the hardware as SystemVerilog."""

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from amaranth.lib import wiring
from amaranth.utils import ceil_log2

from neardecode.chip import Chip, counter_names
from neardecode.compute.slice import MacSlice
from neardecode.config import Config, load
from neardecode.fabric.router import Router
from neardecode.flash.channel import FlashChannel
from neardecode.lib.flit import FlitLayout
from neardecode.verilog import to_verilog
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.drive.design import write_atomically


def _router(config: Config) -> Router:
    ends = config.flash.channels + 1
    return Router(
        FlitLayout(config.fabric.payload_bits, ends),
        routes=range(ends),
        ports=ends,
        buffer_flits=config.fabric.buffer_flits,
        output_credits=config.fabric.buffer_flits,
    )


BLOCKS: dict[str, Callable[[Config], wiring.Component]] = {
    "chip": Chip,
    "flash_channel": lambda config: FlashChannel(config.flash),
    "mac_slice": lambda config: MacSlice(config, ceil_log2(config.flash.pages)),
    "router": _router,
}


@app.command()
def verilog(
    block: Annotated[str, typer.Argument(help=f"One of: {', '.join(BLOCKS)}.")] = "chip",
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: BLOCK.sv.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Write a block as SystemVerilog; with the chip goes the map of its counters.

    Example: `neardecode verilog flash_channel --config hbf16 -o channel.sv`
    """
    if block not in BLOCKS:
        raise InputError(f"{block}: no such block; known: {', '.join(BLOCKS)}")
    path = output or Path(f"{block}.sv")
    check_writable(path, json)
    settings = load(config)
    text = to_verilog(BLOCKS[block](settings), block)
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
