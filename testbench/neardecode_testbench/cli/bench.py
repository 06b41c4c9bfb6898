"""neardecode bench: measurements."""

from dataclasses import replace
from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from neardecode.config import load
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.devices.board import Board
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.scenarios.load import ScoreLoad

commands = typer.Typer(help="Measure the simulators and the hardware.", no_args_is_help=True)
app.add_typer(commands, name="bench")

RUNS = 3


@commands.callback()
def _group() -> None:
    """Measure the simulators and the hardware."""


@commands.command()
def native(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    positions: Annotated[int, typer.Option(min=1, help="Keys a KV head.")] = 64,
    json: JsonOption = None,
) -> None:
    """Compare the native runner's speed with that of Amaranth's simulator.

    Both run the same board on the same stimulus, nothing watched and nothing compared; building
    is not counted. The medians of three runs are compared.

    Example: `neardecode bench native --json native.json`
    """
    check_writable(json)
    settings = load(config)
    design = Design(Board, (settings,))
    shape, _ = random_model(1)
    # Long enough to time on the fast one, short enough to wait for on the slow one.
    load_once = ScoreLoad(settings, shape, positions, repeats=1)
    repeats: dict[Backend, int] = {"native": 200, "amaranth": 1}
    quiet = json is not None and str(json) == "-"
    rates: dict[str, list[float]] = {}
    cycles: dict[str, int] = {}
    for backend, count in repeats.items():
        for index in range(RUNS):
            if not quiet:
                console.print(f"{backend}: run {index + 1} of {RUNS}")
            run = simulate(design, replace(load_once, repeats=count), backend)
            rates.setdefault(backend, []).append(run.cycles / run.seconds)
            cycles[backend] = run.cycles
    medians = {backend: median(values) for backend, values in rates.items()}
    ratio = medians["native"] / medians["amaranth"]
    if not quiet:
        table = Table(title=f"Board {config}: cycles a second, median of {RUNS}")
        for column in ("simulator", "cycles", "cycles a second"):
            table.add_column(column, justify="right")
        for backend, value in medians.items():
            table.add_row(backend, f"{cycles[backend]:,}", f"{value:,.0f}")
        console.print(table)
        console.print(f"native is {ratio:,.0f} times as fast")
    write_json(
        json,
        {
            "config": config,
            "cycles": cycles,
            "cycles_a_second": medians,
            "runs": rates,
            "ratio": ratio,
        },
    )
