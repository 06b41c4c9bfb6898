"""Flash channels, a MAC slice behind each, and a router that gathers their results."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock, SliceCommand
from neardecode.compute.placed import PlacedSlice
from neardecode.compute.slice import MacSlice
from neardecode.config import (
    ChannelCause,
    ChannelEvent,
    Config,
    LinkCause,
    RouterCause,
    SliceCause,
)
from neardecode.fabric.link import Link
from neardecode.fabric.router import Router, Turn
from neardecode.flash.bus import CoreDieBus
from neardecode.flash.channel import FlashChannel
from neardecode.lib.counters import CycleCounters
from neardecode.lib.credit import CreditReceiver
from neardecode.lib.flit import FlitKind, FlitLayout

__all__ = ["SliceArray", "slice_counter_names"]


def slice_counter_names(config: Config) -> tuple[str, ...]:
    """What stands at each counter's place: ``instance.cause``, or ``instance:event``."""
    names: list[str] = []
    for channel in range(config.flash.channels):
        names += [f"flash{channel}.{cause.name.lower()}" for cause in ChannelCause]
        names += [f"flash{channel}:{event.name.lower()}" for event in ChannelEvent]
        names += [f"slice{channel}.{cause.name.lower()}" for cause in SliceCause]
        names += [f"link{channel}.{cause.name.lower()}" for cause in LinkCause]
    names += [f"router.{cause.name.lower()}" for cause in RouterCause]
    return tuple(names)


class SliceArray(wiring.Component):
    """Slices that read their flash channels, and the way of their results to one reader.

    A result leaves its slice over a link to the router and from there over another link to the
    reader's buffer.

    Parameters:
        config: A configuration.

    Members:
        commands: In(stream of `SliceCommand`), a slice each.
        activations: In(stream of `ActivationBlock`), a slice each.
        results: Out(stream of `FlitLayout`). A flit a result, its payload above the
            header a `SliceResult`.
        dies: Out(`CoreDieBus`), one a channel.
        counting: In(1). Counters run.
        counts: Out. In the order of `slice_counter_names`.
    """

    commands: Sequence
    activations: Sequence
    results: stream.Interface
    dies: Sequence
    counting: Signal
    counts: data.View

    def __init__(self, config: Config):
        self._config = config
        flash = config.flash
        address_bits = ceil_log2(flash.pages)
        # Every slice has its own address and port; the reader has the last.
        ends = flash.channels + 1
        self._flit = FlitLayout.for_payload(config.fabric.payload_bits, ends, ends)
        command = SliceCommand(config.compute, address_bits)
        members = {
            "commands": In(stream.Signature(command)).array(flash.channels),
            "activations": In(stream.Signature(ActivationBlock(config.compute))).array(
                flash.channels
            ),
            "results": Out(stream.Signature(self._flit)),
            "dies": Out(CoreDieBus(flash)).array(flash.channels),
            "counting": In(1),
            "counts": Out(data.ArrayLayout(48, len(slice_counter_names(config)))),
        }
        super().__init__(members)

    @property
    def flit(self) -> FlitLayout:
        """The layout of results."""
        return self._flit

    def elaborate(self, platform) -> Module:
        """Wire the blocks together."""
        m = Module()
        config = self._config
        channels = config.flash.channels
        reader = channels
        address_bits = ceil_log2(config.flash.pages)

        m.submodules.router = router = Router(
            self._flit,
            routes=range(channels + 1),
            buffer_flits=config.fabric.buffer_flits,
            output_credits=config.fabric.buffer_flits,
            turns=[Turn(slice_, 0, reader, 0) for slice_ in range(channels)],
        )
        m.submodules.router_cycles = router_cycles = CycleCounters(RouterCause)
        m.submodules.host = receiver = CreditReceiver(self._flit, config.fabric.buffer_flits)
        connect(m, router.outputs[reader], receiver.link)
        connect(m, receiver.o, flipped(self.results))

        counts = []
        for index in range(channels):
            m.submodules[f"flash{index}"] = channel = FlashChannel(config.flash)
            # One of a central array lies across the stack's edge from its channel.
            slice_class = MacSlice if config.compute.near_memory else PlacedSlice
            m.submodules[f"slice{index}"] = mac = slice_class(config, address_bits)
            m.submodules[f"link{index}"] = link = Link(
                self._flit,
                latency=config.fabric.link_latency,
                credits=config.fabric.buffer_flits,
            )
            connect(m, mac.requests, channel.requests)
            connect(m, channel.beats, mac.beats)
            connect(m, channel.dies, flipped(self.dies[index]))
            connect(m, link.far, router.inputs[index])
            connect(m, flipped(self.commands[index]), mac.commands)
            connect(m, flipped(self.activations[index]), mac.activations)

            flit = Signal(self._flit.first, name=f"result_{index}")
            m.d.comb += [
                link.flits.valid.eq(mac.results.valid),
                mac.results.ready.eq(link.flits.ready),
                link.flits.payload.eq(flit),
                flit.header.kind.eq(FlitKind.RESULT),
                flit.header.source.eq(index),
                flit.header.destination.eq(reader),
                flit.payload.eq(mac.results.payload.as_value()),
                flit.tail.eq(1),
            ]
            for block in (channel, mac, link):
                m.d.comb += block.counting.eq(self.counting)
            counts += [*channel.cycles, *channel.events, *mac.cycles, *link.cycles]

        m.d.comb += [
            router_cycles.cause.eq(router.cause),
            router_cycles.counting.eq(self.counting),
        ]
        counts += [*router_cycles.counts]
        m.d.comb += [self.counts[place].eq(count) for place, count in enumerate(counts)]
        return m
