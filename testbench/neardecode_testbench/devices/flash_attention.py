"""Attention behind a flash channel, which holds all keys and values."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, connect, flipped
from amaranth.utils import exact_log2

from neardecode.attention.attended import AttendedPacker
from neardecode.attention.merge import AttentionMerge
from neardecode.attention.unit import AttentionUnit
from neardecode.config import Config
from neardecode.flash.channel import FlashChannel
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.devices.storage import StorageInterface

__all__ = ["FlashAttention"]


class FlashAttention(wiring.Component):
    """A flash channel with its dies, an attention unit, and what makes activations of its sums.

    Parameters:
        config: As `AttentionUnit`. tR is the longest that the dies may have.

    Members:
        commands, queries: As the unit's.
        blocks: As the packer's.
        storage, sense_cycles: As the dies'.
        counting: In(1). Counters run.
        cycles: As the unit's.
        flash_cycles: As the channel's.
    """

    commands: stream.Interface
    queries: stream.Interface
    blocks: stream.Interface
    storage: StorageInterface
    sense_cycles: Signal
    counting: Signal
    cycles: data.View
    flash_cycles: data.View

    def __init__(self, config: Config):
        self._unit = AttentionUnit(config, exact_log2(config.flash.pages), config.kv.tiles_ahead)
        self._merge, self._packer = AttentionMerge(config, 1), AttendedPacker(config)
        self._channel = FlashChannel(config.flash)
        self._dies = NandDies(config.flash, config.sense_cycles, varied=True)
        unit, dies = self._unit.signature.members, self._dies.signature.members
        super().__init__(
            {
                **{name: unit[name] for name in ("commands", "queries", "cycles")},
                "blocks": self._packer.signature.members["blocks"],
                **{name: dies[name] for name in ("storage", "sense_cycles")},
                "counting": In(1),
                "flash_cycles": self._channel.signature.members["cycles"],
            }
        )

    def elaborate(self, platform) -> Module:
        """One behind the other."""
        m = Module()
        m.submodules.unit = unit = self._unit
        m.submodules.merge = merge = self._merge
        m.submodules.packer = packer = self._packer
        m.submodules.channel = channel = self._channel
        m.submodules.dies = dies = self._dies
        for name in ("commands", "queries"):
            connect(m, flipped(getattr(self, name)), getattr(unit, name))
        connect(m, unit.requests, channel.requests)
        connect(m, channel.beats, unit.beats)
        connect(m, channel.dies, dies.bus)
        connect(m, dies.storage, flipped(self.storage))
        connect(m, unit.partials, merge.partials[0])
        connect(m, unit.sums, merge.sums[0])
        connect(m, merge.words, packer.words)
        connect(m, packer.blocks, flipped(self.blocks))
        m.d.comb += [
            merge.used.eq(1),
            dies.sense_cycles.eq(self.sense_cycles),
            unit.counting.eq(self.counting),
            channel.counting.eq(self.counting),
            self.cycles.eq(unit.cycles),
            self.flash_cycles.eq(channel.cycles),
        ]
        return m
