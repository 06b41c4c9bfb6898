"""Parameters of a protected link, as between two chips."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neardecode.config.flash import Repair
from neardecode.config.section import Section, power_of_two

__all__ = ["Protection"]


class Protection(Section):
    """A link that survives errors: checksum, replay, spare lanes."""

    latency: Annotated[int, Field(ge=0, le=256)] = 20
    """Registers on the lanes in each direction, in cycles."""
    channels: Annotated[int, Field(ge=1, le=8)] = 1
    """Streams that share the lanes, each with its own buffer; the first goes first."""
    checksum_bits: Literal[16, 24, 32] = 32
    """Bits of a frame's checksum."""
    window: Annotated[int, Field(ge=2, le=1024)] = 64
    """Units kept for replay until they are acknowledged; a power of two."""
    buffer_units: Annotated[int, Field(ge=3, le=1024)] = 64
    """Units of each channel's receive buffer."""
    repair: Repair | None = None
    """Spare lanes, tested after reset; None: there are none."""
    policy: Literal["retry", "substitute"] = "retry"
    """What becomes of an overdue unit: wait for its replay, or give the previous one instead."""
    timeout: Annotated[int, Field(ge=1, le=1 << 20)] = 1024
    """Cycles from a gap seen to a unit that counts as overdue."""
    period: Annotated[int, Field(ge=1, le=1 << 16)] = 1
    """Units of a message: a substitute is the unit in the same place of the message before."""

    @model_validator(mode="after")
    def _check(self) -> "Protection":
        if not power_of_two(self.window):
            raise ValueError(f"window must be a power of two, not {self.window}")
        if self.policy == "substitute" and self.channels > 1:
            raise ValueError(
                "policy 'substitute' needs one channel: of a unit that never came nobody knows the"
                f" channel, not channels = {self.channels}"
            )
        return self

    @property
    def unit_latency(self) -> int:
        """Cycles from a unit taken to the same unit at the far end, without errors."""
        return self.latency + 6

    @property
    def replay_cycles(self) -> int:
        """Cycles that a frame costs that was hit, where frames are full."""
        return 2 * self.latency + 10

    @property
    def full_rate_window(self) -> int:
        """The least window that lets a unit through in every cycle, without errors."""
        return 2 * self.latency + 9

    @property
    def full_rate_buffer(self) -> int:
        """The least buffer that lets a unit through in every cycle, without errors."""
        return 2 * self.latency + 11
