"""The share of good stacks against the rate at which TSVs fail and the spares that they have.

In closed form: lanes fail on their own, a group of ``n`` lanes is good with at most as many bad
ones as it has spares, and a stack is good if all groups of all vaults are. Beside it stacks are
drawn, and each goes through what the repair logic does, lane by lane.
"""

from collections.abc import Sequence
from math import comb, sqrt

import numpy as np

from neardecode.config import Stack
from neardecode_testbench.experiments.outcome import Column, Outcome

__all__ = ["led_around", "stack_yield", "yield_experiment"]

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
SPARES = (1, 2, 4)
DEVIATIONS = 3.29
"""Of a normal distribution, between which lie 99.9 % of all draws."""


def led_around(stuck: Sequence[bool], spares: int) -> list[int] | None:
    """Which lane carries each data bit of a group, as the repair logic chooses them.

    Each bit moves on to the next lane that is good; with more bad lanes than spares there is no
    way.

    Args:
        stuck: Of each lane of the group, spares last, whether it is bad.
        spares: How many of them are spares.
    """
    lanes = []
    lane = 0
    for _ in range(len(stuck) - spares):
        while lane < len(stuck) and stuck[lane]:
            lane += 1
        if lane == len(stuck):
            return None
        lanes.append(lane)
        lane += 1
    return lanes


def stack_yield(stack: Stack, rate: float, spares: int) -> float:
    """The share of stacks that are good, in closed form.

    Args:
        stack: The section; its own spares are not looked at.
        rate: At which a lane is bad.
        spares: Of a group.
    """
    groups = stack.repair.groups
    lanes = 8 * stack.stored_bytes // groups + spares
    group = sum(
        comb(lanes, bad) * rate**bad * (1 - rate) ** (lanes - bad) for bad in range(spares + 1)
    )
    # Rounding may make a certainty a little more than one.
    return min(group, 1.0) ** (groups * stack.vaults)


def _drawn(stack: Stack, rate: float, spares: int, draws: int, seed: int) -> float:
    """The share of drawn stacks that the repair logic makes good."""
    random = np.random.default_rng(seed)
    groups = stack.repair.groups * stack.vaults
    lanes = 8 * stack.stored_bytes // stack.repair.groups + spares
    good = 0
    for _ in range(draws):
        stuck = random.random((groups, lanes)) < rate
        # A group without a bad lane needs no repair.
        worn = stuck[stuck.any(axis=1)]
        good += all(led_around(group.tolist(), spares) is not None for group in worn)
    return good / draws


def yield_experiment(stack: Stack, draws: int, seed: int) -> Outcome:
    """Yields over rates and spares, in closed form and drawn.

    Args:
        stack: The section.
        draws: Stacks that are drawn for each.
        seed: Of the first.

    Raises:
        FigureError: if a share is none.
    """
    rows = []
    for spares in SPARES:
        for rate in RATES:
            closed = stack_yield(stack, rate, spares)
            drawn = _drawn(stack, rate, spares, draws, seed)
            # What a draw of so many may be away from the closed form, by chance and by rounding.
            away = DEVIATIONS * sqrt(closed * (1 - closed) / draws) + 1 / draws
            rows.append(
                {
                    "spares": spares,
                    "rate": rate,
                    "yield_share": closed,
                    "drawn_share": drawn or None,
                    "unrepaired_share": (1 - rate) ** (8 * stack.stored_bytes * stack.vaults),
                    "within": away,
                    "agrees": abs(closed - drawn) <= away,
                }
            )
    wrong = [row for row in rows if not row["agrees"]]
    agree = (
        f"all {len(rows)} draws agree with the closed form within {DEVIATIONS} deviations"
        if not wrong
        else f"{len(wrong)} of {len(rows)} draws do not agree with the closed form"
    )
    return Outcome(
        f"Good stacks: {stack.vaults} vaults, {stack.repair.groups} groups of"
        f" {8 * stack.stored_bytes // stack.repair.groups} data TSVs and their spares,"
        f" {draws:,} draws",
        (
            Column("spares", "spares a group", "d"),
            Column("rate", "rate of bad TSVs", "g"),
            Column("unrepaired_share", "without repair", ".4%"),
            Column("yield_share", "closed form", ".4%"),
            Column("drawn_share", "drawn", ".4%"),
            Column("agrees", "agrees"),
        ),
        tuple(rows),
        (
            agree,
            "Command TSVs, power and clock have no spares and are not counted; lanes fail on their"
            " own, so clustered faults are worse than this.",
        ),
    )
