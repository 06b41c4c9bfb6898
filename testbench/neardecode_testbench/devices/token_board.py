"""A board that decodes: a chip with its NAND and DRAM dies, what a simulator runs."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Config
from neardecode.system import TokenSystem
from neardecode.token_chip import TokenChip
from neardecode_testbench.devices.dram import DramDies
from neardecode_testbench.devices.nand import NandDies

__all__ = ["TokenBoard"]

DEVICES = ("dies", "drams", "faulty", "doubled")
"""What of the chip leads to its memories."""


class TokenBoard(wiring.Component):
    """A chip and its memories, in which nothing goes wrong.

    Parameters:
        config: A configuration with a decoder and a stack.
        chip: `TokenChip`, or `TokenSystem` behind its host's port.

    Members:
        What the chip has but for its memories: program, prompt, tokens, sums and others.
        storage: Out(`StoragePort`), one a flash channel.
        stored, stores: As the DRAM's ``reads`` and ``stores``, one a vault.
        violated: Out(1). A timing of a DRAM was broken.
    """

    storage: Sequence
    stored: Sequence
    stores: Sequence
    violated: Signal

    def __init__(self, config: Config, chip: type[TokenChip] | type[TokenSystem] = TokenChip):
        self.chip = chip(config)
        stack = config.stack
        assert stack is not None
        self._nands = [
            NandDies(config.flash, config.sense_cycles, faults=False)
            for _ in range(config.flash.channels)
        ]
        self._drams = [DramDies(stack, config.stack_cycles) for _ in range(stack.vaults)]
        self._edge = {
            name: member
            for name, member in self.chip.signature.members.items()
            if name not in DEVICES
        }
        nand, dram = self._nands[0].signature.members, self._drams[0].signature.members
        super().__init__(
            {
                **self._edge,
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
        for name, member in self._edge.items():
            edge, inner = getattr(self, name), getattr(chip, name)
            if member.is_signature:
                connect(m, flipped(edge), inner)
            elif member.flow == In:
                m.d.comb += inner.eq(edge)
            else:
                m.d.comb += edge.eq(inner)
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
