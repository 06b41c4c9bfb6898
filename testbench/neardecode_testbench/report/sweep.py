"""Area and clock against parameters, as a picture."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

__all__ = ["sweep_picture"]


def sweep_picture(sweeps: Mapping[str, Sequence[Mapping[str, Any]]], picture: str) -> bytes:
    """A plot a parameter: gate equivalents between both ends, and the highest clock.

    Args:
        sweeps: For each parameter its points, with ``value``, ``block``, ``kge``, ``kge_high``
            and, where it is known, ``fmax_mhz``.
        picture: One of `curve.FORMATS`.
    """
    # Takes a second to import, which no other command should wait for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(sweeps), 3.6), layout="constrained")
    for axes, (name, points) in zip(
        figure.subplots(1, len(sweeps), squeeze=False)[0], sweeps.items(), strict=True
    ):
        values = [point["value"] for point in points]
        low, high = ([point[key] for point in points] for key in ("kge", "kge_high"))
        axes.fill_between(values, low, high, alpha=0.4)
        axes.plot(values, low, marker=".")
        axes.set(title=points[0]["block"], xlabel=name, ylabel="kGE", ylim=(0, None), xticks=values)
        clocks = [point.get("fmax_mhz") for point in points]
        if None not in clocks:
            right = axes.twinx()
            right.plot(values, clocks, color="C1", marker="x", linestyle="--")
            right.set(ylabel="Fmax, MHz (dashed)", ylim=(0, None))
    drawn = BytesIO()
    figure.savefig(drawn, format=picture)
    return drawn.getvalue()
