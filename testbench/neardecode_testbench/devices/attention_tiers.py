"""Attention in two places: cold pages in flash, the newest in a vault."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.attention.append import KvAppender
from neardecode.attention.evict import PageEvictor
from neardecode.attention.merge import AttentionMerge
from neardecode.attention.unit import AttentionUnit
from neardecode.config import Config
from neardecode.flash.axi import AxiPortInterface
from neardecode_testbench.devices.attention_bench import ASKED, fork
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.devices.vault_bench import VaultBench

__all__ = ["AttentionTiers"]

COUNT_BITS = 48
FLASH, VAULT = 0, 1


class AttentionTiers(wiring.Component):
    """A flash channel with its controller, and a vault; a unit behind each; an evictor between.

    The host's port at the edge is joined to the channel while nothing is evicted.

    Parameters:
        config: A configuration with a stack and ``flash.host``; one channel of it.

    Members:
        commands, queries, selections, partials, sums: Those of the flash's unit (0) and the
            vault's (1).
        places, blocks: As the appender's.
        moves, busy, written, failed: As the evictor's.
        used, words: As the merge's.
        axi__ar, axi__aw, axi__w, axi__b, axi__r: As the channel's.
        storage, records: As its dies'.
        stored, stores: As the DRAM's.
        counting, cycles, slice_cycles: As the units'.
        flash_cycles, vault_cycles: As channel's and vault's.
        windows: Out(48, each). Cycles from a unit's first beat to its last.
        idle: Out(1). All that was appended can be read.
        violated: Out(1). A timing of the DRAM was broken.
    """

    axi: AxiPortInterface
    moves: stream.Interface
    words: stream.Interface
    used: Signal
    busy: Signal
    written: Signal
    failed: Signal
    counting: Signal
    cycles: data.View
    slice_cycles: data.View
    flash_cycles: data.View
    vault_cycles: data.View
    windows: data.View
    idle: Signal
    violated: Signal

    def __init__(self, config: Config):
        stack = config.stack
        if stack is None:
            raise ValueError("stack: there is none in this configuration")
        vault_bits, flash_bits = exact_log2(stack.pages), exact_log2(config.flash.pages)
        ahead = config.kv.tiles_ahead
        self._vault = VaultBench(stack, config.stack_cycles)
        self._flash = ControllerBench(config)
        self._units = [AttentionUnit(config, bits, ahead) for bits in (flash_bits, vault_bits)]
        self._appender = KvAppender(config, vault_bits)
        self._evictor = PageEvictor(config, vault_bits, flash_bits)
        self._merge = AttentionMerge(config, 2)
        units = [unit.signature.members for unit in self._units]
        flash, vault = self._flash.signature.members, self._vault.signature.members
        evictor, appender = self._evictor.signature.members, self._appender.signature.members
        merge = self._merge.signature.members
        streams = (*ASKED, "partials", "sums")
        super().__init__(
            {
                **{f"{name}__{at}": units[at][name] for at in (0, 1) for name in streams},
                **{name: appender[name] for name in ("places", "blocks", "idle")},
                **{name: evictor[name] for name in ("moves", "busy", "written", "failed")},
                **{name: merge[name] for name in ("used", "words")},
                "axi": flash["axi"],
                **{name: flash[name] for name in ("storage", "records")},
                **{name: vault[name] for name in ("stored", "stores")},
                "counting": In(1),
                "cycles": Out(data.ArrayLayout(units[0]["cycles"].shape, 2)),
                "slice_cycles": Out(data.ArrayLayout(units[0]["slice_cycles"].shape, 2)),
                "flash_cycles": flash["cycles"],
                "vault_cycles": vault["cycles"],
                "windows": Out(data.ArrayLayout(COUNT_BITS, 2)),
                "violated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Wire both tiers, the evictor between them, and the merge."""
        m = Module()
        m.submodules.vault = vault = self._vault
        m.submodules.flash = flash = self._flash
        m.submodules.appender = appender = self._appender
        m.submodules.evictor = evictor = self._evictor
        m.submodules.merge = merge = self._merge
        for at, unit in enumerate(self._units):
            m.submodules[f"unit_{at}"] = unit
            for name in ASKED:
                connect(m, flipped(getattr(self, f"{name}__{at}")), getattr(unit, name))
            for name in ("partials", "sums"):
                edge, inner = getattr(self, f"{name}__{at}"), getattr(merge, name)[at]
                fork(m, getattr(unit, name), [inner, edge])
            taken = unit.beats.valid & unit.beats.ready
            elapsed = Signal(COUNT_BITS, name=f"elapsed_{at}")
            with m.If(taken | (elapsed != 0)):
                m.d.sync += elapsed.eq(elapsed + 1)
            with m.If(taken):
                m.d.sync += self.windows[at].eq(elapsed + 1)
            m.d.comb += [
                unit.counting.eq(self.counting),
                self.cycles[at].eq(unit.cycles),
                self.slice_cycles[at].eq(unit.slice_cycles),
            ]
        cold, hot = self._units
        connect(m, cold.requests, flash.requests)
        connect(m, flash.beats, cold.beats)
        connect(m, hot.requests, evictor.unit_requests)
        connect(m, evictor.unit_beats, hot.beats)
        connect(m, evictor.requests, vault.requests)
        connect(m, vault.beats, evictor.beats)
        connect(m, appender.writes, vault.writes)
        for name in ("places", "blocks"):
            connect(m, flipped(getattr(self, name)), getattr(appender, name))
        connect(m, flipped(self.moves), evictor.moves)
        connect(m, merge.words, flipped(self.words))
        for name in ("stored", "stores"):
            connect(m, getattr(vault, name), flipped(getattr(self, name)))
        for name in ("storage", "records"):
            connect(m, getattr(flash, name), flipped(getattr(self, name)))

        edge, inner = self.axi, flash.axi
        busy = evictor.busy
        connect(m, flipped(edge.ar), inner.ar)
        connect(m, inner.r, flipped(edge.r))
        for name in ("aw", "w"):
            outer, own, target = (getattr(each, name) for each in (edge, evictor, inner))
            m.d.comb += [
                target.valid.eq(Mux(busy, own.valid, outer.valid)),
                target.payload.eq(Mux(busy, own.payload.as_value(), outer.payload.as_value())),
                own.ready.eq(busy & target.ready),
                outer.ready.eq(~busy & target.ready),
            ]
        m.d.comb += [
            evictor.b.valid.eq(busy & inner.b.valid),
            evictor.b.payload.eq(inner.b.payload),
            edge.b.valid.eq(~busy & inner.b.valid),
            edge.b.payload.eq(inner.b.payload),
            inner.b.ready.eq(Mux(busy, evictor.b.ready, edge.b.ready)),
            edge.irq.eq(inner.irq),
            flash.counting.eq(self.counting),
            vault.counting.eq(self.counting),
            merge.used.eq(self.used),
            *(getattr(self, name).eq(getattr(evictor, name)) for name in ("busy", "written")),
            self.failed.eq(evictor.failed),
            self.idle.eq(appender.idle),
            self.flash_cycles.eq(flash.cycles),
            self.vault_cycles.eq(vault.cycles),
            self.violated.eq(vault.violated.any()),
        ]
        return m
