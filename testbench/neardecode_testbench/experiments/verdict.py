"""A claim and whether it is reproduced, by figures and a stated criterion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from neardecode_testbench.experiments.figure import Figure

__all__ = ["Claim", "judged", "judged_between"]


@dataclass(frozen=True)
class Claim:
    """What somebody says, and what was found.

    Attributes:
        name: A word for it.
        text: What is said.
        source: By whom.
        in_paper: Whether Ma and Patterson say it: ``abstract``, ``not in its abstract``, or ``no``
            where others say it.
        criterion: What must hold of the figures that are judged.
        verdict: ``reproduced``, ``not reproduced``, or ``depends on`` something.
        figures: What was found; the first are judged.
        because: In a sentence.
    """

    name: str
    text: str
    source: str
    in_paper: str
    criterion: str
    verdict: str
    figures: tuple[Figure, ...]
    because: str

    def table(self) -> dict[str, Any]:
        """For machines."""
        return {**vars(self), "figures": [figure.table() for figure in self.figures]}


def judged(figures: Sequence[Figure], holds: Callable[[float], bool], depends_on: str) -> str:
    """The verdict where a criterion is to hold of every figure, at both ends of its range.

    Args:
        figures: That are judged.
        holds: The criterion.
        depends_on: What decides, where it holds of some and not of others.
    """
    numbers = [
        number
        for figure in figures
        for number in (figure.low, figure.value, figure.high)
        if number is not None
    ]
    held = [holds(number) for number in numbers]
    if all(held):
        return "reproduced"
    return f"depends on {depends_on}" if any(held) else "not reproduced"


def judged_between(figures: Sequence[Figure], least: float, most: float, depends_on: str) -> str:
    """The verdict where figures are to lie in a band, with all of their ranges.

    Args:
        figures: That are judged.
        least, most: The band.
        depends_on: What decides, where ranges lie partly in it, or on both sides.
    """
    ranges = [(figure.low or figure.value, figure.high or figure.value) for figure in figures]
    if all(least <= low and high <= most for low, high in ranges):
        return "reproduced"
    below = all(high < least for _, high in ranges)
    above = all(low > most for low, _ in ranges)
    return "not reproduced" if below or above else f"depends on {depends_on}"
