"""The points of a sweep and its front, as a picture."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

__all__ = ["front_picture"]


def front_picture(
    points: Sequence[Mapping[str, Any]], front: Sequence[Mapping[str, Any]], picture: str
) -> bytes:
    """Energy over tokens a second, and what memories cost; the front with its ranges.

    Args:
        points: All that could be run.
        front: Those of them that no other beats.
        picture: One of `curve.FORMATS`.
    """
    # Takes a second to import, which no other command should wait for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4), layout="constrained")
    for axes, (name, head) in zip(
        figure.subplots(1, 2),
        (("joules", "J a token"), ("memory_usd", "memories, US dollars")),
        strict=True,
    ):
        axes.plot(
            [point["tokens_a_second"] for point in points],
            [point[name] for point in points],
            ".",
            color="gray",
            label="beaten",
        )
        middles = [point[name] for point in front]
        low, high = (
            [abs(point[f"{name}_{end}"] - point[name]) for point in front]
            for end in ("low", "high")
        )
        axes.errorbar(
            [point["tokens_a_second"] for point in front],
            middles,
            yerr=(low, high),
            fmt="o",
            capsize=2,
            label="not beaten, with its range",
        )
        axes.set(xlabel="tokens a second", ylabel=head, xscale="log", yscale="log")
    figure.axes[0].legend()
    drawn = BytesIO()
    figure.savefig(drawn, format=picture)
    return drawn.getvalue()
