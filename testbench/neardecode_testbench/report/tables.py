"""Tables for the terminal."""

from rich.table import Table

__all__ = ["blocks_table"]


def blocks_table(blocks: dict[str, dict], cycles: int) -> Table:
    """Where the cycles of every block went: busy, and each stall by its cause.

    Args:
        blocks: For each block ``busy`` and ``stalls`` by cause.
        cycles: Their sum, in each block.
    """
    table = Table(title=f"Where {cycles:,} cycles went", title_justify="left")
    table.add_column("block")
    table.add_column("busy", justify="right")
    table.add_column("stalls by cause")
    for name, entry in blocks.items():
        stalls = sorted(entry["stalls"].items(), key=lambda item: -item[1])
        table.add_row(
            name,
            f"{entry['busy']:,} ({entry['busy'] / cycles:.1%})",
            "  ".join(
                f"{cause} {count:,} ({count / cycles:.1%})" for cause, count in stalls if count
            ),
        )
    return table
