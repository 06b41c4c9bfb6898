"""Vaults of a stack side by side."""

from collections.abc import Sequence

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from neardecode.config import Stack, StackCycles
from neardecode_testbench.devices.vault_bench import VaultBench

__all__ = ["Vaults"]

STREAMS = ("reads", "writes", "beats")
PORTS = ("stored", "stores")
LEVELS = ("stuck", "stuck_value")
SHOWN = ("repaired", "retired", "violated")


class Vaults(wiring.Component):
    """Vaults, each with its DRAM and TSVs of its own.

    Parameters:
        config: The stack section of a configuration.
        cycles: Its timings.
        count: How many.

    Members:
        reads, writes, beats, stored, stores, stuck, stuck_value, repaired, retired, violated: As
            `VaultBench`'s, a vault each.
    """

    reads: Sequence
    writes: Sequence
    beats: Sequence
    stored: Sequence
    stores: Sequence

    def __init__(self, config: Stack, cycles: StackCycles, count: int):
        self._vaults = [VaultBench(config, cycles) for _ in range(count)]
        members = self._vaults[0].signature.members
        super().__init__(
            {name: members[name].array(count) for name in (*STREAMS, *PORTS, *LEVELS, *SHOWN)}
        )

    def elaborate(self, platform) -> Module:
        """Each vault to its own ports."""
        m = Module()
        for at, vault in enumerate(self._vaults):
            m.submodules[f"vault_{at}"] = vault
            for name in (*STREAMS, *PORTS):
                connect(m, inner=getattr(vault, name), edge=flipped(getattr(self, name)[at]))
            m.d.comb += [
                *(getattr(vault, name).eq(getattr(self, name)[at]) for name in LEVELS),
                *(getattr(self, name)[at].eq(getattr(vault, name)) for name in SHOWN),
            ]
        return m
