"""The decoder: clean codewords pass, others are corrected on the side."""

import enum
from collections.abc import Sequence

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode.lib.bch.chien import patch_layout, verdict_layout
from neardecode.lib.bch.code import BchCode
from neardecode.lib.bch.correction import Correction
from neardecode.lib.bch.decoded import Decoded, decode, decoded_layout
from neardecode.lib.bch.syndromes import Syndromes, syndromes_layout
from neardecode.lib.counters import CycleCounters
from neardecode.lib.fifo import StreamFIFO

__all__ = ["BchDecoder", "DecoderCause"]


class DecoderCause(enum.Enum):
    """Where a cycle of the decoder's input goes."""

    BUSY = 0
    """A beat is taken."""
    IDLE = 1
    """None is offered."""
    CORRECTION = 2
    """Every slot is taken, and the oldest codeword is still being corrected."""
    OUTPUT = 3
    """Every slot is taken, and the oldest codeword leaves, or waits to be taken."""


class BchDecoder(wiring.Component):
    """Corrects codewords in the order in which they come.

    A codeword waits in one of ``slots`` until it is known to be right or has been corrected. A
    clean one costs no engine. Others go to the engines in turns, over a queue with a place for each
    slot. Beats are counted from reset: every ``code.beats`` of them are a codeword.

    The slot rule: ``i.ready`` is low only before a codeword's first beat, and only while all slots
    are taken. A slot is taken with a codeword's first beat and ``freed`` in the cycle in which its
    last beat goes on to the output; it may be taken again from the next cycle on. So a bus that
    cannot wait starts with ``slots`` credits, spends one a codeword and gets one back with each
    ``freed``, and never meets a low ``i.ready``.

    Latency, from a codeword's last beat taken to its first beat at the output, while nothing before
    it waits: ``latency`` (4) cycles if it is clean, else ``K + S + 5``, K and S the cycles of the
    key equation and of the search by their formulas.
    Rate: one beat a cycle for clean codewords from three slots on, four if a codeword is a single
    beat; a beat with ``p > 1`` patches takes ``p`` cycles at the output. The engines finish at most

        engines / (max(K, S) + 1)

    codewords a cycle, so with a share w of wrong codewords the rate is at most
    ``min(1 / beats, engines / (w * (max(K, S) + 1)))`` codewords a cycle, K and S averages.

    Parameters:
        code: The code.
        engines: Correction engines.
        chien_parallel: Positions that an engine tries in a cycle.
        lanes: Coefficients that an engine updates in a cycle.
        slots: Codewords inside, at least 2.

    Members:
        i: ``In(stream.Signature(code.beat_layout))``.
        o: ``Out(stream.Signature(decoded_layout(code)))``.
        freed: ``Out(1)``. A slot is given back; a path from ``o.ready``.
        counting: ``In(1)``. Counters run.
        cycles: ``Out(counts by DecoderCause)``.

    Raises:
        ValueError: if a parameter is out of its range.
    """

    i: stream.Interface
    o: stream.Interface
    freed: Signal
    counting: Signal
    cycles: data.View

    def __init__(
        self,
        code: BchCode,
        *,
        engines: int,
        chien_parallel: int,
        lanes: int = 4,
        slots: int = 4,
    ):
        for name, value, least in (("engines", engines, 1), ("slots", slots, 2)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be an integer from {least}, not {value!r}")
        self._code = code
        self._parallel = chien_parallel
        self._lanes = lanes
        self._slots = slots
        self._syndromes = Syndromes(code)
        self._engines = [
            Correction(code, lanes=lanes, parallel=chien_parallel) for _ in range(engines)
        ]
        self._pending = StreamFIFO(syndromes_layout(code), slots)
        self._decisions = StreamFIFO(1, slots)
        self._counters = CycleCounters(DecoderCause)
        super().__init__(
            {
                "i": In(stream.Signature(code.beat_layout)),
                "o": Out(stream.Signature(decoded_layout(code))),
                "freed": Out(1),
                "counting": In(1),
                "cycles": Out(self._counters.counts.shape()),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a clean codeword's last beat to its first beat at the output."""
        return self._syndromes.latency + 2

    @property
    def wrong_latency(self) -> int:
        """The same of a wrong codeword, without the key equation's and the search's cycles."""
        return self._syndromes.latency + 3

    def model(self, beats: Sequence[int]) -> Decoded:
        """`decode` by these engines."""
        return decode(self._code, beats, lanes=self._lanes, parallel=self._parallel)

    def elaborate(self, platform) -> Module:
        """Slots in a ring of beats; decisions in order; reading with the patches laid over."""
        m = Module()
        code, slots, parallel = self._code, self._slots, self._parallel
        beats, engines = code.beats, len(self._engines)
        depth = slots * beats

        m.submodules.syndromes = syndromes = self._syndromes
        m.submodules.pending = pending = self._pending
        m.submodules.decisions = decisions = self._decisions
        m.submodules.counters = counters = self._counters
        m.submodules.slots = memory = Memory(shape=code.data_beat_bits, depth=depth, init=[])
        for index, engine in enumerate(self._engines):
            m.submodules[f"engine_{index}"] = engine
        write, read = memory.write_port(), memory.read_port()

        # Input: a codeword is let in whole, into a free slot.
        row, write_beat = Signal(range(beats)), Signal(range(depth))
        used = Signal(range(slots + 1))
        room, accepted, enters = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq((row != 0) | (used != slots)),
            syndromes.i.payload.eq(self.i.payload),
            syndromes.i.valid.eq(self.i.valid & room),
            self.i.ready.eq(room),
            accepted.eq(self.i.valid & self.i.ready),
            enters.eq(accepted & (row == 0)),
            write.addr.eq(write_beat),
            write.data.eq(self.i.payload.data),
            write.en.eq(accepted),
        ]
        m.d.sync += used.eq(used + enters - self.freed)
        with m.If(accepted):
            m.d.sync += [
                row.eq(Mux(row == beats - 1, 0, row + 1)),
                write_beat.eq(Mux(write_beat == depth - 1, 0, write_beat + 1)),
            ]

        # Syndromes: every codeword gets its decision, a wrong one also its place in the queue. Both
        # queues have a place for every slot, so the syndromes never wait.
        is_clean = syndromes.o.payload.is_clean
        m.d.comb += [
            syndromes.o.ready.eq(1),
            pending.i.payload.eq(syndromes.o.payload),
            pending.i.valid.eq(syndromes.o.valid & ~is_clean),
            decisions.i.payload.eq(is_clean),
            decisions.i.valid.eq(syndromes.o.valid),
        ]
        m.d.sync += Assert(
            ~syndromes.o.valid | (pending.i.ready & decisions.i.ready),
            "more codewords are inside than there are slots",
        )

        # Engines take their turns; the order of the output's turns is the same.
        in_turn, out_turn = Signal(range(engines)), Signal(range(engines))
        held_turn, patch_taken, verdict_taken = Signal(range(engines)), Signal(), Signal()
        for index, engine in enumerate(self._engines):
            m.d.comb += [
                engine.i.payload.eq(pending.o.payload),
                engine.i.valid.eq(pending.o.valid & (in_turn == index)),
                engine.verdicts.ready.eq(verdict_taken & (out_turn == index)),
                engine.patches.ready.eq(patch_taken & (held_turn == index)),
            ]
        m.d.comb += pending.o.ready.eq(
            Cat(engine.i.ready for engine in self._engines).bit_select(in_turn, 1)
        )
        with m.If(pending.o.valid & pending.o.ready):
            m.d.sync += in_turn.eq(Mux(in_turn == engines - 1, 0, in_turn + 1))

        verdict = Signal(verdict_layout(code))
        verdict_valid = Signal()
        with m.Switch(out_turn):
            for index, engine in enumerate(self._engines):
                with m.Case(index):
                    m.d.comb += [
                        verdict.eq(engine.verdicts.payload),
                        verdict_valid.eq(engine.verdicts.valid),
                    ]

        # Reading: the oldest codeword's beats, once it is decided and if wrong corrected.
        read_row, read_beat = Signal(range(beats)), Signal(range(depth))
        known, moves, reads, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            known.eq(decisions.o.valid & (decisions.o.payload | verdict_valid)),
            reads.eq(known & moves),
            ends.eq(reads & (read_row == beats - 1)),
            self.freed.eq(ends),
            decisions.o.ready.eq(ends),
            verdict_taken.eq(ends & ~decisions.o.payload),
            read.addr.eq(read_beat),
            read.en.eq(reads),
        ]
        with m.If(reads):
            m.d.sync += [
                read_row.eq(Mux(read_row == beats - 1, 0, read_row + 1)),
                read_beat.eq(Mux(read_beat == depth - 1, 0, read_beat + 1)),
            ]
        with m.If(verdict_taken):
            m.d.sync += out_turn.eq(Mux(out_turn == engines - 1, 0, out_turn + 1))

        # The beat that was read, and the patches that belong to it: all but the last are gathered
        # here, the last is laid over the output.
        held_valid, held_row, held_last = Signal(), Signal(range(beats)), Signal()
        held_verdict = Signal(verdict_layout(code))
        patches_left = held_verdict.patches
        gathered = Signal(code.data_beat_bits)

        patch = Signal(patch_layout(code, parallel))
        following = Signal(patch_layout(code, parallel))
        with m.Switch(held_turn):
            for index, engine in enumerate(self._engines):
                with m.Case(index):
                    m.d.comb += [
                        patch.eq(engine.patches.payload),
                        following.eq(engine.following),
                    ]
        groups = code.data_beat_bits // parallel
        overlay = Signal(code.data_beat_bits)
        here, another, sent = Signal(), Signal(), Signal()

        def in_row(patch: data.View) -> Signal:
            lowest = held_row * groups
            return (patch.group >= lowest) & (patch.group < lowest + groups)

        offset = Signal(range(groups))
        m.d.comb += [
            here.eq(held_valid & (patches_left != 0) & in_row(patch)),
            another.eq(held_valid & (patches_left > 1) & in_row(following)),
            offset.eq(patch.group - held_row * groups),
            overlay.eq(
                Cat(
                    patch.errors
                    & (here & ~held_verdict.uncorrectable & (offset == group)).replicate(parallel)
                    for group in range(groups)
                )
            ),
            self.o.valid.eq(held_valid & ~another),
            self.o.payload.data.eq(read.data ^ gathered ^ overlay),
            self.o.payload.last.eq(held_last),
            self.o.payload.corrected.eq(Mux(held_verdict.uncorrectable, 0, held_verdict.corrected)),
            self.o.payload.uncorrectable.eq(held_verdict.uncorrectable),
            sent.eq(self.o.valid & self.o.ready),
            moves.eq(~held_valid | sent),
            patch_taken.eq(here & (another | sent)),
        ]
        with m.If(patch_taken):
            m.d.sync += patches_left.eq(patches_left - 1)
        with m.If(another):
            m.d.sync += gathered.eq(gathered ^ overlay)
        with m.Elif(sent):
            m.d.sync += gathered.eq(0)
        with m.If(moves):
            m.d.sync += held_valid.eq(known)
        with m.If(reads):
            m.d.sync += [held_row.eq(read_row), held_last.eq(read_row == beats - 1)]
            with m.If(read_row == 0):
                m.d.sync += [
                    held_turn.eq(out_turn),
                    held_verdict.as_value().eq(Mux(decisions.o.payload, 0, verdict.as_value())),
                ]

        m.d.comb += [counters.counting.eq(self.counting), self.cycles.eq(counters.counts)]
        cause = counters.cause
        with m.If(~self.i.valid):
            m.d.comb += cause.eq(DecoderCause.IDLE.value)
        with m.Elif(accepted):
            m.d.comb += cause.eq(DecoderCause.BUSY.value)
        with m.Elif(held_valid | known):
            m.d.comb += cause.eq(DecoderCause.OUTPUT.value)
        with m.Else():
            m.d.comb += cause.eq(DecoderCause.CORRECTION.value)
        return m
