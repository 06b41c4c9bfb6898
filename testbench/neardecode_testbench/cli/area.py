"""neardecode area: what a block costs."""

from typing import Annotated

import typer
from rich.table import Table

from neardecode.config import load
from neardecode_synth.area import synthesise
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.blocks import BLOCKS, make_block
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json


@app.command()
def area(
    block: Annotated[str, typer.Argument(help=f"One of: {', '.join(BLOCKS)}.")],
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    json: JsonOption = None,
) -> None:
    """Count a block's gates and flip-flops with Yosys.

    Example: `neardecode area router --config tiny`
    """
    check_writable(json)
    component = make_block(block, load(config))
    quiet = json is not None and str(json) == "-"
    result = synthesise(component)
    if not quiet:
        table = Table(title=f"{block}, configuration {config}", title_justify="left")
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
            "gates": result.gates,
            "flip_flops": result.flip_flops,
            "enabled_flip_flops": result.enabled_flip_flops,
            "sram_bits": result.sram_bits,
            "logic_ge": result.logic_ge,
            "low_ge": result.low_ge,
            "high_ge": result.high_ge,
        },
    )
