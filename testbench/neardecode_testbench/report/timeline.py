"""The tokens of a run, one after the other."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

__all__ = ["timeline_picture"]


def timeline_picture(steps: Sequence[Mapping[str, Any]], bound: float, picture: str) -> bytes:
    """Each token from where it was given to where it was done, and its height what it took.

    Args:
        steps: Tokens with their ``cycles``.
        bound: Cycles a token that its weights take at least.
        picture: One of `curve.FORMATS`.
    """
    # Takes a second to import, which no other command should wait for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    axes = figure.subplots()
    cycles = [step["cycles"] for step in steps]
    starts = [sum(cycles[:place]) for place in range(len(cycles))]
    axes.bar(starts, cycles, width=cycles, align="edge", edgecolor="white")
    axes.axhline(bound, color="black", linestyle="--", linewidth=1, label="bound of the weights")
    axes.set(
        xlim=(0, sum(cycles)),
        ylim=(0, 1.1 * max(*cycles, bound)),
        xlabel="cycles of the run",
        ylabel="cycles of a token",
        title="Timeline",
    )
    axes.legend(fontsize="small", loc="lower right")
    drawn = BytesIO()
    figure.savefig(drawn, format=picture)
    return drawn.getvalue()
