"""A flash channel with its core dies behind it: the smallest thing that reads pages."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import connect, flipped

from neardecode.config import Flash
from neardecode.flash.channel import FlashChannel
from neardecode_testbench.devices.faults import FaultsInterface
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.devices.storage import StorageInterface

__all__ = ["ChannelBench"]


class ChannelBench(wiring.Component):
    """A channel controller joined to its dies.

    Parameters:
        config: The flash section of a configuration.
        sense_cycles: tR.

    Members:
        requests, beats, counting, cycles, events: As the channel's.
        storage: As the dies'.
        faults, flipped: As the dies', where there is error correction.
    """

    requests: stream.Interface
    beats: stream.Interface
    storage: StorageInterface
    faults: FaultsInterface
    flipped: Signal
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(self, config: Flash, sense_cycles: int):
        self.channel = FlashChannel(config)
        self.dies = NandDies(config, sense_cycles)
        members = {**self.channel.signature.members, **self.dies.signature.members}
        del members["dies"], members["bus"]
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """Wire the dies to the controller."""
        m = Module()
        m.submodules.channel = channel = self.channel
        m.submodules.dies = dies = self.dies
        connect(m, channel=channel.requests, edge=flipped(self.requests))
        connect(m, channel=channel.beats, edge=flipped(self.beats))
        connect(m, channel.dies, dies.bus)
        connect(m, dies.storage, flipped(self.storage))
        if "faults" in dies.signature.members:
            connect(m, dies.faults, flipped(self.faults))
            m.d.comb += self.flipped.eq(dies.flipped)
        m.d.comb += [
            channel.counting.eq(self.counting),
            self.cycles.eq(channel.cycles),
            self.events.eq(channel.events),
        ]
        return m
