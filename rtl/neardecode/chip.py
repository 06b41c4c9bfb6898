"""One chip that a host drives: slices at their flash channels, one command at a time."""

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock, SliceCommand
from neardecode.config import Config
from neardecode.slice_array import SliceArray
from neardecode.slice_array import slice_counter_names as counter_names

__all__ = ["Chip", "counter_names"]


class Chip(wiring.Component):
    """Slices that read their flash channels, and the way of their results to the host.

    Parameters:
        config: A configuration.

    Members:
        commands: In(stream of {slice, command}).
        activations: In(stream of {slice, block}).
        results: Out(stream of `FlitLayout`). A flit a result, its payload above the
            header a `SliceResult`.
        dies: Out(`CoreDieBus`), one a channel.
        counting: In(1). Counters run.
        counter_address: In. Which counter; see `counter_names`.
        counter_value: Out(48). Its count, in the same cycle.
    """

    commands: stream.Interface
    activations: stream.Interface
    results: stream.Interface
    dies: Sequence
    counting: Signal
    counter_address: Signal
    counter_value: Signal

    def __init__(self, config: Config):
        self._slices = SliceArray(config)
        index = unsigned(ceil_log2(config.flash.channels))
        command = SliceCommand(config.compute, ceil_log2(config.flash.pages))
        block = ActivationBlock(config.compute)
        members = self._slices.signature.members
        super().__init__(
            {
                "commands": In(
                    stream.Signature(data.StructLayout({"slice": index, "command": command}))
                ),
                "activations": In(
                    stream.Signature(data.StructLayout({"slice": index, "block": block}))
                ),
                "results": members["results"],
                "dies": members["dies"],
                "counting": In(1),
                "counter_address": members["counter_address"],
                "counter_value": members["counter_value"],
            }
        )

    def elaborate(self, platform) -> Module:
        """A slice takes what names it."""
        m = Module()
        m.submodules.slices = slices = self._slices
        connect(m, slices.results, flipped(self.results))
        for die, edge in zip(slices.dies, self.dies, strict=True):
            connect(m, die, flipped(edge))
        for edge, inner, field in (
            (self.commands, slices.commands, "command"),
            (self.activations, slices.activations, "block"),
        ):
            slice_ = edge.payload.slice
            for index, each in enumerate(inner):
                m.d.comb += [
                    each.valid.eq(edge.valid & (slice_ == index)),
                    each.payload.eq(edge.payload[field]),
                ]
            m.d.comb += edge.ready.eq(Array(each.ready for each in inner)[slice_])
        m.d.comb += [
            slices.counting.eq(self.counting),
            slices.counter_address.eq(self.counter_address),
            self.counter_value.eq(slices.counter_value),
        ]
        return m
