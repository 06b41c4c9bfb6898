"""neardecode report: results as one HTML file."""

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from neardecode.config import load
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.energy import energy_of_run
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import check_writable, console
from neardecode_testbench.drive.design import write_atomically
from neardecode_testbench.experiments.store import read_rows
from neardecode_testbench.report.answers import (
    claims_section,
    explained_section,
    front_section,
    outcome_section,
    projection_section,
    questions_section,
)
from neardecode_testbench.report.page import (
    areas_section,
    energy_section,
    page,
    run_section,
    sweeps_section,
)


@app.command()
def report(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS...", help="What commands wrote with --json, in order."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Above everything.")] = "neardecode",
) -> None:
    """Write one HTML file, with nothing outside it, from what commands wrote with --json.

    Of area, decode, energy, experiment, explain, project and sweep; a sweep's Parquet file is read
    from where it was written.

    Example: `neardecode report areas.json sweep.json run.json -o report.html`
    """
    check_writable(output)
    sections = []
    for path in results:
        try:
            sections += _sections(json_format.loads(path.read_text()))
        except (json_format.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: is not what a command wrote: {error}") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
    write_atomically(output, page(title, sections))
    console.print(f"{output}: {len(sections)} sections", highlight=False)


def _sections(results: dict[str, Any]) -> list[str]:
    """The parts that tell of one file."""
    for key, section in _ANSWERS.items():
        if key in results:
            return [section(results)]
    if "front" in results:
        return [front_section(results, read_rows(Path(results["results"])))]
    if "sweeps" in results:
        return [sweeps_section(results)]
    if "energy_a_token" in results:
        return [energy_section(results)]
    if "events" in results:
        energy = energy_of_run(results, load(results["config"]))
        return [run_section(results), energy_section(energy)]
    if isinstance(results.get("blocks"), list):
        return [areas_section(results)]
    raise ValueError(
        "is of no command that a report tells of: area, decode, energy, experiment, explain,"
        " project, sweep"
    )


_ANSWERS = {
    "walked": projection_section,
    "questions": questions_section,
    "claims": claims_section,
    "costs": explained_section,
    "notes": outcome_section,
}
"""What tells of results, by a key that only they have."""
