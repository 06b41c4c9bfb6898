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
    """A chip and the NAND core dies of its channels.

    Without a host nothing goes wrong in the dies, and none of that is built.

    Parameters:
        config: A configuration.

    Members:
        commands, activations, results, counting, counter_address, counter_value: As the chip's.
        storage: Out(`StoragePort`), one a channel.
        records, faults: As the dies', one a channel; only with a host.
    """

    commands: stream.Interface
    activations: stream.Interface
    results: stream.Interface
    storage: Sequence
    records: Sequence
    faults: Sequence
    counting: Signal
    counter_address: Signal
    counter_value: Signal

    def __init__(self, config: Config):
        self.chip = Chip(config)
        flash = config.flash
        self._dies = [
            NandDies(
                flash,
                config.sense_cycles,
                config.cycles(flash.program_ns),
                config.cycles(flash.erase_ns),
                faults=flash.host is not None,
            )
            for _ in range(flash.channels)
        ]
        members = dict(self.chip.signature.members)
        del members["dies"]
        ports = self._dies[0].signature.members
        self._ports = [name for name in ("storage", "records", "faults") if name in ports]
        members |= {name: ports[name].array(flash.channels) for name in self._ports}
        super().__init__(members)

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
            for name in self._ports:
                connect(m, getattr(dies, name), flipped(getattr(self, name)[channel]))
        return m
