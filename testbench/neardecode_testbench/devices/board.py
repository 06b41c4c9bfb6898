"""A board: one chip with its memory dies, what a simulator runs."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.chip import Chip
from neardecode.config import Config
from neardecode_testbench.devices.nand import NandDies, StoragePort

__all__ = ["Board"]


class Board(wiring.Component):
    """A chip and the NAND core dies of its channels.

    Parameters:
        config: A configuration.

    Members:
        commands, activations, results, counting, counter_address, counter_value: As the chip's.
        storage: Out(`StoragePort`), one a channel.
    """

    commands: stream.Interface
    activations: stream.Interface
    results: stream.Interface
    storage: Sequence
    counting: Signal
    counter_address: Signal
    counter_value: Signal

    def __init__(self, config: Config):
        self.chip = Chip(config)
        self._flash = config.flash
        self._sense_cycles = config.sense_cycles
        members = dict(self.chip.signature.members)
        del members["dies"]
        address_bits = ceil_log2(config.flash.pages * config.flash.page_beats)
        port = StoragePort(address_bits, config.flash.beat_bytes)
        super().__init__({**members, "storage": Out(port).array(config.flash.channels)})

    def elaborate(self, platform) -> Module:
        """Wire the dies to the chip."""
        m = Module()
        flash = self._flash
        m.submodules.chip = chip = self.chip
        for name in ("commands", "activations", "results"):
            connect(m, chip=getattr(chip, name), board=flipped(getattr(self, name)))
        m.d.comb += [
            chip.counting.eq(self.counting),
            chip.counter_address.eq(self.counter_address),
            self.counter_value.eq(chip.counter_value),
        ]
        for channel in range(flash.channels):
            m.submodules[f"dies{channel}"] = dies = NandDies(flash, self._sense_cycles)
            connect(m, chip.dies[channel], dies.bus)
            connect(m, dies.storage, flipped(self.storage[channel]))
        return m
