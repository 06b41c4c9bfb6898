"""One HTML file with tables and plots and nothing outside it."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from neardecode_testbench.report.energies import ENDS, logic_note

__all__ = [
    "energy_section",
    "figure_html",
    "network_section",
    "number",
    "page",
    "run_section",
    "table_html",
]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d8dee4; --head: #8c959f;
  --note: #57606a; --low: #9ec5e8; --range: #2f6fab; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d;
  --head: #6e7681; --note: #9198a1; --low: #2f6fab; --range: #79b8ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h2, td:first-child { overflow-wrap: anywhere; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.8rem 0; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; vertical-align: top; }
td { white-space: nowrap; }
th:first-child, td:first-child, td[data-key="stalls"] { text-align: left; white-space: normal; }
td:first-child { min-width: 9rem; }
td[data-key="stalls"] { min-width: 16rem; }
th.text, td.text { text-align: left; white-space: normal; }
td.text { min-width: 9rem; }
th { border-bottom: 2px solid var(--head); vertical-align: bottom; }
figure { margin: 0.8rem 0; background: #fff; color: #1b1f24; border-radius: 4px; }
svg { max-width: 100%; height: auto; }
div.figures { display: grid; gap: 0.8rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
div.figures figure { margin: 0; }
p.note { color: var(--note); }
.bar { display: block; width: 12rem; height: 0.7rem; margin-top: 0.4rem; }
.bar rect { fill: var(--low); } .bar line { stroke: var(--range); stroke-width: 3; }
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


def run_section(run: dict[str, Any]) -> str:
    """Where the cycles of a run went, as `neardecode decode --json` wrote it."""
    cycles = run["cycles"]
    rows = []
    for name, block in run["blocks"].items():
        stalls = sorted(block["stalls"].items(), key=lambda item: -item[1])
        causes = ", ".join(f"{cause} {count / cycles:.1%}" for cause, count in stalls if count)
        rows.append((name, [("busy", f"{block['busy'] / cycles:.1%}"), ("stalls", causes)]))
    return f"<h2>Where {cycles:,} cycles went</h2>\n" + table_html(
        "cycles", ["block", "busy", "stalls"], rows
    )


def network_section(run: dict[str, Any]) -> str:
    """Latency of a network over its load, as `neardecode bench fabric --sweep --json` wrote it."""
    rows = [
        (
            f"{point['load']:.2f}",
            [
                ("accepted", f"{point['accepted']:.3f}"),
                ("latency", number(point["latency_mean"], ",.1f")),
            ],
        )
        for point in run["sweep"]
    ]
    heads = ["offered load", "accepted", "mean latency, cycles"]
    return (
        f"<h2>{escape(run['topology'])} {escape(run['size'])}, saturates at"
        f" {run['saturation']:.3f} flits a node and cycle</h2>\n"
        + table_html("network", heads, rows)
    )


def energy_section(energy: dict[str, Any]) -> str:
    """The energy of a token, as `neardecode energy --json` wrote it."""
    parts = [*energy["components"].items(), ("all", energy["energy_a_token"])]
    most = max(part["high"] for _, part in parts)
    text = "<h2>Energy of a token, microjoules</h2>\n" + table_html(
        "energy",
        ["component", "low", "middle", "high"],
        [(name, [(key, f"{part[key] * 1e6:,.3f}") for key in ENDS]) for name, part in parts],
        [_bar(*(part[key] / most for key in ENDS)) for _, part in parts],
    )
    if (found := energy.get("activity")) is None:
        return text
    return (
        text
        + f'<p class="note">{escape(logic_note(found))}</p>\n'
        + "<h2>Logic, pJ a cycle</h2>\n"
        + table_html(
            "logic",
            ["unit", "instances", "changes", *ENDS],
            [
                (
                    unit["name"],
                    [
                        ("instances", number(unit["instances"], ",d")),
                        ("toggles", number(unit["toggles_a_cycle"], ",.0f")),
                        *(
                            (key, number(sum(kind[key] for kind in kinds.values()), ",.1f"))
                            for key in ENDS
                        ),
                    ],
                )
                for unit in found["units"]
                if (kinds := unit["picojoules_a_cycle"])
            ],
        )
    )


def _bar(low: float, middle: float, high: float) -> str:
    """A range as a bar up to its middle and a line over all of it; ends as shares of the most."""
    return (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * middle:.2f}" height="6"/>'
        f'<line x1="{100 * low:.2f}" x2="{100 * high:.2f}" y1="3" y2="3"/></svg>'
    )


def number(value: float | None, form: str) -> str:
    """A figure of a cell; nothing where there is none."""
    return "" if value is None else format(value, form)


def table_html(
    name: str,
    heads: Sequence[str],
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    drawings: Sequence[str] = (),
    texts: Sequence[str] = (),
) -> str:
    """A table whose cells say what they are of, for programs that read the page.

    Args:
        name: Its id.
        heads: Of its columns.
        rows: What each is of, and its cells with what they are.
        drawings: HTML behind each row, or none.
        texts: Cells that are sentences, by what they are.
    """
    kinds = dict.fromkeys(texts, ' class="text"')
    keys = [key for _, cells in rows[:1] for key, _ in cells]
    head = "".join(
        f"<th{kinds.get(key, '')}>{escape(text)}</th>"
        for text, key in zip_longest(heads, ["", *keys])
    ) + "<th></th>" * bool(drawings)
    body = "".join(
        f'<tr data-of="{escape(of)}"><td>{escape(of)}</td>'
        + "".join(
            f'<td data-key="{escape(key)}"{kinds.get(key, "")}>{escape(text)}</td>'
            for key, text in cells
        )
        + "".join(f"<td>{drawing}</td>" for drawing in drawings[place : place + 1])
        + "</tr>\n"
        for place, (of, cells) in enumerate(rows)
    )
    return f'<div class="wide"><table id="{name}">\n<tr>{head}</tr>\n{body}</table></div>\n'


def figure_html(picture: bytes) -> str:
    """The drawing without the prologue of a file of its own."""
    text = picture.decode()
    return f"<figure>{text[text.index('<svg') :]}</figure>\n"
