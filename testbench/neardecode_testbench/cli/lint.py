"""neardecode lint: the Verilog of blocks under Verilator's lint."""

import os
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.area_blocks import Size
from neardecode_testbench.cli.blocks import BLOCKS, SMALL, BlocksArgument, check_blocks
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.cli.verilog import verilog_of
from neardecode_testbench.drive.lint import lint as warnings_of


@app.command()
def lint(
    blocks: BlocksArgument = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="PRESET|FILE", help="Configuration; by default a small one of each."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; by default one a core.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Write blocks as SystemVerilog and look for warnings of Verilator, of which any is an error.

    Without a block, all that `neardecode verilog` writes.

    Example: `neardecode lint`

    Example: `neardecode lint chip --config demo`
    """
    check_writable(json)
    names = blocks or list(BLOCKS)
    check_blocks(names)
    sizes = [Size(name, config) if config else Size(name, *SMALL[name]) for name in names]
    workers = min(jobs or os.cpu_count() or 1, len(sizes))
    if workers == 1:
        results = [_linted(size) for size in sizes]
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            results = list(pool.map(_linted, sizes))
    if json is None or str(json) != "-":
        table = Table(title="Verilator's lint", title_justify="left")
        for column in ("block", "modules", "ports", "warnings"):
            table.add_column(column, justify="left" if column == "block" else "right")
        for size, one in zip(sizes, results, strict=True):
            numbers = one["modules"], one["ports"], len(one["warnings"])
            table.add_row(size.title, *map(str, numbers))
        console.print(table)
    write_json(json, {"blocks": results})
    if found := [(one["name"], line) for one in results for line in one["warnings"]]:
        name, line = found[0]
        raise InputError(f"{name}: {line} ({len(found)} in all)")


def _linted(size: Size) -> dict[str, Any]:
    text = verilog_of(size.block, size.settings())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{size.block}.sv"
        path.write_text(text)
        warnings = warnings_of(path, size.block)
    return {
        "name": size.block,
        "parameters": size.parameters,
        "modules": len(re.findall(r"^module ", text, re.M)),
        "ports": len(re.findall(r"^//   (?:in|out)put ", text, re.M)),
        "warnings": warnings,
    }
