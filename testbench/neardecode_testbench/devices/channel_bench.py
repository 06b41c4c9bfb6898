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
        program_cycles, erase_cycles: tPROG and tBERS, where there is a host.

    Members:
        requests, beats, counting, cycles, events: As the channel's.
        storage, records, faults, faulty, flipped, violated: As the dies', where they exist.
    """

    requests: stream.Interface
    beats: stream.Interface
    storage: StorageInterface
    records: StorageInterface
    faults: FaultsInterface
    faulty: Signal
    flipped: Signal
    violated: Signal
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(
        self,
        config: Flash,
        sense_cycles: int,
        program_cycles: int | None = None,
        erase_cycles: int | None = None,
    ):
        self.channel = FlashChannel(config)
        self.dies = NandDies(config, sense_cycles, program_cycles, erase_cycles)
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
        for name in ("storage", "records", "faults"):
            if name in dies.signature.members:
                connect(m, getattr(dies, name), flipped(getattr(self, name)))
        for name in ("flipped", "violated"):
            if name in dies.signature.members:
                m.d.comb += getattr(self, name).eq(getattr(dies, name))
        if "faulty" in dies.signature.members:
            m.d.comb += dies.faulty.eq(self.faulty)
        m.d.comb += [
            channel.counting.eq(self.counting),
            self.cycles.eq(channel.cycles),
            self.events.eq(channel.events),
        ]
        return m
