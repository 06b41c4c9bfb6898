"""What every section of a configuration shares."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Section", "power_of_two"]


class Section(BaseModel):
    """Frozen; refuses unknown keys and values of another type."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


def power_of_two(value: int) -> bool:
    """Whether a number is 1, 2, 4 and so on."""
    return value > 0 and value & (value - 1) == 0
