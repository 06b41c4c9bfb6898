"""The host's side of a decoder: AXI4-Lite registers, a doorbell, an interrupt, first faults.

Source: AMBA AXI and ACE Protocol Specification, IHI 0022H, chapter B1, for AXI4-Lite.
"""

import enum
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Config
from neardecode.decoder.layouts import TOKEN_BITS, ProgramWrite, PromptToken
from neardecode.lib.fifo import StreamFIFO

__all__ = [
    "IDENTITY",
    "AxiLite",
    "Control",
    "Doorbell",
    "HostPort",
    "Interrupt",
    "LiteAddress",
    "LiteAnswer",
    "LiteRead",
    "LiteWrite",
    "Register",
    "Status",
]

ADDRESS_BITS = 12
WORD_BITS = 32
IDENTITY = 0x4E44_4301
"""What `Register.IDENTITY` reads: "ND", decoder, version 1."""
QUEUED = 16
"""Tokens of prompts, and tokens found, that wait."""
OKAY, SLVERR = 0, 2


class Register(enum.IntEnum):
    """Where registers stand, in bytes."""

    IDENTITY = 0x00
    """Reads `IDENTITY`."""
    CONTROL = 0x04
    """`Control`; reads what was written."""
    STATUS = 0x08
    """`Status`; only reads."""
    INTERRUPTS = 0x0C
    """`Interrupt`; a one that is written clears its bit."""
    ENABLED = 0x10
    """Which bits of INTERRUPTS raise the interrupt."""
    DOORBELL = 0x14
    """`Doorbell`; only written. An error while no place is free."""
    GENERATE = 0x18
    """Tokens to find for each prompt, 16 bits, at least 1."""
    TOKEN = 0x1C
    """The oldest token found, taken by reading. An error while there is none."""
    POSITION = 0x20
    """Of the token that is being read, or would be next."""
    SATURATED_AT = 0x24
    """The position at which a value was first clamped since reset; see STATUS."""
    UNREAD_AT = 0x28
    """The position at which a page could not be read, for the first time since reset."""
    COUNTER = 0x2C
    """Which counter is read."""
    COUNT_LOW = 0x30
    """Its lower 32 bits; the upper ones are kept for COUNT_HIGH."""
    COUNT_HIGH = 0x34
    """The upper bits of the count that COUNT_LOW read."""
    PLACE = 0x38
    """Where the next descriptor goes; moves on by one behind each."""
    DESCRIPTOR = 0x40
    """The words of a descriptor, the lowest first, to 0x7C; writing the last stores it."""


class Control(enum.IntFlag):
    """Bits of `Register.CONTROL`."""

    RUN = 1
    """The program is loaded."""
    COUNT = 2
    """Counters run."""


class Status(enum.IntFlag):
    """Bits of `Register.STATUS`."""

    IDLE = 1
    """The decoder waits for a prompt."""
    FOUND = 2
    """A token can be read."""
    ROOM = 4
    """The doorbell has a free place."""
    SATURATED = 8
    """A value was clamped since reset."""
    UNREAD = 16
    """A page could not be read since reset."""


class Interrupt(enum.IntFlag):
    """Bits of `Register.INTERRUPTS`."""

    FOUND = 1
    """A token was found."""
    FAULT = 2
    """A value was clamped, or a page could not be read, for the first time since reset."""


class Doorbell(enum.IntFlag):
    """Bits of `Register.DOORBELL` above the token's id."""

    FIRST = 1 << 30
    """A sequence begins with it."""
    LAST = 1 << 31
    """The prompt ends with it: the decoder goes on by itself."""


class LiteAddress(data.StructLayout):
    """Where to read or write, in bytes."""

    def __init__(self):
        super().__init__({"addr": unsigned(ADDRESS_BITS)})


class LiteWrite(data.StructLayout):
    """A word to write."""

    def __init__(self):
        super().__init__({"data": unsigned(WORD_BITS)})


class LiteAnswer(data.StructLayout):
    """What became of a write: OKAY is 0, SLVERR is 2."""

    def __init__(self):
        super().__init__({"resp": unsigned(2)})


class LiteRead(data.StructLayout):
    """A word that was read, and what became of reading it."""

    def __init__(self):
        super().__init__({"data": unsigned(WORD_BITS), "resp": unsigned(2)})


class AxiLite(wiring.Signature):
    """The five channels, seen from the host. Protection and strobes are not there: words only."""

    def __init__(self):
        super().__init__(
            {
                "aw": Out(stream.Signature(LiteAddress())),
                "w": Out(stream.Signature(LiteWrite())),
                "b": In(stream.Signature(LiteAnswer())),
                "ar": Out(stream.Signature(LiteAddress())),
                "r": In(stream.Signature(LiteRead())),
            }
        )


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
        self._program = ProgramWrite(config)
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
        raised, clears, pending = (
            Signal(len(Interrupt), name=name) for name in ("raised", "clears", "pending")
        )
        place = Signal(self._program["address"].shape)
        generate = Signal.like(self.generate, init=1)
        words = Signal(data.ArrayLayout(WORD_BITS, self._words))
        count_high = Signal(WORD_BITS)
        faults = {Register.SATURATED_AT: self.saturated, Register.UNREAD_AT: self.error}
        seen = Signal(len(faults))
        at = [Signal.like(self.position, name=f"{register.name.lower()}") for register in faults]
        m.d.sync += seen.eq(Cat(faults.values()))
        for number, flag in enumerate(faults.values()):
            with m.If(flag & ~seen[number]):
                m.d.comb += raised[1].eq(1)
                m.d.sync += at[number].eq(self.position)
        m.d.sync += pending.eq((pending & ~clears) | raised)
        status = Cat(self.idle, found.o.valid, rings.i.ready, self.saturated, self.error)
        m.d.comb += [
            raised[0].eq(self.tokens.valid & self.tokens.ready),
            self.irq.eq((pending & enabled).any()),
            self.generate.eq(generate),
            self.running.eq(control[0]),
            self.counting.eq(control[1]),
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
            token.first.eq(word[30]),
            token.last.eq(word[31]),
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
                (Register.STATUS, status),
                (Register.INTERRUPTS, pending),
                (Register.ENABLED, enabled),
                (Register.GENERATE, generate),
                (Register.POSITION, self.position),
                (Register.COUNTER, self.counter_address),
                (Register.COUNT_HIGH, count_high),
                (Register.PLACE, place),
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
