"""A number with its unit, its range and the way it was obtained."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

__all__ = ["Figure", "FigureError"]

SHARE_LIMIT = 1.0001
"""Above this a share is an error."""


class FigureError(ValueError):
    """A number that cannot be: none, not a number, or a share above one."""


@dataclass(frozen=True)
class Figure:
    """A number that came out of something that was run.

    Attributes:
        name: What it is.
        value: How much.
        unit: In what; ``share`` where it is a part of one.
        how: What was run or computed for it.
        low, high: Its range, where there is one.

    Raises:
        FigureError: if it is not a positive number, a share is above one, or it is outside its
            range.
    """

    name: str
    value: float
    unit: str
    how: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not (isfinite(number) and number > 0):
                raise FigureError(f"{self.name}: {number!r} {self.unit} is no figure")
        if self.unit == "share" and self.value > SHARE_LIMIT:
            raise FigureError(f"{self.name}: {self.value:.6f} is more than all of it")
        if self.low is not None and self.high is not None and not self.low <= self.value:
            raise FigureError(f"{self.name}: {self.value:g} is below its range from {self.low:g}")
        if self.high is not None and self.value > self.high:
            raise FigureError(f"{self.name}: {self.value:g} is above its range to {self.high:g}")

    @property
    def text(self) -> str:
        """The number, its unit and its range, for eyes."""
        if self.unit == "share":
            return f"{self.value:.2%}"
        spread = "" if self.low is None else f" ({_short(self.low)} to {_short(self.high)})"
        return f"{_short(self.value)}{spread} {self.unit}"

    def table(self) -> dict[str, Any]:
        """For machines."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def _short(number: float | None) -> str:
    assert number is not None
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.4g}"
