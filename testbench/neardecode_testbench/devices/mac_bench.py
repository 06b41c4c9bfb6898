"""A MAC slice behind a memory that gives pages at the rate of its bus."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.compute.placed import PlacedSlice
from neardecode.compute.slice import MacSlice
from neardecode.config import Config
from neardecode_testbench.devices.page_memory import PageMemory

__all__ = ["MacBench"]

COUNT_BITS = 48


class MacBench(wiring.Component):
    """A slice joined to its memory.

    Parameters:
        config: A configuration.
        rate: Of the memory, as `PageMemory`.
        placed: The stack's edge lies between the two, or between the slice and its host.

    Members:
        storage: As the memory's.
        window: Out(48). Cycles from the first beat that was taken of the memory to the last.
        The others: As those of `MacSlice` or `PlacedSlice`, but for ``requests`` and ``beats``.
    """

    window: Signal

    def __init__(self, config: Config, rate: int, placed: bool = False):
        address_bits = ceil_log2(config.flash.pages)
        self._slice = (PlacedSlice if placed else MacSlice)(config, address_bits)
        # A page that does not exist has an address of its own: one bit more.
        flash = config.flash
        self._memory = PageMemory(address_bits, flash.page_beats, flash.beat_bytes, rate)
        members = {**self._slice.signature.members}
        del members["requests"], members["beats"]
        storage = self._memory.signature.members["storage"]
        super().__init__({**members, "storage": storage, "window": Out(COUNT_BITS)})

    def elaborate(self, platform) -> Module:
        """Wire the slice to its memory, and everything else to the edge."""
        m = Module()
        m.submodules.slice = slice_ = self._slice
        m.submodules.memory = memory = self._memory
        connect(m, slice_.requests, memory.requests)
        connect(m, memory.beats, slice_.beats)
        edge: Any = self
        for name, member in self.signature.members.items():
            if name == "window":
                continue
            outer, inner = (
                getattr(edge, name),
                getattr(memory if name == "storage" else slice_, name),
            )
            if not member.is_port:
                connect(m, flipped(outer), inner)
            elif member.flow == wiring.In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        taken = Signal()
        elapsed = Signal(COUNT_BITS)
        m.d.comb += taken.eq(slice_.beats.valid & slice_.beats.ready)
        with m.If(taken | (elapsed != 0)):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(taken):
            m.d.sync += self.window.eq(elapsed + 1)
        return m
