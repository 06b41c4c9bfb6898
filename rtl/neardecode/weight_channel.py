"""A flash channel, the MAC slice behind it, and the link that takes its results away."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock, SliceCommand
from neardecode.compute.placed import PlacedSlice
from neardecode.compute.slice import MacSlice
from neardecode.config import ChannelCause, ChannelEvent, Config, LinkCause, SliceCause
from neardecode.fabric.link import Link
from neardecode.flash.bus import CoreDieBus, CoreDieBusInterface
from neardecode.flash.channel import FlashChannel
from neardecode.lib.counters import chosen_count
from neardecode.lib.credit import CreditInterface, CreditSignature
from neardecode.lib.flit import FlitKind, FlitLayout

__all__ = ["WeightChannel", "channel_counter_names"]


def channel_counter_names(channel: int) -> list[str]:
    """What stands at each counter's place of a channel: ``instance.cause``, ``instance:event``."""
    return [
        *(f"flash{channel}.{cause.name.lower()}" for cause in ChannelCause),
        *(f"flash{channel}:{event.name.lower()}" for event in ChannelEvent),
        *(f"slice{channel}.{cause.name.lower()}" for cause in SliceCause),
        *(f"link{channel}.{cause.name.lower()}" for cause in LinkCause),
    ]


class WeightChannel(wiring.Component):
    """Multiplies the rows of its dies by what it is sent, and sends the results on as flits.

    Latency and rate are those of `FlashChannel`, `MacSlice` and `Link`, one behind the other.

    Parameters:
        config: A configuration.
        flit: What a result is sent as.
        number: Which channel it is, by which its results are told apart.
        reader: Where results go.

    Members:
        commands: In(stream of `SliceCommand`).
        activations: In(stream of `ActivationBlock`).
        far: Out(`CreditSignature`). The link's far end.
        dies: Out(`CoreDieBus`).
        counting: In(1). Counters run.
        counter_address: In. Which counter; see `channel_counter_names`.
        counter_chosen: In(1). The address is of one of this channel's.
        counter_value: Out(48). Its count, in the same cycle; 0 where none is chosen.
    """

    commands: stream.Interface
    activations: stream.Interface
    far: CreditInterface
    dies: CoreDieBusInterface
    counting: Signal
    counter_address: Signal
    counter_chosen: Signal
    counter_value: Signal

    def __init__(self, config: Config, flit: FlitLayout, number: int, reader: int):
        self._config, self._flit = config, flit
        self._number, self._reader = number, reader
        self._address_bits = ceil_log2(config.flash.pages)
        command = SliceCommand(config.compute, self._address_bits)
        super().__init__(
            {
                "commands": In(stream.Signature(command)),
                "activations": In(stream.Signature(ActivationBlock(config.compute))),
                "far": Out(CreditSignature(flit)),
                "dies": Out(CoreDieBus(config.flash)),
                "counting": In(1),
                "counter_address": In(range(len(channel_counter_names(number)))),
                "counter_chosen": In(1),
                "counter_value": Out(48),
            }
        )

    def elaborate(self, platform) -> Module:
        """One block behind the other."""
        m = Module()
        config = self._config
        m.submodules.flash = flash = FlashChannel(config.flash)
        # The slice of a central array lies across the stack's edge from its channel.
        slice_class = MacSlice if config.compute.near_memory else PlacedSlice
        m.submodules.slice = mac = slice_class(config, self._address_bits)
        m.submodules.link = link = Link(
            self._flit,
            latency=config.fabric.link_latency,
            credits=config.fabric.buffer_flits,
        )
        connect(m, mac.requests, flash.requests)
        connect(m, flash.beats, mac.beats)
        connect(m, flash.dies, flipped(self.dies))
        connect(m, link.far, flipped(self.far))
        connect(m, flipped(self.commands), mac.commands)
        connect(m, flipped(self.activations), mac.activations)

        flit = Signal(self._flit.first, name="result")
        m.d.comb += [
            link.flits.valid.eq(mac.results.valid),
            mac.results.ready.eq(link.flits.ready),
            link.flits.payload.eq(flit),
            flit.header.kind.eq(FlitKind.RESULT),
            flit.header.source.eq(self._number),
            flit.header.destination.eq(self._reader),
            flit.payload.eq(mac.results.payload.as_value()),
            flit.tail.eq(1),
        ]
        for block in (flash, mac, link):
            m.d.comb += block.counting.eq(self.counting)
        counts = [*flash.cycles, *flash.events, *mac.cycles, *link.cycles]
        m.d.comb += self.counter_value.eq(
            Mux(self.counter_chosen, chosen_count(counts, self.counter_address), 0)
        )
        return m
