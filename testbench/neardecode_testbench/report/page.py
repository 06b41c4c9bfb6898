"""One HTML file with tables and plots and nothing outside it."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from neardecode_testbench.report.sweep import sweep_picture

__all__ = ["areas_section", "energy_section", "page", "run_section", "sweeps_section"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 0.8rem 0; display: block; overflow-x: auto; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #d8dee4; text-align: right;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #8c959f; }
svg { max-width: 100%; height: auto; }
p.note { color: #57606a; }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """The file.

    Args:
        title: Above everything.
        sections: HTML of each part.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{''.join(sections)}</body>\n</html>\n"
    )


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
        (
            _title(block),
            [(key, _number(block.get(key), form)) for key, _, form in columns],
        )
        for block in areas["blocks"]
    ]
    sections = [
        "<h2>Area</h2>\n",
        _table("area", ["block", *(head for _, head, _ in columns)], rows),
        '<p class="note">Gate equivalents with a flip-flop at 5.67 and at 8, SRAM apart.',
        f" um2 and Fmax: {escape(str(areas['library']))}, no wires.</p>\n"
        if areas.get("library")
        else "</p>\n",
    ]
    for block in areas["blocks"]:
        if parts := block.get("parts"):
            sections += [
                f"<h2>{escape(_title(block))}, by unit</h2>\n",
                _table(
                    "parts",
                    ["unit", "instances", "kGE each", "kGE", "SRAM bits each"],
                    [
                        (
                            part["name"],
                            [
                                ("count", _number(part["count"], ",d")),
                                ("kge", _number(part["kge"], ",.1f")),
                                ("total", _number(part["count"] * part["kge"], ",.1f")),
                                ("sram_bits", _number(part["sram_bits"], ",d")),
                            ],
                        )
                        for part in sorted(parts, key=lambda part: -part["count"] * part["kge"])
                    ],
                ),
            ]
    return "".join(sections)


def sweeps_section(sweeps: dict[str, Any]) -> str:
    """What `neardecode area --sweep --json` wrote."""
    rows = [
        (
            f"{name}: {point['block']}",
            [
                ("value", str(point["value"])),
                ("kge", _number(point["kge"], ",.1f")),
                ("kge_high", _number(point["kge_high"], ",.1f")),
                ("sram_bits", _number(point["sram_bits"], ",d")),
                ("fmax_mhz", _number(point.get("fmax_mhz"), ",.0f")),
            ],
        )
        for name, points in sweeps["sweeps"].items()
        for point in points
    ]
    heads = ["parameter", "value", "kGE", "kGE, high", "SRAM bits", "Fmax, MHz"]
    return (
        "<h2>Area and Fmax against parameters</h2>\n"
        + _svg(sweep_picture(sweeps["sweeps"], "svg"))
        + _table("sweep", heads, rows)
    )


def run_section(run: dict[str, Any]) -> str:
    """Where the cycles of a run went, as `neardecode decode --json` wrote it."""
    cycles = run["cycles"]
    rows = []
    for name, block in run["blocks"].items():
        stalls = sorted(block["stalls"].items(), key=lambda item: -item[1])
        causes = ", ".join(f"{cause} {count / cycles:.1%}" for cause, count in stalls if count)
        rows.append((name, [("busy", f"{block['busy'] / cycles:.1%}"), ("stalls", causes)]))
    return f"<h2>Where {cycles:,} cycles went</h2>\n" + _table(
        "cycles", ["block", "busy", "stalls"], rows
    )


def energy_section(energy: dict[str, Any]) -> str:
    """The energy of a token, as `neardecode energy --json` wrote it."""
    parts = [*energy["components"].items(), ("all", energy["energy_a_token"])]
    return "<h2>Energy of a token, microjoules</h2>\n" + _table(
        "energy",
        ["component", "low", "middle", "high"],
        [
            (name, [(key, f"{part[key] * 1e6:,.3f}") for key in ("low", "middle", "high")])
            for name, part in parts
        ],
    )


def _title(block: dict[str, Any]) -> str:
    parameters = block["parameters"]
    return " ".join((block["name"], parameters["config"], *parameters["set"]))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(
    name: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]
) -> str:
    """A table whose cells say what they are of, for programs that read the page."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f'<tr data-of="{escape(of)}"><td>{escape(of)}</td>'
        + "".join(f'<td data-key="{escape(key)}">{escape(text)}</td>' for key, text in cells)
        + "</tr>\n"
        for of, cells in rows
    )
    return f'<table id="{name}">\n<tr>{head}</tr>\n{body}</table>\n'


def _svg(picture: bytes) -> str:
    """The drawing without the prologue of a file of its own."""
    text = picture.decode()
    return text[text.index("<svg") :]
