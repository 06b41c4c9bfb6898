"""neardecode report: results as one HTML file."""

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.changes import config_of
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
from neardecode_testbench.report.area_sections import areas_section, sweeps_section
from neardecode_testbench.report.curve import FORMATS
from neardecode_testbench.report.drawings import (
    Draw,
    fabric_drawings,
    projection_drawings,
    run_drawings,
)
from neardecode_testbench.report.page import (
    energy_section,
    figure_html,
    network_section,
    page,
    run_section,
)


@app.command()
def report(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS...", help="What commands wrote with --json, in order."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Above everything.")] = "neardecode",
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each picture there too, as PNG and as SVG."),
    ] = None,
) -> None:
    """Write one HTML file, with nothing outside it, from what commands wrote with --json.

    Of area, bench fabric --sweep, decode, energy, experiment, explain, project and sweep; a sweep's
    Parquet file is read from where it was written. A decode and a projection have a roofline and
    the shares of their stalls, a decode its timeline, a network its latency over load.

    Example: `neardecode report areas.json sweep.json run.json -o report.html`

    Example: `neardecode report run.json -o run.html --pictures pictures`
    """
    check_writable(output)
    if pictures is not None:
        _check_folder(pictures)
    sections: list[str] = []
    drawn: dict[str, Draw] = {}
    for path in results:
        try:
            results_of = json_format.loads(path.read_text())
            sections += _sections(results_of)
            drawings = _drawings(results_of)
            sections += [figure_html(draw("svg")) for draw in drawings.values()]
            drawn |= {f"{path.stem}-{name}": draw for name, draw in drawings.items()}
        except (json_format.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: is not what a command wrote: {error}") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
    write_atomically(output, page(title, sections))
    if pictures is not None:
        pictures.mkdir(exist_ok=True)
        for name, draw in drawn.items():
            for form in FORMATS:
                write_atomically(pictures / f"{name}.{form}", draw(form))
    console.print(f"{output}: {len(sections)} sections", highlight=False)


def _check_folder(folder: Path) -> None:
    """Refuses a folder that pictures cannot be written to."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--pictures: {folder} is no folder")
    check_writable(folder / "picture.png" if folder.exists() else folder)


def _drawings(results: dict[str, Any]) -> dict[str, Draw]:
    """The pictures of one file that are not part of its tables."""
    if "walked" in results:
        return projection_drawings(results)
    if "zero_load_latency" in results:
        return fabric_drawings(results)
    if "events" in results and "cycles" in results:
        return run_drawings(results, config_of(results))
    return {}


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
        energy = energy_of_run(results, config_of(results))
        return [run_section(results), energy_section(energy)]
    if isinstance(results.get("blocks"), list):
        return [areas_section(results)]
    if "zero_load_latency" in results:
        return [network_section(results)]
    raise ValueError(
        "is of no command that a report tells of: area, bench fabric --sweep, decode, energy,"
        " experiment, explain, project, sweep"
    )


_ANSWERS = {
    "walked": projection_section,
    "questions": questions_section,
    "claims": claims_section,
    "costs": explained_section,
    "notes": outcome_section,
}
"""What tells of results, by a key that only they have."""
