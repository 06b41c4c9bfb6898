"""The host's side of a decoder: registers, a doorbell, an interrupt, first faults."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Config
from neardecode.decoder.layouts import (
    TOKEN_BITS,
    ChipProgramWrite,
    ProgramWrite,
    PromptToken,
)
from neardecode.decoder.registers import (
    IDENTITY,
    Control,
    Doorbell,
    Interrupt,
    Register,
    Status,
)
from neardecode.lib.axi_lite import OKAY, SLVERR, WORD_BITS, AxiLite
from neardecode.lib.fifo import StreamFIFO

__all__ = ["HostPort"]

QUEUED = 16
"""Tokens of prompts, and tokens found, that wait."""


class HostPort(wiring.Component):
    """What a host does to a decoder, and what it asks of it, word by word.

    A read or write of no register, and one that its register refuses, is answered with SLVERR and
    changes nothing. Latency: an answer one cycle behind its command. Rate: a read and a write in
    two cycles each.

    Parameters:
        config: A configuration with a decoder.
        counters: How many counters there are.

    Members:
        axi: In(`AxiLite`).
        irq: Out(1). Until its bits are cleared.
        program, running, prompt, generate, tokens, position, idle, saturated, error, counting,
            counter_address, counter_value: The chip's, as `TokenChip`.
    """

    axi: Any
    irq: Signal
    program: stream.Interface
    running: Signal
    prompt: stream.Interface
    generate: Signal
    tokens: stream.Interface
    position: Signal
    idle: Signal
    saturated: Signal
    error: Signal
    counting: Signal
    counter_address: Signal
    counter_value: Signal

    def __init__(self, config: Config, counters: int):
        decoder = config.decoder
        if decoder is None:
            raise ValueError("decoder: there is none in this configuration")
        self._chips = config.chips
        self._program = ProgramWrite(config) if config.chips == 1 else ChipProgramWrite(config)
        self._words = -(-self._program["descriptor"].width // WORD_BITS)
        if Register.DESCRIPTOR + 4 * self._words > 0x80:
            raise ValueError(f"a descriptor of {self._words} words does not fit its registers")
        super().__init__(
            {
                "axi": In(AxiLite()),
                "irq": Out(1),
                "program": Out(stream.Signature(self._program)),
                "running": Out(1),
                "prompt": Out(stream.Signature(PromptToken())),
                "generate": Out(16),
                "tokens": In(stream.Signature(TOKEN_BITS)),
                "position": In(config.compute.row_bits),
                "idle": In(1),
                "saturated": In(1),
                "error": In(1),
                "counting": Out(1),
                "counter_address": Out(range(counters)),
                "counter_value": In(48),
            }
        )

    def elaborate(self, platform) -> Module:
        """Queues on both sides of the registers, then writes and reads."""
        m = Module()
        axi = self.axi
        m.submodules.rings = rings = StreamFIFO(PromptToken(), QUEUED)
        m.submodules.found = found = StreamFIFO(TOKEN_BITS, QUEUED)
        connect(m, rings.o, flipped(self.prompt))
        connect(m, flipped(self.tokens), found.i)

        control, enabled = Signal(len(Control)), Signal(len(Interrupt))
        clears, pending = Signal(len(Interrupt)), Signal(len(Interrupt))
        place = Signal(self._program["address"].shape)
        generate = Signal.like(self.generate, init=1)
        words = Signal(data.ArrayLayout(WORD_BITS, self._words))
        count_high = Signal(WORD_BITS)
        # Where each fault was first.
        faults = {Register.SATURATED_AT: self.saturated, Register.UNREAD_AT: self.error}
        seen, fault = Signal(len(faults)), Signal()
        at = [Signal.like(self.position, name=f"{register.name.lower()}") for register in faults]
        m.d.sync += seen.eq(Cat(faults.values()))
        for number, flag in enumerate(faults.values()):
            with m.If(flag & ~seen[number]):
                m.d.comb += fault.eq(1)
                m.d.sync += at[number].eq(self.position)
        events = {
            Interrupt.FOUND: self.tokens.valid & self.tokens.ready,
            Interrupt.FAULT: fault,
        }
        flags = {
            Status.IDLE: self.idle,
            Status.FOUND: found.o.valid,
            Status.ROOM: rings.i.ready,
            Status.SATURATED: self.saturated,
            Status.UNREAD: self.error,
        }
        m.d.sync += pending.eq((pending & ~clears) | Cat(events[each] for each in Interrupt))
        m.d.comb += [
            self.irq.eq((pending & enabled).any()),
            self.generate.eq(generate),
            self.running.eq((control & Control.RUN.value).any()),
            self.counting.eq((control & Control.COUNT.value).any()),
        ]

        # A write is done when both of its parts and room for its answer are there.
        writes, refused = Signal(), Signal()
        target, word = axi.aw.payload.addr, axi.w.payload.data
        m.d.comb += [
            writes.eq(axi.aw.valid & axi.w.valid & ~axi.b.valid),
            axi.aw.ready.eq(writes),
            axi.w.ready.eq(writes),
        ]
        with m.If(writes):
            m.d.sync += [
                axi.b.valid.eq(1),
                axi.b.payload.resp.eq(Mux(refused, SLVERR, OKAY)),
            ]
        with m.Elif(axi.b.ready):
            m.d.sync += axi.b.valid.eq(0)
        token = rings.i.payload
        m.d.comb += [
            token.token.eq(word),
            token.first.eq((word & Doorbell.FIRST.value).any()),
            token.last.eq((word & Doorbell.LAST.value).any()),
        ]
        with m.Switch(target):
            for register, setting in (
                (Register.CONTROL, control),
                (Register.ENABLED, enabled),
                (Register.GENERATE, generate),
                (Register.COUNTER, self.counter_address),
                (Register.PLACE, place),
            ):
                with m.Case(register), m.If(writes):
                    m.d.sync += setting.eq(word)
            with m.Case(Register.INTERRUPTS), m.If(writes):
                m.d.comb += clears.eq(word)
            if self._chips > 1:
                with m.Case(Register.CHIP):
                    m.d.comb += refused.eq(word >= self._chips)
                    with m.If(writes & ~refused):
                        m.d.sync += [self.program.payload.chip.eq(word), place.eq(0)]
            with m.Case(Register.DOORBELL):
                m.d.comb += [rings.i.valid.eq(writes), refused.eq(~rings.i.ready)]
            for index in range(self._words):
                with m.Case(Register.DESCRIPTOR + 4 * index), m.If(writes):
                    m.d.sync += words[index].eq(word)
            with m.Default():
                m.d.comb += refused.eq(1)

        # The last word completes a descriptor, which the program takes at once.
        whole = Cat(*(words[index] for index in range(self._words - 1)), word)
        m.d.comb += [
            self.program.valid.eq(writes & (target == Register.DESCRIPTOR + 4 * (self._words - 1))),
            self.program.payload.address.eq(place),
            self.program.payload.descriptor.eq(whole),
        ]
        with m.If(self.program.valid):
            m.d.sync += place.eq(place + 1)

        # A read is done when there is room for its answer.
        reads, missing, value = Signal(), Signal(), Signal(WORD_BITS)
        source = axi.ar.payload.addr
        m.d.comb += [reads.eq(axi.ar.valid & ~axi.r.valid), axi.ar.ready.eq(reads)]
        with m.If(reads):
            m.d.sync += [
                axi.r.valid.eq(1),
                axi.r.payload.data.eq(Mux(missing, 0, value)),
                axi.r.payload.resp.eq(Mux(missing, SLVERR, OKAY)),
            ]
        with m.Elif(axi.r.ready):
            m.d.sync += axi.r.valid.eq(0)
        with m.Switch(source):
            for register, shown in (
                (Register.IDENTITY, Const(IDENTITY, WORD_BITS)),
                (Register.CONTROL, control),
                (Register.STATUS, Cat(flags[each] for each in Status)),
                (Register.INTERRUPTS, pending),
                (Register.ENABLED, enabled),
                (Register.GENERATE, generate),
                (Register.POSITION, self.position),
                (Register.COUNTER, self.counter_address),
                (Register.COUNT_HIGH, count_high),
                (Register.PLACE, place),
                *([(Register.CHIP, self.program.payload.chip)] if self._chips > 1 else []),
                *zip(faults, at, strict=True),
            ):
                with m.Case(register):
                    m.d.comb += value.eq(shown)
            with m.Case(Register.TOKEN):
                m.d.comb += [
                    value.eq(found.o.payload),
                    missing.eq(~found.o.valid),
                    found.o.ready.eq(reads),
                ]
            with m.Case(Register.COUNT_LOW):
                m.d.comb += value.eq(self.counter_value)
                with m.If(reads):
                    m.d.sync += count_high.eq(self.counter_value[WORD_BITS:])
            with m.Default():
                m.d.comb += missing.eq(1)
        return m
