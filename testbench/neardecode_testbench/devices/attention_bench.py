"""A layer's attention: vaults with their DRAM, attention beside each, and where the parts meet."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.attention.append import KvAppender
from neardecode.attention.merge import AttentionMerge
from neardecode.attention.unit import AttentionUnit
from neardecode.config import Config, HeatConstants
from neardecode_testbench.devices.vault_bench import VaultBench

__all__ = ["ASKED", "AttentionBench", "fork"]

COUNT_BITS = 48
ASKED = ("commands", "queries", "selections")
"""What a unit is given."""


def fork(m: Module, source, targets) -> None:
    """A stream to several readers, which all take a payload at once."""
    for target in targets:
        rest = [other.ready for other in targets if other is not target]
        valid = source.valid
        for ready in rest:
            valid = valid & ready
        m.d.comb += [target.valid.eq(valid), target.payload.eq(source.payload)]
    ready = targets[0].ready
    for target in targets[1:]:
        ready = ready & target.ready
    m.d.comb += source.ready.eq(ready)


class AttentionBench(wiring.Component):
    """Parts of a context, each in a vault with its DRAM, an appender and an attention unit.

    Parameters:
        config: A configuration with a stack.
        parts: Vaults.
        ahead: As `AttentionUnit`.
        heat: Thermal constants. With them what a vault does heats it, and its node drives the
            vault's refresh and the throttle of the slice below.

    Members:
        commands, queries, selections: A part each, as the unit's.
        places, blocks: A part each, as the appender's.
        used, words: As the merge's.
        partials, sums: A part each, as the unit's, seen as the merge takes them.
        stored, stores: A part each, as the DRAM's.
        counting, cycles, slice_cycles, vault_cycles: As unit's and vault's, a part each.
        vault_events: As the vault's, a part each.
        temperature, throttle: As the vault's, a part each; only with ``heat``.
        windows: Out(48, a part each). Cycles from a unit's first beat to its last.
        idle: Out(parts). All that was appended can be read.
        violated: Out(parts). A timing of the DRAM was broken.

    Raises:
        ValueError: if pages or beats of the stack are not those of the configuration's layouts.
    """

    words: stream.Interface
    used: Signal
    counting: Signal
    cycles: data.View
    slice_cycles: data.View
    vault_cycles: data.View
    vault_events: data.View
    temperature: data.View
    throttle: data.View
    windows: data.View
    idle: Signal
    violated: Signal

    def __init__(self, config: Config, parts: int, ahead: int, heat: HeatConstants | None = None):
        stack = config.stack
        if stack is None:
            raise ValueError("stack: there is none in this configuration")
        flash = config.flash
        if (stack.page_bytes, stack.beat_bytes) != (flash.page_bytes, flash.beat_bytes):
            raise ValueError(
                f"stack.page_bytes and beat_bytes must be those of flash, {flash.page_bytes} and"
                f" {flash.beat_bytes}, not {stack.page_bytes} and {stack.beat_bytes}"
            )
        address_bits = exact_log2(stack.pages)
        self._parts = parts
        self._shown = () if heat is None else ("temperature", "throttle")
        self._vaults = [
            VaultBench(stack, config.stack_cycles, heat, rests=False) for _ in range(parts)
        ]
        self._units = [AttentionUnit(config, address_bits, ahead) for _ in range(parts)]
        self._appenders = [KvAppender(config, address_bits) for _ in range(parts)]
        self._merge = AttentionMerge(config, parts)
        unit = self._units[0].signature.members
        appender = self._appenders[0].signature.members
        vault = self._vaults[0].signature.members
        merge = self._merge.signature.members

        def each(member) -> data.ArrayLayout:
            return data.ArrayLayout(member.shape, parts)

        super().__init__(
            {
                **{name: unit[name].array(parts) for name in ASKED},
                **{name: appender[name].array(parts) for name in ("places", "blocks")},
                **{name: unit[name].array(parts) for name in ("partials", "sums")},
                **{name: vault[name].array(parts) for name in ("stored", "stores")},
                "used": merge["used"],
                "words": merge["words"],
                "counting": In(1),
                "cycles": Out(each(unit["cycles"])),
                "slice_cycles": Out(each(unit["slice_cycles"])),
                "vault_cycles": Out(each(vault["cycles"])),
                "vault_events": Out(each(vault["events"])),
                **{name: Out(each(vault[name])) for name in self._shown},
                "windows": Out(data.ArrayLayout(COUNT_BITS, parts)),
                "idle": Out(parts),
                "violated": Out(parts),
            }
        )

    def elaborate(self, platform) -> Module:
        """Wire each part, and all of them to the merge."""
        m = Module()
        m.submodules.merge = merge = self._merge
        m.d.comb += merge.used.eq(self.used)
        connect(m, merge.words, flipped(self.words))
        for part in range(self._parts):
            m.submodules[f"vault_{part}"] = vault = self._vaults[part]
            m.submodules[f"unit_{part}"] = unit = self._units[part]
            m.submodules[f"appender_{part}"] = appender = self._appenders[part]
            connect(m, unit.requests, vault.requests)
            connect(m, vault.beats, unit.beats)
            connect(m, appender.writes, vault.writes)
            for owner, names in ((unit, ASKED), (appender, ("places", "blocks"))):
                for name in names:
                    connect(m, flipped(getattr(self, name)[part]), getattr(owner, name))
            for name in ("partials", "sums"):
                edge, inner = getattr(self, name)[part], getattr(merge, name)[part]
                fork(m, getattr(unit, name), [inner, edge])
            for name in ("stored", "stores"):
                connect(m, getattr(vault, name), flipped(getattr(self, name)[part]))
            taken = unit.beats.valid & unit.beats.ready
            elapsed = Signal(COUNT_BITS, name=f"elapsed_{part}")
            with m.If(taken | (elapsed != 0)):
                m.d.sync += elapsed.eq(elapsed + 1)
            with m.If(taken):
                m.d.sync += self.windows[part].eq(elapsed + 1)
            if self._shown:
                m.d.comb += unit.throttle.eq(vault.throttle)
            m.d.comb += [
                unit.counting.eq(self.counting),
                vault.counting.eq(self.counting),
                self.cycles[part].eq(unit.cycles),
                self.slice_cycles[part].eq(unit.slice_cycles),
                self.vault_cycles[part].eq(vault.cycles),
                self.vault_events[part].eq(vault.events),
                *(getattr(self, name)[part].eq(getattr(vault, name)) for name in self._shown),
                self.idle[part].eq(appender.idle),
                self.violated[part].eq(vault.violated.any()),
            ]
        return m
