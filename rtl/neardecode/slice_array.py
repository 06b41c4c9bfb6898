"""Flash channels, a MAC slice behind each, and a router that gathers their results."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock, SliceCommand
from neardecode.config import Config, RouterCause
from neardecode.fabric.router import Router, Turn
from neardecode.flash.bus import CoreDieBus
from neardecode.lib.counters import CycleCounters, chosen_count
from neardecode.lib.credit import CreditReceiver
from neardecode.lib.flit import FlitLayout
from neardecode.weight_channel import WeightChannel, channel_counter_names

__all__ = ["SliceArray", "slice_counter_names"]


def slice_counter_names(config: Config) -> tuple[str, ...]:
    """What stands at each counter's place: ``instance.cause``, or ``instance:event``."""
    names: list[str] = []
    for channel in range(config.flash.channels):
        names += channel_counter_names(channel)
    names += [f"router.{cause.name.lower()}" for cause in RouterCause]
    return tuple(names)


class SliceArray(wiring.Component):
    """Slices that read their flash channels, and the way of their results to one reader.

    A result leaves its channel over a link to the router and from there over another link to the
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
        counter_address: In. Which counter; see `slice_counter_names`.
        counter_value: Out(48). Its count, in the same cycle; of addresses beyond them, any.
    """

    commands: Sequence
    activations: Sequence
    results: stream.Interface
    dies: Sequence
    counting: Signal
    counter_address: Signal
    counter_value: Signal

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
            "counter_address": In(range(len(slice_counter_names(config)))),
            "counter_value": Out(48),
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

        each = len(channel_counter_names(0))
        values = []
        for index in range(channels):
            m.submodules[f"channel{index}"] = channel = WeightChannel(
                config, self._flit, index, reader
            )
            connect(m, channel.far, router.inputs[index])
            connect(m, channel.dies, flipped(self.dies[index]))
            connect(m, flipped(self.commands[index]), channel.commands)
            connect(m, flipped(self.activations[index]), channel.activations)
            place = Signal(range(each), name=f"place_{index}")
            m.d.comb += [
                channel.counting.eq(self.counting),
                place.eq(self.counter_address - index * each),
                channel.counter_address.eq(place),
                channel.counter_chosen.eq(
                    (self.counter_address >= index * each)
                    & (self.counter_address < (index + 1) * each)
                ),
            ]
            values.append(channel.counter_value)
        place = Signal(range(len(RouterCause)), name="place_router")
        m.d.comb += [
            router_cycles.cause.eq(router.cause),
            router_cycles.counting.eq(self.counting),
            place.eq(self.counter_address - channels * each),
            self.counter_value.eq(
                Mux(
                    self.counter_address < channels * each,
                    reduce(or_, values),
                    chosen_count([*router_cycles.counts], place),
                )
            ),
        ]
        return m
