"""A board: one chip with its memory dies, what a simulator runs."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import connect, flipped

from neardecode.chip import Chip
from neardecode.config import Config
from neardecode_testbench.devices.nand import NandDies

__all__ = ["Board"]


class Board(wiring.Component):
    """A chip and the NAND core dies of its channels, in which nothing goes wrong.

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
        self._dies = [
            NandDies(config.flash, config.sense_cycles, faults=False)
            for _ in range(config.flash.channels)
        ]
        members = dict(self.chip.signature.members)
        del members["dies"]
        port = self._dies[0].signature.members["storage"]
        super().__init__({**members, "storage": port.array(config.flash.channels)})

    def elaborate(self, platform) -> Module:
        """Wire the dies to the chip."""
        m = Module()
        m.submodules.chip = chip = self.chip
        for name in ("commands", "activations", "results"):
            connect(m, chip=getattr(chip, name), board=flipped(getattr(self, name)))
        m.d.comb += [
            chip.counting.eq(self.counting),
            chip.counter_address.eq(self.counter_address),
            self.counter_value.eq(chip.counter_value),
        ]
        for channel, dies in enumerate(self._dies):
            m.submodules[f"dies{channel}"] = dies
            connect(m, chip.dies[channel], dies.bus)
            connect(m, dies.storage, flipped(self.storage[channel]))
        return m
