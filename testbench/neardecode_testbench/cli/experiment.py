"""neardecode experiment: the paper's questions, each one command."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from neardecode.config import load
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.explain import JobsOption
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.experiments.ablation import ablation_experiment
from neardecode_testbench.experiments.baseline import baseline_experiment
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.claims import Models, claims
from neardecode_testbench.experiments.near_overlap import near_overlap
from neardecode_testbench.experiments.outcome import Outcome
from neardecode_testbench.experiments.overlap import overlap
from neardecode_testbench.experiments.scaling import scaling_experiment
from neardecode_testbench.experiments.verdict import Claim
from neardecode_testbench.experiments.yields import yield_experiment
from neardecode_testbench.model.shapes import load_shape

commands = typer.Typer(help="Experiments of the paper, and what is claimed.", no_args_is_help=True)
app.add_typer(commands, name="experiment")

FEW = 3
"""Rows below which a table is turned."""

ConfigOption = Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration of a chip.")]
ContextOption = Annotated[int, typer.Option(min=1, help="Tokens that are attended to.")]


@commands.command()
def baseline(
    model: Annotated[str, typer.Option(metavar="MODEL|FILE")] = "llama-2-7b",
    config: ConfigOption = "hbf16",
    context: ContextOption = 4096,
    json: JsonOption = None,
) -> None:
    """Compare with a conventional accelerator: HBM beside a chip with all arithmetic.

    KV bandwidth, latency and power of one sequence. The accelerator is as fast as its pins.

    Example: `neardecode experiment baseline --model llama-2-7b --context 4096 --json base.json`
    """
    check_writable(json)
    _finish(baseline_experiment(Case(load_shape(model), load(config), 1, context), 1), json)


@commands.command()
def ablation(
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL|FILE", help="May be repeated.")
    ] = None,
    config: ConfigOption = "hbf16",
    context: Annotated[
        list[int] | None, typer.Option(min=1, help="Tokens attended to; may be repeated.")
    ] = None,
    rtl: Annotated[
        bool, typer.Option(help="Simulate a memory port beside it; needs a compiler.")
    ] = True,
    jobs: JobsOption = None,
    json: JsonOption = None,
) -> None:
    """Switch near memory off: the same flash and stack, every beat over their edges.

    Example: `neardecode experiment ablation --model llama-2-7b --context 4096 --json off.json`
    """
    check_writable(json)
    settings = load(config)
    cases = [
        Case(load_shape(name), settings, 1, rows)
        for name in model or ["llama-2-7b"]
        for rows in context or [4096]
    ]
    for case in cases:
        case.fitted()
    ports = near_overlap(settings) if rtl else []
    _finish(ablation_experiment(cases, jobs or os.cpu_count() or 1, ports), json)


@commands.command()
def scaling(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL|FILE", help="May be repeated. By default llama-2-13b and llama-2-70b."
        ),
    ] = None,
    config: ConfigOption = "hbf16",
    chips: Annotated[
        list[int] | None,
        typer.Option(min=1, max=64, help="May be repeated. By default 1, 2, 4 and 8."),
    ] = None,
    context: ContextOption = 4096,
    rtl: Annotated[
        bool, typer.Option(help="Decode a small model in RTL beside it; needs a compiler.")
    ] = True,
    jobs: JobsOption = None,
    json: JsonOption = None,
) -> None:
    """Share a model among chips, over the fabric's links and over a conventional switch.

    Example: `neardecode experiment scaling --model llama-2-13b --chips 1 --chips 8 --json s.json`
    """
    check_writable(json)
    settings = load(config)
    cases = [
        Case(load_shape(name), settings, count, context)
        for name in model or ["llama-2-13b", "llama-2-70b"]
        for count in sorted(set(chips or (1, 2, 4, 8)))
    ]
    processes = jobs or os.cpu_count() or 1
    for case in cases:
        case.fitted()
    # Each build of RTL has all cores already.
    small = overlap() if rtl else []
    _finish(scaling_experiment(cases, processes, small), json)


@commands.command("yield")
def yield_(
    config: ConfigOption = "stack",
    draws: Annotated[int, typer.Option(min=100, help="Stacks that are drawn for a row.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 1,
    json: JsonOption = None,
) -> None:
    """Give the share of good stacks against failing TSVs and spares, computed and drawn.

    Example: `neardecode experiment yield --draws 1000 --json yield.json`
    """
    check_writable(json)
    stack = load(config).stack
    if stack is None:
        raise InputError(f"--config {config}: has no stack")
    outcome = yield_experiment(stack, draws, seed)
    _finish(outcome, json)
    if not all(row["agrees"] for row in outcome.rows):
        raise InputError("the draws do not agree with the closed form")


@commands.command("claims")
def claims_(
    context: ContextOption = 2048,
    large: Annotated[str, typer.Option(help="Model with long matrices.")] = "llama-2-7b",
    joined: Annotated[str, typer.Option(help="Model that chips share.")] = "llama-2-13b",
    chips: Annotated[int, typer.Option(min=2, max=64, help="That share it.")] = 8,
    jobs: JobsOption = None,
    json: JsonOption = None,
) -> None:
    """Run what is claimed, and say of each: reproduced, not reproduced, or depends on what.

    A verdict is computed from figures and a stated criterion, at both ends of their ranges.

    Example: `neardecode experiment claims --json claims.json`
    """
    check_writable(json)
    models = replace(Models(), context=context, large=large, joined=joined, chips=chips)
    found = claims(models, jobs or os.cpu_count() or 1)
    if json is None or str(json) != "-":
        console.print(_claims_table(found))
        for claim in found:
            console.print(f"{claim.name}: {claim.because}", highlight=False, soft_wrap=True)
            for figure in claim.figures:
                line = f"  {figure.name}: {figure.text}; {figure.how}"
                console.print(line, style="dim", highlight=False, soft_wrap=True)
    write_json(json, {"claims": [claim.table() for claim in found]})


def _claims_table(found: list[Claim]) -> Table:
    table = Table(title="What is claimed, and what was found", title_justify="left")
    for column in ("claim", "by", "in the paper", "criterion", "found", "verdict"):
        table.add_column(column, overflow="fold")
    for claim in found:
        figures = "\n".join(figure.text for figure in claim.figures)
        row = (claim.text, claim.source, claim.in_paper, claim.criterion, figures, claim.verdict)
        table.add_row(*row, end_section=True)
    return table


def _finish(outcome: Outcome, json: Path | None) -> None:
    """Shows an outcome and writes it."""
    if json is None or str(json) != "-":
        lines = [
            [_written(row[column.key], column.form) for column in outcome.columns]
            for row in outcome.rows
        ]
        heads = [column.head for column in outcome.columns]
        if len(lines) < FEW:
            # Few rows of many figures read better downwards.
            first, *rest = zip(heads, *lines, strict=True)
            heads, lines = list(first), [list(line) for line in rest]
        table = Table(title=outcome.title, title_justify="left")
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number else "left", overflow="fold")
        for line in lines:
            table.add_row(*line)
        console.print(table)
        for note in outcome.notes:
            console.print(note, highlight=False, soft_wrap=True)
    write_json(json, outcome.table())


def _written(value: object, form: str) -> str:
    """A cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, form)
