"""A board that decodes: chips with their NAND and DRAM dies, what a simulator runs."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Config
from neardecode.system import TokenSystem
from neardecode.token_chip import TokenChip
from neardecode.token_chips import LANES, TokenChips
from neardecode_testbench.devices.dram import DramDies
from neardecode_testbench.devices.link_channel import LinkChannel
from neardecode_testbench.devices.nand import NandDies

__all__ = ["TokenBoard", "token_halves", "varied_board"]

DEVICES = ("dies", "drams", "faulty", "doubled", *LANES)
"""What of the chip leads to its memories, and from one chip to another."""


class TokenBoard(wiring.Component):
    """One chip or several, and their memories, in which nothing goes wrong; on links it may.

    Parameters:
        config: A configuration with a decoder and a stack.
        chip: `TokenChip`, several as `TokenChips`, or `TokenSystem` behind its host's port; left
            out, as the configuration says.
        varied: tR is an input, and the configuration's the longest that it may be.

    Members:
        What the chip has but for its memories: program, prompt, tokens, sums and others.
        sense_cycles: In. tR, from reset on the same. Only where it is varied.
        storage: Out(`StoragePort`), one a flash channel, chip by chip.
        stored, stores: As the DRAM's ``reads`` and ``stores``, one a vault, chip by chip.
        link_faults: In(`ChannelFaults`). Only of protected links between chips: on the lanes that
            leave each end, in the order of the chips' ``lanes_out``.
        violated: Out(1). A timing of a DRAM was broken.
    """

    storage: Sequence
    stored: Sequence
    stores: Sequence
    link_faults: Sequence
    violated: Signal
    sense_cycles: Signal

    def __init__(
        self,
        config: Config,
        chip: type[TokenChip] | type[TokenChips] | type[TokenSystem] | None = None,
        *,
        varied: bool = False,
    ):
        if chip is None:
            chip = TokenChip if config.chips == 1 else TokenChips
        self.chip = chip(config)
        stack = config.stack
        assert stack is not None
        self._nands = [
            NandDies(config.flash, config.sense_cycles, faults=False, varied=varied)
            for _ in self.chip.dies
        ]
        self._drams = [DramDies(stack, config.stack_cycles) for _ in self.chip.drams]
        self._edge = {
            name: member
            for name, member in self.chip.signature.members.items()
            if name not in DEVICES
        }
        latency = config.fabric.chip_link_latency
        self._links = [
            LinkChannel(len(lanes), latency, seed)
            for seed, lanes in enumerate(getattr(self.chip, "lanes_out", ()))
        ]
        links = {}
        if self._links:
            faults = self._links[0].signature.members["faults"]
            links = {"link_faults": faults.array(len(self._links))}
        self._varied = varied
        tr = {"sense_cycles": In(range(config.sense_cycles + 1))} if varied else {}
        nand, dram = self._nands[0].signature.members, self._drams[0].signature.members
        super().__init__(
            {
                **self._edge,
                **tr,
                "storage": nand["storage"].array(len(self._nands)),
                "stored": dram["reads"].array(len(self._drams)),
                "stores": dram["stores"].array(len(self._drams)),
                **links,
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
                pairs = zip(edge, inner, strict=True) if member.dimensions else [(edge, inner)]
                for outer, one in pairs:
                    connect(m, flipped(outer), one)
            elif member.flow == In:
                m.d.comb += inner.eq(edge)
            else:
                m.d.comb += edge.eq(inner)
        for index, dies in enumerate(self._nands):
            m.submodules[f"nand{index}"] = dies
            connect(m, chip.dies[index], dies.bus)
            connect(m, dies.storage, flipped(self.storage[index]))
            if self._varied:
                m.d.comb += dies.sense_cycles.eq(self.sense_cycles)
        for index, dies in enumerate(self._drams):
            m.submodules[f"dram{index}"] = dies
            connect(m, chip.drams[index], dies.bus)
            connect(m, dies.reads, flipped(self.stored[index]))
            connect(m, dies.stores, flipped(self.stores[index]))
            m.d.comb += [
                dies.hot.eq(chip.doubled[index]),
                dies.faulty.eq(chip.faulty[index]),
            ]
        outs, ins = (getattr(chip, name, ()) for name in LANES)
        for index, (link, out) in enumerate(zip(self._links, outs, strict=True)):
            m.submodules[f"link{index}"] = link
            connect(m, flipped(self.link_faults[index]), link.faults)
            # Ends of a link are neighbours.
            m.d.comb += [link.i.eq(out), ins[index ^ 1].eq(link.o)]
        m.d.comb += self.violated.eq(Cat(dies.violated.any() for dies in self._drams).any())
        return m


def varied_board(config: Config) -> TokenBoard:
    """A board whose tR is an input."""
    return TokenBoard(config, varied=True)


def token_halves(config: Config) -> tuple[str, ...]:
    """Instances of a board that are about half of its work, by the names on the way to each.

    Of one chip, most of what reads weights: three channels in four. Of several, every second one
    with its memories.
    """
    if config.chips == 1:
        channels = config.flash.channels
        return tuple(
            name
            for channel in range(-(-channels // 4) if channels > 1 else 0, channels)
            for name in (f"chip.slices.channel{channel}", f"nand{channel}")
        )
    assert config.stack is not None
    each = {"nand": config.flash.channels, "dram": config.stack.vaults}
    return tuple(
        name
        for chip in range(1, config.chips, 2)
        for name in (
            f"chip.chip{chip}",
            *(
                f"{device}{chip * count + place}"
                for device, count in each.items()
                for place in range(count)
            ),
        )
    )
