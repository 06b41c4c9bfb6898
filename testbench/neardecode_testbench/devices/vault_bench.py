"""A vault controller with its DRAM above it."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import connect, flipped

from neardecode.config import HeatConstants, Stack, StackCycles
from neardecode.stack.vault import VaultController
from neardecode_testbench.devices.dram import DramDies
from neardecode_testbench.devices.storage import StorageInterface

__all__ = ["VaultBench"]

PASSED = ("hot", "counting")
SHOWN = (
    "written",
    "doubled",
    "ready",
    "repaired",
    "retired",
    "cause",
    "strobes",
    "cycles",
    "events",
)

HEAT = ("temperature", "throttle", "permit")


class VaultBench(wiring.Component):
    """One vault, whole.

    Parameters:
        config: The stack section of a configuration.
        cycles: Its timings.
        heat: Its thermal constants.
        rests: With them, beats stay in the vault while it is told that its reader rests.

    Members:
        requests, reads, beats, writes, written, hot, doubled, ready, repaired, retired, counting,
            cause, strobes, cycles, events: As the controller's.
        temperature, throttle, permit: As the controller's, where there is heat.
        stored, stores: As the DRAM's ``reads`` and ``stores``.
        stuck, stuck_value, violated: As the DRAM's.
    """

    requests: stream.Interface
    reads: stream.Interface
    beats: stream.Interface
    writes: stream.Interface
    written: Signal
    hot: Signal
    doubled: Signal
    temperature: Signal
    throttle: Signal
    permit: Signal
    ready: Signal
    repaired: Signal
    retired: Signal
    counting: Signal
    cause: Signal
    strobes: Signal
    cycles: data.View
    events: data.View
    stored: StorageInterface
    stores: StorageInterface
    stuck: Signal
    stuck_value: Signal
    violated: Signal

    def __init__(
        self,
        config: Stack,
        cycles: StackCycles,
        heat: HeatConstants | None = None,
        rests: bool = True,
    ):
        self._rests = rests
        self.vault = VaultController(config, cycles, heat)
        self.dies = DramDies(config, cycles)
        members = dict(self.vault.signature.members)
        del members["dram"], members["faulty"]
        dies = self.dies.signature.members
        super().__init__(
            {
                **members,
                "stored": dies["reads"],
                **{name: dies[name] for name in ("stores", "stuck", "stuck_value", "violated")},
            }
        )

    def elaborate(self, platform) -> Module:
        """Wire the DRAM to the controller."""
        m = Module()
        m.submodules.vault = vault = self.vault
        m.submodules.dies = dies = self.dies
        begun = Signal()
        for name in ("requests", "reads", "writes"):
            connect(m, vault=getattr(vault, name), edge=flipped(getattr(self, name)))
        shown, permit = SHOWN, Const(1)
        if "permit" in vault.signature.members:
            shown, permit = (*SHOWN, *HEAT), vault.permit if self._rests else Const(1)
        m.d.comb += [
            self.beats.valid.eq(vault.beats.valid & (permit | begun)),
            self.beats.payload.eq(vault.beats.payload),
            vault.beats.ready.eq(self.beats.ready & (permit | begun)),
        ]
        # What is offered stays offered.
        m.d.sync += begun.eq(self.beats.valid & ~self.beats.ready)
        connect(m, vault.dram, dies.bus)
        connect(m, dies.reads, flipped(self.stored))
        connect(m, dies.stores, flipped(self.stores))
        m.d.comb += [
            *(getattr(vault, name).eq(getattr(self, name)) for name in PASSED),
            *(getattr(self, name).eq(getattr(vault, name)) for name in shown),
            dies.hot.eq(vault.doubled),
            dies.faulty.eq(vault.faulty),
            dies.stuck.eq(self.stuck),
            dies.stuck_value.eq(self.stuck_value),
            self.violated.eq(dies.violated),
        ]
        return m
