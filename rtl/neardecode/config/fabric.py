"""Parameters of routers and links."""

from typing import Annotated, Literal

from pydantic import Field

from neardecode.config.link import Protection
from neardecode.config.section import Section

__all__ = ["Fabric"]


class Fabric(Section):
    """Routers and links."""

    payload_bits: Annotated[int, Field(ge=64, le=512)] = 96
    """Bits of a flit's payload."""
    buffer_flits: Annotated[int, Field(ge=1, le=64)] = 8
    """Flits of an input buffer, and so the credits of the link before it."""
    token_channels: Annotated[int, Field(ge=1, le=8)] = 1
    """Virtual channels of tokens in a network."""
    bulk_channels: Annotated[int, Field(ge=0, le=8)] = 0
    """Virtual channels of bulk in a network; at 0 everything is of one class."""
    link_latency: Annotated[int, Field(ge=0, le=64)] = 1
    """Registers on a link in each direction, in cycles."""

    chip_link_latency: Annotated[int, Field(ge=0, le=4096)] = 32
    """Registers on a link between chips in each direction, in cycles."""

    chip_links: Literal["plain", "protected"] = "plain"
    """Links between chips: wires alone, or with checksum and replay."""

    @property
    def chip_protection(self) -> Protection | None:
        """Links between chips that let a unit through in every cycle, if they are protected."""
        if self.chip_links == "plain":
            return None
        link = Protection(latency=self.chip_link_latency)
        return Protection(
            latency=link.latency,
            window=1 << (link.full_rate_window - 1).bit_length(),
            buffer_units=link.full_rate_buffer,
        )

    @property
    def classes(self) -> tuple[int, ...]:
        """Virtual channels of each class of traffic, the first served first."""
        return tuple(count for count in (self.token_channels, self.bulk_channels) if count)
