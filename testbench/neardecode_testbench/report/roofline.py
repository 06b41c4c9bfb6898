"""A roofline: what memories and slices could do, and what was made of them."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

__all__ = ["roofline_picture"]

SPREAD = 8.0
"""How far the picture reaches beyond its points, on either side."""


def roofline_picture(line: Mapping[str, Any], picture: str) -> bytes:
    """Operations a second over operations a byte, of a chip.

    Args:
        line: As `model.roofline` gives it.
        picture: One of `curve.FORMATS`.
    """
    # Takes a second to import, which no other command should wait for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    points = line["points"]
    intensities = [point["operations_a_byte"] for point in points.values()]
    ends = [min(intensities, default=1.0) / SPREAD, max(intensities, default=1.0) * SPREAD]
    for number, (name, rate) in enumerate(line["bytes_a_second"].items()):
        label = f"{name}, {rate / 1e9:,.1f} GB/s"
        axes.plot(ends, [rate * end for end in ends], color=f"C{number}", label=label)
    for number, (name, rate) in enumerate(line["operations_a_second"].items()):
        style = ("--", ":")[number % 2]
        label = f"{name}, {rate / 1e9:,.0f} Gop/s"
        axes.plot(ends, [rate, rate], color="gray", linestyle=style, label=label)
    for name, point in points.items():
        x, y = point["operations_a_byte"], point["operations_a_second"]
        axes.plot(x, y, "o", color="black")
        axes.annotate(name, (x, y), xytext=(6, -12), textcoords="offset points")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations a byte",
        ylabel="operations a second",
        title="Roofline of a chip",
        xlim=ends,
    )
    axes.legend(fontsize="small", loc="upper left")
    drawn = BytesIO()
    figure.savefig(drawn, format=picture)
    return drawn.getvalue()
