"""Where cycles went, as bars of shares."""

from collections.abc import Mapping
from io import BytesIO

__all__ = ["shares_picture"]

LEAST = 0.0005
"""Shares that are drawn."""


def shares_picture(shares: Mapping[str, Mapping[str, float]], picture: str) -> bytes:
    """A bar a block, a colour a cause; what is busy comes first, then causes as they are met.

    Args:
        shares: Of each block's cycles, by cause.
        picture: One of `curve.FORMATS`.
    """
    # Takes a second to import, which no other command should wait for.
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    names = list(shares)
    met = [cause for block in shares.values() for cause, share in block.items() if share >= LEAST]
    causes = dict.fromkeys(["busy", *met])
    figure = Figure(figsize=(9.0, 1.6 + 0.26 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = colormaps["tab20"].colors  # pyright: ignore[reportAttributeAccessIssue]
    left = [0.0] * len(names)
    for number, cause in enumerate(causes):
        widths = [block.get(cause, 0.0) for block in shares.values()]
        axes.barh(names, widths, left=left, label=cause, color=colours[number % len(colours)])
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the cycles", title="Where cycles went")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    drawn = BytesIO()
    figure.savefig(drawn, format=picture)
    return drawn.getvalue()
