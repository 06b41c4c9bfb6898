"""A MAC slice and the stack's edge: on which side of it the slice lies."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from neardecode.compute.off_stack import Crossing, OffStackLink
from neardecode.compute.slice import MacSlice
from neardecode.config import Config
from neardecode.lib.once import once

__all__ = ["PlacedSlice"]

COUNT_BITS = 48

FROM_HOST = ("activations", "probabilities", "selections")
TO_HOST = ("results", "sums")


@once
class PlacedSlice(wiring.Component):
    """The same slice between its memory in the stack and its host outside.

    With ``compute.near_memory`` it lies beside the memory: what the host gives and gets crosses
    the edge. Without, it is one of a central array: every beat of the memory crosses. Whatever
    crosses shares the pins of `OffStackLink`; a beat's flags and tag have wires of their own, which
    the host that asked for it needs no pins for. Commands, or else page requests, go over command
    pins, one a cycle, which are none of the data pins.

    Parameters:
        config: A configuration.
        address_bits: Bits of a page's address.

    Members:
        edge_cycles: Out(counts by `OffStackCause`). Of the data pins.
        edge_in, edge_out: Out(48). Bytes that crossed the edge on data and command pins.
        The others: As `MacSlice`. Those of its memory lie in the stack, all others outside.
    """

    commands: stream.Interface
    activations: stream.Interface
    probabilities: stream.Interface
    selections: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    results: stream.Interface
    sums: stream.Interface
    throttle: Signal
    counting: Signal
    cycles: data.View
    zero_blocks: Signal
    edge_cycles: data.View
    edge_in: Signal
    edge_out: Signal

    def __init__(self, config: Config, address_bits: int):
        self._slice = MacSlice(config, address_bits)
        members = dict(self._slice.signature.members)
        if config.compute.near_memory:
            outward = {name: name in TO_HOST for name in (*FROM_HOST, *TO_HOST) if name in members}
            command = "commands"
        else:
            outward, command = {"beats": True}, "requests"

        def crossing(name: str, leaves: bool) -> Crossing:
            shape = members[name].signature.members["payload"].shape
            beside = Shape.cast(shape).width - 8 * config.flash.beat_bytes if name == "beats" else 0
            return Crossing(shape, leaves, beside)

        bits, cycles = config.off_stack_bits, config.off_stack_cycles
        data_crossings = {name: crossing(name, leaves) for name, leaves in outward.items()}
        command_crossing = crossing(command, False)
        self._data = OffStackLink(data_crossings, bits, cycles)
        self._command = OffStackLink({command: command_crossing}, command_crossing.bits, cycles)
        self._crosses = dict.fromkeys(data_crossings, self._data) | {command: self._command}
        super().__init__(
            {
                **members,
                "edge_cycles": self._data.signature.members["cycles"],
                "edge_in": Out(COUNT_BITS),
                "edge_out": Out(COUNT_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        """A slice, and a link in the way of every stream that crosses."""
        m = Module()
        m.submodules.slice = slice_ = self._slice
        m.submodules.data = self._data
        m.submodules.command = self._command
        edge: Any = self
        for name, member in slice_.signature.members.items():
            outer, inner = getattr(edge, name), getattr(slice_, name)
            if name in self._crosses:
                link: Any = self._crosses[name]
                near, far = getattr(link, name), getattr(link, f"{name}_far")
                given, taken = (outer, inner) if member.flow == wiring.In else (inner, outer)
                connect(m, flipped(given) if given is outer else given, near)
                connect(m, far, flipped(taken) if taken is outer else taken)
            elif not member.is_port:
                connect(m, flipped(outer), inner)
            elif member.flow == wiring.In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        m.d.comb += [
            self._data.counting.eq(self.counting),
            self._command.counting.eq(self.counting),
            self.edge_cycles.eq(self._data.cycles),
            self.edge_in.eq(self._data.bytes_in + self._command.bytes_in),
            self.edge_out.eq(self._data.bytes_out + self._command.bytes_out),
        ]
        return m
