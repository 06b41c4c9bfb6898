"""Points at which the model is held against the RTL, drawn at random from a seed."""

import numpy as np

from neardecode_testbench.experiments.dealt import CONTEXTS, TIMES_US
from neardecode_testbench.experiments.validation_heads import MeasuredHeads, draw_heads
from neardecode_testbench.experiments.validation_tokens import MeasuredTokens, draw_tokens

__all__ = ["Measured", "draw"]

HEADS_EVERY = 5
"""One of so many points is of heads whose keys and values lie in flash."""

Measured = MeasuredTokens | MeasuredHeads


def draw(seed: int, count: int) -> list[Measured]:
    """Points of a seed, in order of their boards: of tokens, and a fifth of them of heads.

    Raises:
        ValueError: if there are none.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    random = np.random.default_rng(seed)
    heads = count // HEADS_EVERY
    tokens = draw_tokens(random, *_times_and_rows(random, count - heads))
    return [*tokens, *draw_heads(random, *_times_and_rows(random, heads))]


def _times_and_rows(random: np.random.Generator, count: int) -> tuple[list[float], list[int]]:
    """So many of each, from one end of its range to the other, shuffled."""
    senses, contexts = (
        random.permutation(np.geomspace(*ends, count)) for ends in (TIMES_US, CONTEXTS)
    )
    return [round(float(each), 2) for each in senses], [round(each) for each in contexts]
