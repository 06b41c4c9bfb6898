"""What blocks cost, as tables for eyes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

__all__ = ["area_tables", "path_text", "short_title", "sweep_table"]


def short_title(block: str, config: str, changes: Sequence[str]) -> str:
    """A block and its size in one line, keys without the sections that they are in."""
    keys_and_values = (change.partition("=") for change in changes)
    short = (
        f"{key.strip().rpartition('.')[2]}{equals}{value}" for key, equals, value in keys_and_values
    )
    return " ".join((block, config, *short))


def area_tables(
    blocks: Sequence[tuple[str, Mapping[str, Any]]], library: str | None, to_nm: int | None = None
) -> Iterator[Table | str]:
    """Tables and lines, from the widest view to the units of each block.

    Args:
        blocks: A title and what JSON says of each.
        library: What the library of cells calls itself, if there is one.
        to_nm: The node that areas and clocks are scaled to.
    """
    table = _table("Gates, memories, library", "block")
    for column in ("logic kGE", "kGE", "SRAM kbit", "mm2", "Fmax MHz"):
        table.add_column(column, justify="right", no_wrap=True)
    for title, one in blocks:
        um2 = one.get("area_um2")
        table.add_row(
            title,
            _cell(one["logic_kge"]),
            f"{one['kge']:,.1f} - {one['kge_high']:,.1f}",
            _cell(one["sram_bits"] / 1024),
            _cell(um2 and um2 / 1e6, ",.2f"),
            _cell(one.get("fmax_mhz"), ",.0f"),
        )
    yield table
    if library is not None:
        yield f"mm2 and Fmax: {library}, without wires and without SRAM"
    if to_nm is not None:
        yield _scaled_table(blocks, to_nm)
    if placed := [(title, one) for title, one in blocks if "luts" in one]:
        yield _fpga_table(placed)
    for title, one in blocks:
        if path := one.get("longest_path"):
            yield f"{title}: {path['delay_ns']:.2f} ns in {path['unit']}: {path_text(path)}"
        if parts := one.get("parts"):
            yield _parts_table(title, parts)


def path_text(path: Mapping[str, Any]) -> str:
    """The nets of a path, where they are declared, and when their values come."""
    return ", ".join(
        " ".join(
            (
                step["net"],
                *([f"({step['source']})"] if step["source"] else []),
                f"at {step['time_ns']:.2f} ns",
            )
        )
        for step in path["path"]
    )


def sweep_table(sweeps: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Every point of every parameter.

    Args:
        sweeps: For each parameter its points, as `sweep_picture` has them.
    """
    table = Table(title="Area and Fmax against parameters", title_justify="left")
    for column in ("parameter", "block", "value", "kGE", "SRAM kbit", "Fmax MHz"):
        table.add_column(
            column, justify="right" if column not in ("parameter", "block") else "left"
        )
    for name, points in sweeps.items():
        for one in points:
            table.add_row(
                name,
                one["block"],
                str(one["value"]),
                f"{one['kge']:,.1f} to {one['kge_high']:,.1f}",
                _cell(one["sram_bits"] / 1024),
                _cell(one.get("fmax_mhz"), ",.0f"),
            )
    return table


def _fpga_table(blocks: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    table = _table("ECP5", "block")
    for column in ("LUT", "FF", "DSP", "BRAM", "device", "placed MHz"):
        table.add_column(column, justify="right", no_wrap=True)
    for title, one in blocks:
        keys = ("luts", "ecp5_flip_flops", "ecp5_dsps", "ecp5_brams")
        table.add_row(
            title,
            *(_cell(one.get(key), ",") for key in keys),
            one.get("ecp5_device", "-"),
            _cell(one.get("ecp5_fmax_mhz"), ",.0f"),
        )
    return table


def _scaled_table(blocks: Sequence[tuple[str, Mapping[str, Any]]], to_nm: int) -> Table:
    table = _table(f"Scaled to {to_nm} nm by published rules, gates alone", "block")
    for column in ("mm2", "Fmax MHz", "its clock, MHz", "reached"):
        table.add_column(column, justify="right", no_wrap=True)
    for title, one in blocks:
        scaled = one["scaled"]
        area, fmax = scaled.get("area_um2"), scaled.get("fmax_mhz")
        table.add_row(
            title,
            f"{area[0] / 1e6:,.4f} - {area[1] / 1e6:,.4f}" if area else "-",
            f"{fmax[0]:,.0f} - {fmax[1]:,.0f}" if fmax else "-",
            _cell(scaled["clock_mhz"], ",.0f"),
            _reached(scaled["clock_mhz"], fmax) if fmax else "-",
        )
    return table


def _reached(clock: float, fmax: Sequence[float]) -> str:
    if fmax[0] >= clock:
        return "yes"
    return "at best" if fmax[1] >= clock else "no"


def _parts_table(title: str, parts: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(f"{title}, by unit", "unit")
    for column in ("instances", "kGE each", "kGE", "SRAM kbit each", "Fmax MHz"):
        table.add_column(column, justify="right")
    for part in sorted(parts, key=lambda part: -part["count"] * part["kge"]):
        table.add_row(
            part["name"],
            str(part["count"]),
            _cell(part["kge"]),
            _cell(part["count"] * part["kge"]),
            _cell(part["sram_bits"] / 1024),
            _cell(part.get("fmax_mhz"), ",.0f"),
        )
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    return table


def _cell(value: Any, form: str = ",.1f") -> str:
    return "-" if value is None else format(value, form)
