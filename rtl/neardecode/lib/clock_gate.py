"""Blocks whose clock stands still while they have nothing to do."""

from typing import Protocol

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)

__all__ = ["CLOCK_GATE", "ClockGates", "Gated", "Sleeper"]

CLOCK_GATE = "clock_gate"
"""The cell's name: ports ``clk``, ``enable`` and ``gated``, and a latch while the clock is low."""


class ClockGates:
    """A platform that has the cell. Without one every clock runs: nothing but power changes."""


class Sleeper(Protocol):
    """A block that says whether an edge of its clock would change anything.

    Attributes:
        awake: One bit, from its inputs and its state.
    """

    awake: Signal

    def elaborate(self, platform) -> Module:
        """As every block."""
        ...


class Gated(Elaboratable):
    """A block as a submodule, clocked while it is awake or reset.

    Parameters:
        block: It.
    """

    def __init__(self, block: Sleeper):
        self._block = block

    def elaborate(self, platform) -> Module | Sleeper:
        """The block under a clock of its own, or as it is."""
        if not isinstance(platform, ClockGates):
            return self._block
        m = Module()
        m.domains.awake = ClockDomain(local=True)
        m.submodules.block = DomainRenamer("awake")(self._block)
        m.submodules.gate = Instance(
            CLOCK_GATE,
            i_clk=ClockSignal(),
            i_enable=self._block.awake | ResetSignal(),
            o_gated=ClockSignal("awake"),
        )
        m.d.comb += ResetSignal("awake").eq(ResetSignal())
        return m
