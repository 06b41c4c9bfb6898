"""A channel's whole controller with its core dies behind it, and a host's port before it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import connect, flipped

from neardecode.config import Config
from neardecode.flash.axi import AxiPortInterface
from neardecode.flash.controller import ChannelController
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.devices.storage import StorageInterface
from neardecode_testbench.devices.write_log import DecisionLogger

__all__ = ["ControllerBench"]


class ControllerBench(wiring.Component):
    """A controller joined to its dies.

    Parameters:
        config: A configuration with ``flash.host``; one channel of it.
        faults: Build what goes wrong in the dies.
        seed: Of what is left to chance in them.
        logged: Write what is decided on writes to ``decisions``.

    Members:
        axi__ar, axi__aw, axi__w, axi__b, axi__r, axi__irq, requests, beats, temperature, cattrip,
            link_error, counting, cycles, events: As the controller's.
        storage, records, faults, flipped, violated: As the dies'.
        decisions: As `DecisionLogger`'s; only if ``logged``.
    """

    axi: AxiPortInterface
    requests: stream.Interface
    beats: stream.Interface
    counting: Signal
    cycles: data.View
    decisions: StorageInterface

    def __init__(self, config: Config, faults: bool = False, seed: int = 1, logged: bool = False):
        flash = config.flash
        self.controller = ChannelController(flash, config.clock_ghz)
        self.dies = NandDies(
            flash,
            config.sense_cycles,
            config.cycles(flash.program_ns),
            config.cycles(flash.erase_ns),
            faults=faults,
            seed=seed,
        )
        mine = dict(self.controller.signature.members)
        for name in ("dies", "faulty"):
            mine.pop(name, None)
        theirs = dict(self.dies.signature.members)
        for name in ("bus", "faulty"):
            theirs.pop(name, None)
        self._mine, self._theirs = tuple(mine), tuple(theirs)
        self.logger = DecisionLogger(self.controller.write_path.control) if logged else None
        added = {} if self.logger is None else self.logger.signature.members
        super().__init__({**mine, **theirs, **added})

    def elaborate(self, platform) -> Module:
        """Wire the dies to the controller."""
        m = Module()
        m.submodules.controller = controller = self.controller
        m.submodules.dies = dies = self.dies
        connect(m, controller.dies, dies.bus)
        if self.logger is not None:
            m.submodules.logger = logger = self.logger
            connect(m, logger.decisions, flipped(self.decisions))
        if "faulty" in controller.signature.members:
            m.d.comb += dies.faulty.eq(controller.faulty)
        for block, names in ((controller, self._mine), (dies, self._theirs)):
            for name in names:
                member = block.signature.members[name]
                inside, outside = getattr(block, name), getattr(self, name)
                if member.is_signature:
                    connect(m, inside, flipped(outside))
                elif member.flow == wiring.Out:
                    m.d.comb += outside.eq(inside)
                else:
                    m.d.comb += inside.eq(outside)
        return m
