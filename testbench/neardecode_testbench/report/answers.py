"""Pages about projections, explanations, experiments, claims and sweeps."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from neardecode_testbench.report.front import front_picture
from neardecode_testbench.report.page import figure_html, table_html

__all__ = [
    "claims_section",
    "explained_section",
    "front_section",
    "outcome_section",
    "projection_section",
    "questions_section",
]

MOST_ROWS = 200


def projection_section(run: Mapping[str, Any]) -> str:
    """What `neardecode project --json` wrote."""
    cycles, bound = run["cycles_a_token"], run["bound"]
    rows = [
        (cause, [("cycles", f"{count:,.0f}"), ("share", f"{count / cycles:.2%}")])
        for cause, count in sorted(run["causes"].items(), key=lambda item: -item[1])
    ]
    return (
        f"<h2>{escape(run['model'])}, chips: {run['chips']}, context {run['context']:,}</h2>\n"
        + table_html("causes", ["cause", "cycles", "share"], rows)
        + _note(
            f"{run['tokens_a_second']:,.1f} tokens a second; {run['ratio']:.4f} of the bound of"
            f" {bound['cycles']:,.0f} cycles, which is set by {bound['limit']}."
        )
    )


def explained_section(told: Mapping[str, Any]) -> str:
    """What `neardecode explain RUN --json` wrote."""
    costs = [
        (
            cost["limit"],
            [
                ("cycles", f"{cost['cycles']:,.0f}"),
                ("share", f"{cost['share']:.2%}"),
                ("how", cost["how"]),
            ],
        )
        for cost in told["costs"]
    ]
    changes = [
        (
            change["what"],
            [
                ("against", change["against"]),
                ("gain", change["why_not"] if change["gain"] is None else f"{change['gain']:+.1%}"),
            ],
        )
        for change in told["changes"]
    ]
    text = f"<h2>Limited by {escape(told['limit'])}</h2>\n" + _note(f"{told['meaning']}.")
    text += table_html("costs", ["cause", "cycles", "share", "how"], costs, texts=["how"])
    if changes:
        heads = ["change", "against", "tokens a second more"]
        text += table_html("changes", heads, changes, texts=["against"])
    if told["ratio"] is not None:
        place = "At" if told["at_bound"] else "Not at"
        text += _note(f"{place} its bound: {told['ratio']:.4f} of {told['bound']}.")
    return text


def questions_section(told: Mapping[str, Any]) -> str:
    """What `neardecode explain --questions --json` wrote."""
    parts = ["<h2>Questions</h2>\n"]
    for number, answer in enumerate(told["questions"]):
        parts.append(f"<h3>{escape(answer['question'])}</h3>\n<p>{escape(answer['answer'])}</p>\n")
        parts.append(_figures(f"question{number}", answer["figures"]))
    return "".join(parts)


def outcome_section(outcome: Mapping[str, Any]) -> str:
    """What `neardecode experiment` wrote, but for claims."""
    rows = outcome["rows"]
    first, *rest = rows[0]
    lines = [(_text(row[first]), [(key, _text(row[key])) for key in rest]) for row in rows]
    heads = [name.replace("_", " ") for name in (first, *rest)]
    return (
        f"<h2>{escape(outcome['title'])}</h2>\n"
        + table_html("outcome", heads, lines)
        + "".join(map(_note, outcome["notes"]))
    )


def claims_section(told: Mapping[str, Any]) -> str:
    """What `neardecode experiment claims --json` wrote."""
    keys = ("verdict", "criterion", "source", "in_paper", "because")
    rows = [(claim["text"], [(key, claim[key]) for key in keys]) for claim in told["claims"]]
    heads = ["claim", "verdict", "criterion", "by", "in the paper", "because"]
    text = "<h2>What is claimed, and what was found</h2>\n" + table_html(
        "claims", heads, rows, texts=keys
    )
    for claim in told["claims"]:
        text += f"<h3>{escape(claim['text'])}</h3>\n" + _figures(claim["name"], claim["figures"])
    return text


def front_section(sweep: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """What `neardecode sweep --json` wrote, and the rows of its Parquet file.

    Raises:
        ValueError: if there is nothing to be shown.
    """
    good = [row for row in rows if row["error"] is None]
    if not sweep["front"]:
        raise ValueError("no point of the sweep could be run")
    front = sorted(sweep["front"], key=lambda row: -row["tokens_a_second"])
    shown = [
        key
        for key in front[0]
        if key not in ("key", "error") and not key.endswith(("_low", "_high"))
    ]
    lines = [
        (str(number + 1), [(key, _text(row[key])) for key in shown])
        for number, row in enumerate(front[:MOST_ROWS])
    ]
    failed = [(row["key"][:8], [("error", row["error"])]) for row in sweep["failed"][:MOST_ROWS]]
    text = (
        f"<h2>{sweep['points']:,} points, {len(front)} not beaten in"
        f" {escape(', '.join(sweep['objectives']))}</h2>\n"
        + figure_html(front_picture(good, front, "svg"))
        + table_html("front", ["", *(key.replace("_", " ") for key in shown)], lines)
    )
    if failed:
        text += "<h2>Points that failed</h2>\n" + table_html(
            "failed", ["point", "why"], failed, texts=["error"]
        )
    return text


def _figures(name: str, figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            figure["name"],
            [
                ("value", _text(figure["value"])),
                ("low", _text(figure.get("low"))),
                ("high", _text(figure.get("high"))),
                ("unit", figure["unit"]),
                ("how", figure["how"]),
            ],
        )
        for figure in figures
    ]
    heads = ["figure", "value", "low", "high", "unit", "how"]
    return table_html(name.replace(" ", "-"), heads, rows, texts=["unit", "how"])


def _text(value: Any) -> str:
    """A cell of whatever kind."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n'
