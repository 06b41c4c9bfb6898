"""Latency-load curves as pictures."""

from collections.abc import Sequence
from io import BytesIO

__all__ = ["FORMATS", "latency_curve"]

FORMATS = ("png", "svg")


def latency_curve(
    title: str, points: Sequence[tuple[float, float]], zero_load: float, picture: str
) -> bytes:
    """Mean latency over offered load; latencies beyond ten times the zero-load one are cut.

    Args:
        title: Above the curve.
        points: (offered load, mean latency).
        zero_load: Latency without contention, a line of its own.
        picture: One of `FORMATS`.
    """
    # Takes a second to import, which no other command should wait for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(zero_load, color="gray", linestyle="--", linewidth=1)
    axes.plot(*zip(*points, strict=True), marker=".")
    axes.set(
        title=title,
        xlabel="offered load, flits a node and cycle",
        ylabel="mean latency, cycles",
        xlim=(0, None),
        ylim=(0, min(1.1 * max(latency for _, latency in points), 10 * zero_load)),
    )
    drawn = BytesIO()
    figure.savefig(drawn, format=picture)
    return drawn.getvalue()
