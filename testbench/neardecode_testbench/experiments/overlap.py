"""Where RTL and model overlap: a small model on one chip and on more, in both.

A large model on full stacks is beyond simulation, and what the model of a token says of it rests on
what it says where both can be had.
"""

from collections.abc import Sequence
from typing import Any

from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.experiments.validation import validate
from neardecode_testbench.experiments.validation_tokens import Board, MeasuredTokens
from neardecode_testbench.model.shapes import Shape

__all__ = ["OVERLAP_CHIPS", "overlap"]

OVERLAP_CHIPS = (1, 2)
"""Chips whose RTL is built."""
SHAPE = Shape("random", 2, 256, 8, 4, 64, 512, 1024)
CONTEXT, SENSE_US = 256, 1.0


def overlap(chips: Sequence[int] = OVERLAP_CHIPS, jobs: int = 1) -> list[dict[str, Any]]:
    """A row each number of chips: cycles of the last token in RTL and by the model.

    Raises:
        FigureError: if one cannot be run.
    """
    points = [MeasuredTokens(_board(count), SENSE_US, CONTEXT, SHAPE) for count in chips]
    found = {}
    for row in validate(points, jobs):
        if row["failed"] is not None:
            raise FigureError(f"{row['chips']} chips in RTL: {row['failed']}")
        found[row["chips"]] = row
    return [
        {
            "chips": count,
            "context": CONTEXT,
            "rtl_cycles": found[count]["rtl"][-1],
            "model_cycles": found[count]["model"][-1],
        }
        for count in chips
    ]


def _board(chips: int) -> Board:
    """A chip of one channel and one vault; several have the links of the presets between them."""
    values = {
        **{"banks": 16, "channels": 1, "chips": chips, "lanes": 8, "vaults": 1},
        **{"page_bytes": 1024, "head_elements": 64, "group": 2, "prefetch": 4},
        **{"link_latency": 1, "chip_link_latency": 32, "block_format": "Q8_0"},
        "split": "heads" if chips > 1 else "context",
    }
    return Board(tuple(values.items()))
