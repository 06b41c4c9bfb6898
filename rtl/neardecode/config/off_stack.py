"""The edge of a stack: the data pins to what lies outside it.

Source: JEDEC JESD238, HBM3: 1024 data pins a stack (32 pseudo channels of 32) at up to 6.4 Gb/s,
together 819.2 GB/s. The latency is ours.
"""

from typing import Annotated

from pydantic import Field

from neardecode.config.section import Section

__all__ = ["OffStack"]


class OffStack(Section):
    """A stack's pins; every vault or channel has its share of them, as a pseudo channel has."""

    pins: Annotated[int, Field(ge=1, le=65536)] = 1024
    """Data pins of the stack, each of which carries bits either way."""
    pin_gbit_s: Annotated[float, Field(gt=0, le=128)] = 6.4
    """Rate of a pin in Gb/s."""
    latency_ns: Annotated[float, Field(gt=0, le=1000)] = 2.5
    """What crossing takes, each way."""

    @property
    def bandwidth_gbs(self) -> float:
        """What all pins carry, in GB/s."""
        return self.pins * self.pin_gbit_s / 8
