"""The parts of the HTML file that tell what blocks cost."""

from collections.abc import Sequence
from html import escape
from typing import Any

from neardecode_testbench.report.areas import path_text, short_title
from neardecode_testbench.report.page import figure_html, number, table_html
from neardecode_testbench.report.sweep import sweep_picture

__all__ = ["areas_section", "sweeps_section"]


def areas_section(areas: dict[str, Any]) -> str:
    """What `neardecode area --json` wrote."""
    columns = (
        ("kge", "kGE", ",.1f"),
        ("kge_high", "kGE, high", ",.1f"),
        ("flip_flops", "flip-flops", ",d"),
        ("sram_bits", "SRAM bits", ",d"),
        ("area_um2", "um2", ",.0f"),
        ("fmax_mhz", "Fmax, MHz", ",.0f"),
        ("luts", "ECP5 LUT", ",d"),
        ("ecp5_fmax_mhz", "ECP5, MHz", ",.0f"),
    )
    rows = [
        (_title(block), [(key, number(block.get(key), form)) for key, _, form in columns])
        for block in areas["blocks"]
    ]
    library = areas.get("library")
    sections = [
        "<h2>Area</h2>\n",
        table_html("area", ["block", *(head for _, head, _ in columns)], rows),
        '<p class="note">Gate equivalents with a flip-flop at 5.67 and at 8, SRAM apart.',
        f" um2 and Fmax: {escape(str(library))}, no wires.</p>\n" if library else "</p>\n",
    ]
    if (node := areas.get("scaled_to_nm")) is not None:
        sections.append(_scaled(areas["blocks"], node))
    if any("longest_path" in block for block in areas["blocks"]):
        sections.append(_paths(areas["blocks"]))
    sections += [_parts(block) for block in areas["blocks"] if block.get("parts")]
    return "".join(sections) + _failed(areas)


def sweeps_section(sweeps: dict[str, Any]) -> str:
    """What `neardecode area --sweep --json` wrote."""
    rows = [
        (
            f"{name}: {point['block']}",
            [
                ("value", str(point["value"])),
                ("kge", number(point["kge"], ",.1f")),
                ("kge_high", number(point["kge_high"], ",.1f")),
                ("sram_bits", number(point["sram_bits"], ",d")),
                ("fmax_mhz", number(point.get("fmax_mhz"), ",.0f")),
            ],
        )
        for name, points in sweeps["sweeps"].items()
        for point in points
    ]
    heads = ["parameter", "value", "kGE", "kGE, high", "SRAM bits", "Fmax, MHz"]
    pictures = (
        figure_html(sweep_picture({name: points}, "svg"))
        for name, points in sweeps["sweeps"].items()
    )
    return (
        "<h2>Area and Fmax against parameters</h2>\n"
        f'<div class="figures">{"".join(pictures)}</div>\n'
        + table_html("sweep", heads, rows)
        + _failed(sweeps)
    )


def _scaled(blocks: Sequence[dict[str, Any]], node: int) -> str:
    rows = [
        (
            _title(block),
            [
                ("area_um2", _range(block["scaled"].get("area_um2"))),
                ("fmax_mhz", _range(block["scaled"].get("fmax_mhz"))),
                ("clock_mhz", number(block["scaled"]["clock_mhz"], ",.0f")),
            ],
        )
        for block in blocks
    ]
    return (
        f"<h2>Scaled to {node} nm</h2>\n"
        + table_html("scaled", ["block", "um2", "Fmax, MHz", "its clock, MHz"], rows)
        + '<p class="note">Gates alone, by published rules, from the least to the most that they'
        " say.</p>\n"
    )


def _paths(blocks: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            _title(block),
            [
                ("delay_ns", number(path["delay_ns"], ".2f")),
                ("unit", path["unit"]),
                ("path", path_text(path)),
            ],
        )
        for block in blocks
        if (path := block.get("longest_path"))
    ]
    heads = ["block", "ns", "unit", "nets, their declarations, when they settle"]
    return "<h2>Longest paths</h2>\n" + table_html("paths", heads, rows, texts=("unit", "path"))


def _parts(block: dict[str, Any]) -> str:
    rows = [
        (
            part["name"],
            [
                ("count", number(part["count"], ",d")),
                ("kge", number(part["kge"], ",.1f")),
                ("total", number(part["count"] * part["kge"], ",.1f")),
                ("sram_bits", number(part["sram_bits"], ",d")),
                ("fmax_mhz", number(part.get("fmax_mhz"), ",.0f")),
            ],
        )
        for part in sorted(block["parts"], key=lambda part: -part["count"] * part["kge"])
    ]
    heads = ["unit", "instances", "kGE each", "kGE", "SRAM bits each", "Fmax, MHz"]
    return f"<h2>{escape(_title(block))}, by unit</h2>\n" + table_html("parts", heads, rows)


def _failed(results: dict[str, Any]) -> str:
    """What has no figures, and why."""
    lines = [f"{_title(one)} failed: {one['error']}" for one in results.get("failed", ())]
    return "".join(f'<p class="note">{escape(line)}</p>\n' for line in lines)


def _title(block: dict[str, Any]) -> str:
    parameters = block["parameters"]
    return short_title(block["name"], parameters["config"], parameters["set"])


def _range(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"{ends[0]:,.0f} to {ends[1]:,.0f}"
