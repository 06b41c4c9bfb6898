"""What a token costs, as tables for eyes."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

__all__ = ["ENDS", "energy_tables", "logic_note"]

ENDS = ("low", "middle", "high")
JOULES_A_MICROJOULE = 1e-6
UNITS = 12
"""Units that are listed; the rest is one line."""


def energy_tables(results: Mapping[str, Any]) -> Iterator[Table | str]:
    """Tables and lines.

    Args:
        results: What JSON says of the energy of a run.
    """
    table = Table(title="Energy of a token, microjoules", title_justify="left")
    for column in ("component", "Mbit", "pJ a bit", *ENDS):
        table.add_column(column, justify="left" if column == "component" else "right")
    for name, one in results["components"].items():
        bits = one.get("bits")
        table.add_row(
            name,
            "" if bits is None else f"{bits / 1e6:,.2f}",
            " ".join(f"{one[key] / bits * 1e12:.2f}" for key in ENDS) if bits else "",
            *(f"{one[key] / JOULES_A_MICROJOULE:,.3f}" for key in ENDS),
        )
    total = results["energy_a_token"]
    table.add_row("all", "", "", *(f"{total[key] / JOULES_A_MICROJOULE:,.3f}" for key in ENDS))
    yield table
    if (found := results.get("activity")) is None:
        return
    yield logic_note(found)
    units = Table(title="Logic, pJ a cycle", title_justify="left")
    for column in ("unit", "instances", "changes", "logic", "flip-flops", "clock", *ENDS):
        units.add_column(column, justify="left" if column == "unit" else "right")
    ordered = sorted(found["units"], key=lambda unit: -_total(unit, "middle"))
    for unit in ordered[:UNITS]:
        kinds = unit["picojoules_a_cycle"]
        units.add_row(
            unit["name"],
            str(unit["instances"]),
            f"{unit['toggles_a_cycle']:,.0f}",
            *(f"{kinds[kind]['middle']:,.1f}" for kind in ("logic", "flip_flops", "clock")),
            *(f"{_total(unit, key):,.1f}" for key in ENDS),
        )
    if rest := ordered[UNITS:]:
        units.add_row(
            f"{len(rest)} others",
            *("",) * 5,
            *(f"{sum(_total(unit, key) for unit in rest):,.1f}" for key in ENDS),
        )
    yield units


def logic_note(found: Mapping[str, Any]) -> str:
    """What the logic's energy is of, and what is missing in it."""
    node = f" of {found['library_nm']} nm" if found["library_nm"] else ""
    parts = [
        f"logic, flip_flops, clock: {found['library']}{node}, its changes in {found['cycles']:,}"
        f" cycles; {found['registers_compared']:,} registers did what the waves show"
    ]
    if found["scaled_to_nm"]:
        parts.append(f"scaled to {found['scaled_to_nm']} nm by published rules, as a range")
    else:
        parts.append("not scaled: other components are of other nodes")
    if not found["cell_energies"]:
        parts.append("the library has no internal_power: the charge of pins alone, too little")
    if unseen := sum(unit["nets_without_values"] for unit in found["units"]):
        parts.append(f"{unseen} nets have no value in the waves and count as still")
    return "; ".join(parts)


def _total(unit: Mapping[str, Any], key: str) -> float:
    return sum(kind[key] for kind in unit["picojoules_a_cycle"].values())
