"""A board that decodes: one chip with its NAND and DRAM dies, what a simulator runs."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from neardecode.config import Config
from neardecode.token_chip import TokenChip
from neardecode_testbench.devices.dram import DramDies
from neardecode_testbench.devices.nand import NandDies

__all__ = ["TokenBoard"]

DEVICES = ("dies", "drams", "faulty", "doubled")
"""What of the chip leads to its memories."""
INPUTS = ("running", "generate", "counting", "counter_address")
OUTPUTS = ("position", "idle", "saturated", "error", "counter_value")


class TokenBoard(wiring.Component):
    """A chip and its memories, in which nothing goes wrong.

    Parameters:
        config: A configuration with a decoder and a stack.

    Members:
        program, running, prompt, generate, tokens, sums, position, idle, saturated, error,
            counting, counter_address, counter_value: As the chip's.
        storage: Out(`StoragePort`), one a flash channel.
        stored, stores: As the DRAM's ``reads`` and ``stores``, one a vault.
        violated: Out(1). A timing of a DRAM was broken.
    """

    program: stream.Interface
    prompt: stream.Interface
    tokens: stream.Interface
    sums: stream.Interface
    running: Signal
    generate: Signal
    position: Signal
    idle: Signal
    saturated: Signal
    error: Signal
    counting: Signal
    counter_address: Signal
    counter_value: Signal
    storage: Sequence
    stored: Sequence
    stores: Sequence
    violated: Signal

    def __init__(self, config: Config):
        self.chip = TokenChip(config)
        stack = config.stack
        assert stack is not None
        self._nands = [
            NandDies(config.flash, config.sense_cycles, faults=False)
            for _ in range(config.flash.channels)
        ]
        self._drams = [DramDies(stack, config.stack_cycles) for _ in range(stack.vaults)]
        members = {
            name: member
            for name, member in self.chip.signature.members.items()
            if name not in DEVICES
        }
        nand, dram = self._nands[0].signature.members, self._drams[0].signature.members
        super().__init__(
            {
                **members,
                "storage": nand["storage"].array(config.flash.channels),
                "stored": dram["reads"].array(stack.vaults),
                "stores": dram["stores"].array(stack.vaults),
                "violated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Wire the dies to the chip."""
        m = Module()
        m.submodules.chip = chip = self.chip
        for name in ("program", "prompt"):
            connect(m, flipped(getattr(self, name)), getattr(chip, name))
        for name in ("tokens", "sums"):
            connect(m, getattr(chip, name), flipped(getattr(self, name)))
        m.d.comb += [getattr(chip, name).eq(getattr(self, name)) for name in INPUTS]
        m.d.comb += [getattr(self, name).eq(getattr(chip, name)) for name in OUTPUTS]
        for index, dies in enumerate(self._nands):
            m.submodules[f"nand{index}"] = dies
            connect(m, chip.dies[index], dies.bus)
            connect(m, dies.storage, flipped(self.storage[index]))
        for index, dies in enumerate(self._drams):
            m.submodules[f"dram{index}"] = dies
            connect(m, chip.drams[index], dies.bus)
            connect(m, dies.reads, flipped(self.stored[index]))
            connect(m, dies.stores, flipped(self.stores[index]))
            m.d.comb += [
                dies.hot.eq(chip.doubled[index]),
                dies.faulty.eq(chip.faulty[index]),
            ]
        m.d.comb += self.violated.eq(Cat(dies.violated.any() for dies in self._drams).any())
        return m
