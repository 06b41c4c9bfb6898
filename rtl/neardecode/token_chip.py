"""One chip that decodes: a host loads a program and gives tokens, and tokens come out."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.attention.append import KvAppender
from neardecode.attention.attended import AttendedPacker
from neardecode.attention.merge import AttentionMerge
from neardecode.attention.unit import AttentionUnit, others
from neardecode.compute.command import SliceResult
from neardecode.config import (
    AttentionCause,
    Config,
    DecoderCause,
    SliceCause,
    VaultCause,
    VaultEvent,
)
from neardecode.decoder.decoder import TokenDecoder
from neardecode.lib.counters import chosen_count
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.once import once
from neardecode.lib.page_share import PageShare
from neardecode.slice_array import SliceArray, slice_counter_names
from neardecode.stack.command import DramBus
from neardecode.stack.vault import VaultController

__all__ = ["TokenChip", "token_counter_names"]

PASSED = ("program", "prompt", "tokens", "sums")
"""Streams that the host sees as they are."""
JOINED = ("number", "network", "exchanged")
"""What joins it with other chips."""


def token_counter_names(config: Config) -> tuple[str, ...]:
    """What stands at each counter address: ``instance.cause``, or ``instance:event``."""
    assert config.stack is not None
    names = [*slice_counter_names(config)]
    names += [f"decoder.{cause.name.lower()}" for cause in DecoderCause]
    for vault in range(config.stack.vaults):
        names += [f"attention{vault}.{cause.name.lower()}" for cause in AttentionCause]
        names += [f"attention_slice{vault}.{cause.name.lower()}" for cause in SliceCause]
        names += [f"vault{vault}.{cause.name.lower()}" for cause in VaultCause]
        names += [f"vault{vault}:{event.name.lower()}" for event in VaultEvent]
    return tuple(names)


@once
class TokenChip(wiring.Component):
    """Weights in flash, the KV cache in vaults, slices beside both, and the token decoder.

    Parameters:
        config: A configuration with a decoder and a stack.

    Of several chips each has a number, and its side of a node of the tree that joins them.

    Members:
        number, network, exchanged: Only of several chips. As `TokenDecoder`.
        program, running, prompt, generate, tokens, position, idle, sums: As `TokenDecoder`.
        saturated: Out(1). A value was clamped since reset.
        error: Out(1). A page could not be read since reset.
        dies: Out(`CoreDieBus`), one a flash channel.
        drams: Out(`DramBus`), one a vault.
        faulty: Out, one a vault. TSVs that are led around.
        doubled: Out, one a vault. It is refreshed at twice the rate.
        counting: In(1). Counters run.
        counter_address: In. Which counter; see `token_counter_names`.
        counter_value: Out(48). Its count, in the same cycle.
    """

    number: Signal
    network: Any
    exchanged: stream.Interface
    program: stream.Interface
    running: Signal
    prompt: stream.Interface
    generate: Signal
    tokens: stream.Interface
    position: Signal
    idle: Signal
    sums: stream.Interface
    saturated: Signal
    error: Signal
    dies: Sequence
    drams: Sequence
    faulty: Sequence
    doubled: Sequence
    counting: Signal
    counter_address: Signal
    counter_value: Signal

    def __init__(self, config: Config):
        self._decoder = TokenDecoder(config)
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        self._config, self._stack = config, stack
        self._attending = config.attending(decoder.group, decoder.head_elements)
        self._slices = SliceArray(config)
        members = self._decoder.signature.members
        joined = JOINED if config.chips > 1 else ()
        passed = (*PASSED, "running", "generate", "position", "idle", *joined)
        super().__init__(
            {
                **{name: members[name] for name in passed},
                "saturated": Out(1),
                "error": Out(1),
                "dies": self._slices.signature.members["dies"],
                "drams": Out(DramBus(stack)).array(stack.vaults),
                "faulty": Out(stack.lanes).array(stack.vaults),
                "doubled": Out(1).array(stack.vaults),
                "counting": In(1),
                "counter_address": In(range(len(token_counter_names(config)))),
                "counter_value": Out(48),
            }
        )

    def elaborate(self, platform) -> Module:
        """Decoder and slices, then a vault after the other."""
        m = Module()
        config = self._config
        m.submodules.decoder = decoder = self._decoder
        m.submodules.slices = slices = self._slices
        for name in PASSED:
            edge, inner = flipped(getattr(self, name)), getattr(decoder, name)
            if name in ("program", "prompt"):
                connect(m, edge, inner)
            else:
                connect(m, inner, edge)
        if config.chips > 1:
            m.d.comb += decoder.number.eq(self.number)
            connect(m, decoder.network, flipped(self.network))
            connect(m, decoder.exchanged, flipped(self.exchanged))
        for die, edge in zip(slices.dies, self.dies, strict=True):
            connect(m, die, flipped(edge))
        readies = [each.ready for each in slices.activations]
        for index, (commands, activations) in enumerate(
            zip(slices.commands, slices.activations, strict=True)
        ):
            connect(m, decoder.commands[index], commands)
            m.d.comb += [
                activations.valid.eq(
                    decoder.activations.valid & others(slices.activations, index, "ready")
                ),
                activations.payload.eq(decoder.activations.payload),
            ]
        first = slices.results.payload.as_value()[: slices.flit.first.size]
        flit = Signal(slices.flit.first)
        result = Signal(SliceResult(config.compute))
        found = decoder.results.payload
        m.d.comb += [
            decoder.activations.ready.eq(Cat(readies).all()),
            flit.eq(first),
            result.eq(flit.payload[: result.shape().size]),
            decoder.results.valid.eq(slices.results.valid),
            slices.results.ready.eq(decoder.results.ready),
            found.channel.eq(flit.header.source),
            found.row.eq(result.row),
            found.values.eq(result.values),
            found.saturated.eq(result.saturated),
            found.error.eq(result.error),
            decoder.running.eq(self.running),
            decoder.generate.eq(self.generate),
            self.position.eq(decoder.position),
            self.idle.eq(decoder.idle),
            slices.counting.eq(self.counting),
            decoder.counting.eq(self.counting),
        ]
        counts = [*decoder.cycles]
        idles, clamped, errors = [], [], []
        for vault in range(self._stack.vaults):
            counts += self._vault(m, vault, decoder, idles, clamped, errors)
        with m.If(decoder.saturated | Cat(clamped).any()):
            m.d.sync += self.saturated.eq(1)
        with m.If(decoder.error | Cat(errors).any()):
            m.d.sync += self.error.eq(1)
        m.d.comb += [
            decoder.appended.eq(Cat(idles).all()),
        ]
        of_slices = len(slice_counter_names(config))
        place = Signal(range(len(counts)))
        m.d.comb += [
            slices.counter_address.eq(self.counter_address),
            place.eq(self.counter_address - of_slices),
            self.counter_value.eq(
                Mux(
                    self.counter_address < of_slices,
                    slices.counter_value,
                    chosen_count(counts, place),
                )
            ),
        ]
        return m

    def _vault(self, m: Module, index: int, decoder, idles, clamped, errors) -> list:
        """Controller, appender, attention and what packs its words; its counts."""
        config, stack = self._attending, self._stack
        address_bits = exact_log2(stack.pages)
        vault = VaultController(stack, config.stack_cycles, config.stack_heat)
        unit = AttentionUnit(config, address_bits, config.kv.tiles_ahead)
        appender = KvAppender(config, address_bits)
        merge, packer = AttentionMerge(config, 1), AttendedPacker(config)
        places = StreamFIFO(appender.places.payload.shape(), 2)
        for name, block in (
            ("vault", vault),
            ("attention", unit),
            ("appender", appender),
            ("merge", merge),
            ("packer", packer),
            ("places", places),
        ):
            m.submodules[f"{name}{index}"] = block
        if index == 0:
            m.submodules.share = share = PageShare(address_bits, stack.beat_bytes)
            for at, reader in enumerate((decoder, unit)):
                connect(m, reader.requests, share.asked[at])
                connect(m, share.given[at], reader.beats)
            connect(m, share.requests, vault.requests)
            connect(m, vault.beats, share.beats)
        else:
            connect(m, unit.requests, vault.requests)
            connect(m, vault.beats, unit.beats)
        connect(m, appender.writes, vault.writes)
        connect(m, decoder.places[index], places.i)
        connect(m, places.o, appender.places)
        connect(m, decoder.rows[index], appender.blocks)
        connect(m, decoder.attend[index], unit.commands)
        connect(m, decoder.queries[index], unit.queries)
        if config.context_chips > 1:
            connect(m, unit.partials, decoder.partials[index])
            connect(m, unit.sums, decoder.part_sums[index])
            connect(m, decoder.merged_partials[index], merge.partials[0])
            connect(m, decoder.merged_sums[index], merge.sums[0])
        else:
            connect(m, unit.partials, merge.partials[0])
            connect(m, unit.sums, merge.sums[0])
        connect(m, merge.words, packer.words)
        connect(m, packer.blocks, decoder.attended[index])
        connect(m, vault.dram, flipped(self.drams[index]))
        m.d.comb += [
            merge.used.eq(1),
            self.faulty[index].eq(vault.faulty),
            self.doubled[index].eq(vault.doubled),
            vault.counting.eq(self.counting),
            unit.counting.eq(self.counting),
        ]
        if config.stack_heat is not None:
            m.d.comb += unit.throttle.eq(vault.throttle)
        idles.append(appender.idle & (places.level == 0))
        clamped.append(packer.saturated)
        errors.append(packer.error)
        return [*unit.cycles, *unit.slice_cycles, *vault.cycles, *vault.events]
