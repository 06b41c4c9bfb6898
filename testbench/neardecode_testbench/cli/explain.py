"""neardecode explain: what limits a run, and answers with figures."""

import json as json_format
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from neardecode.config import BlockFormat
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.changes import config_of
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.counted import (
    AT_BOUND,
    COUNTED_MEANING,
    Counted,
    counted_of,
)
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.experiments.limits import MEANING, Limits, limits_of
from neardecode_testbench.experiments.questions import answers
from neardecode_testbench.model.shapes import SHAPES, load_shape

__all__ = ["JobsOption", "case_of"]

JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time; by default one a core.")
]


@app.command()
def explain(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="What project, decode or a bench wrote with --json."),
    ] = None,
    questions: Annotated[
        bool, typer.Option("--questions", help="Instead, answer what everybody asks.")
    ] = False,
    jobs: JobsOption = None,
    json: JsonOption = None,
) -> None:
    """Say what limits a run, what each cause cost, and what the next change would buy.

    A projection is taken apart by running the model without one limit after another; changes
    within reach are run too. Of a run in RTL the counters speak, and where the model knows the
    configuration, it tries the changes.

    Example: `neardecode project --context 512 --json run.json && neardecode explain run.json`

    Example: `neardecode explain --questions --json answers.json`
    """
    check_writable(json)
    if questions == (run is not None):
        raise InputError("give a RUN, or --questions")
    processes = jobs or os.cpu_count() or 1
    quiet = json is not None and str(json) == "-"
    if run is None:
        _questions(processes, quiet, json)
        return
    try:
        results = json_format.loads(run.read_text())
        if not isinstance(results, dict):
            raise TypeError("no table")
        told = _explained(results, processes)
    except (json_format.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{run}: is not what a command wrote: {error}") from None
    except FigureError as error:
        raise InputError(f"{run}: {error}") from None
    if not quiet:
        _print(told)
    write_json(json, told)


def _explained(results: Mapping[str, Any], jobs: int) -> dict[str, Any]:
    """What is told of a run."""
    if "walked" in results:
        case = case_of(results["request"])
        return _of_limits(limits_of(case, jobs), "project")
    counted = counted_of(results)
    told = _of_counted(counted)
    model = str(results.get("model"))
    # The model is of one sequence.
    alone = "steps" in results and "sequences" not in results
    if alone and (model in SHAPES or Path(model).is_file()):
        config, chips = config_of(results), results["chips"]
        # Cycles are those of an average token, in the middle of the run.
        middle = (results["positions"] + 1) // 2
        case = Case(load_shape(model), config, chips, middle)
        told = _joined(told, _of_limits(limits_of(case, jobs), "decode"), results, counted)
    return told


def case_of(request: Mapping[str, Any]) -> Case:
    """What `project --json` says that it was asked."""
    weights = request["weights"]
    return Case(
        load_shape(request["model"]),
        config_of(request),
        request["chips"],
        request["context"],
        None if weights is None else BlockFormat[weights],
        request["hop_ns"],
    )


def _of_limits(limits: Limits, kind: str) -> dict[str, Any]:
    projection = limits.projection
    cycles = projection.cycles
    return {
        "of": kind,
        "limit": limits.limit,
        "meaning": MEANING[limits.limit],
        "cycles": cycles,
        "costs": [
            {**vars(cost), "share": cost.cycles / cycles, "meaning": MEANING[cost.limit]}
            for cost in limits.costs
        ],
        "changes": [vars(change) for change in limits.changes],
        "ratio": projection.bound_ratio,
        "bound": "its memories at their full rate",
        "at_bound": limits.at_bound,
        "tokens_a_second": projection.tokens_a_second,
    }


def _of_counted(counted: Counted) -> dict[str, Any]:
    return {
        "of": counted.kind,
        "limit": counted.limit,
        "meaning": COUNTED_MEANING[counted.limit],
        "cycles": counted.cycles,
        "costs": [
            {
                **vars(one),
                "share": one.cycles / counted.cycles,
                "meaning": COUNTED_MEANING[one.limit],
            }
            for one in counted.findings
        ],
        "changes": [],
        "ratio": counted.ratio,
        "bound": counted.bound,
        "at_bound": counted.ratio is not None and counted.ratio >= AT_BOUND,
    }


UNMODELLED = ("heat", "TSV repair", "fabric congestion", "fabric time-out")
"""What the model of a token does not know, and only counters see."""


def _joined(
    told: Mapping[str, Any], model: Mapping[str, Any], run: Mapping[str, Any], counted: Counted
) -> dict[str, Any]:
    """Costs and changes of the model beside what only the counters know."""
    a_token = run["cycles_a_token"]
    scale = a_token / counted.cycles
    seen = [
        {**cost, "cycles": cost["cycles"] * scale}
        for cost in told["costs"]
        if cost["limit"] in UNMODELLED
    ]
    costs = sorted([*model["costs"], *seen], key=lambda cost: -cost["cycles"])
    return {
        **told,
        "limit": costs[0]["limit"],
        "meaning": costs[0]["meaning"],
        "cycles": a_token,
        "model_cycles": model["cycles"],
        "costs": costs,
        "changes": model["changes"],
    }


def _print(told: Mapping[str, Any]) -> None:
    of_it, cost = told["cycles"], told["costs"][0]

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(
        f"Limited by {told['limit']}: {told['meaning']}. It has {cost['cycles']:,.0f} of"
        f" {of_it:,.0f} cycles, {cost['share']:.1%}."
    )
    if "model_cycles" in told:
        say(
            f"The model gives a token {told['model_cycles']:,.0f} cycles, the RTL took"
            f" {of_it:,.0f}: costs are the model's but for those that counters alone know."
        )
    table = Table(title="What each cause cost", title_justify="left")
    for column in ("cause", "cycles", "share", "how it was obtained"):
        table.add_column(column, justify="right" if column in ("cycles", "share") else "left")
    for cost in told["costs"]:
        row = (cost["limit"], f"{cost['cycles']:,.0f}", f"{cost['share']:.2%}", cost["how"])
        table.add_row(*row)
    console.print(table)
    best = next((change for change in told["changes"] if change["gain"]), None)
    if best is None:
        say("No change within reach was found to help, or the model knows no such run.")
    elif best["gain"] > 0:
        say(f"The next-best change, {best['what']}, would buy {best['gain']:+.1%} tokens a second.")
    else:
        say(f"No change that was tried would help; {best['what']} would give {best['gain']:+.1%}.")
    for change in told["changes"]:
        if change is not best:
            gain = change["gain"]
            what = f"{gain:+.1%}" if gain is not None else f"not run: {change['why_not']}"
            say(f"  {change['what']} (against {change['against']}): {what}")
    if told["ratio"] is not None:
        place = "at its bound" if told["at_bound"] else "not at its bound"
        say(f"It is {place}: {told['ratio']:.4f} of {told['bound']}.")


def _questions(jobs: int, quiet: bool, json: Path | None) -> None:
    told = answers(jobs)
    if not quiet:
        for answer in told:
            console.print(answer.question, style="bold", highlight=False)
            console.print(answer.answer, highlight=False, soft_wrap=True)
            for figure in answer.figures:
                console.print(
                    f"  {figure.name}: {figure.text}; {figure.how}",
                    style="dim",
                    highlight=False,
                    soft_wrap=True,
                )
            console.print()
    write_json(
        json,
        {
            "questions": [
                {
                    "question": answer.question,
                    "answer": answer.answer,
                    "figures": [figure.table() for figure in answer.figures],
                }
                for answer in told
            ]
        },
    )
