"""Parameters of routers and links."""

from typing import Annotated

from pydantic import Field

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

    @property
    def classes(self) -> tuple[int, ...]:
        """Virtual channels of each class of traffic, the first served first."""
        return tuple(count for count in (self.token_channels, self.bulk_channels) if count)
