"""The BCH codec: what comes out of damaged codewords, and the cycle of every beat.

Values are compared with the data that was encoded, where at most t bits are wrong. Cycles are
compared with recurrences over the handshakes at the edge, which follow each codeword through the
slots, the queue of wrong codewords, the engines in turns and their queues; the cycles of the key
equation and of the search are those of the components' formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import NamedTuple

import numpy as np

from neardecode.lib.bch import BchCode, DecoderCause
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.bch_codewords import (
    Damage,
    DecoderNumbers,
    draw_message,
    make_codeword,
    make_decoder,
    miscorrected_share,
)
from neardecode_testbench.scenarios.blocks.bch_cycles import DecoderCycles
from neardecode_testbench.scenarios.blocks.edge import (
    CheckError,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    check_sink,
    open_from,
    read_counts,
)

__all__ = [
    "DecodeCodewords",
    "DecodeRun",
    "EncodeCodewords",
    "Throughput",
    "expected_bound",
    "measure",
]

STREAMS = ("i", "o")


@dataclass
class DecodeRun:
    """What a decoder did.

    Attributes:
        taken: When each beat was taken at the input.
        left: When each beat was taken at the output.
        corrected: Bits corrected, by codeword.
        uncorrectable: Codewords given up.
        miscorrected: Codewords with more than t errors that came out as another codeword.
        counts: The input's cycles by cause.
    """

    taken: list[int]
    left: list[int]
    corrected: list[int]
    uncorrectable: int
    miscorrected: int
    counts: dict[str, int]


@dataclass
class DecodeCodewords:
    """Codewords one after another through a decoder.

    Attributes:
        numbers: The decoder's.
        damages: The codewords.
        seed: Of data and wrong positions.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    numbers: DecoderNumbers
    damages: Sequence[Damage]
    seed: int = 1
    pacing: Pacing = field(default_factory=Pacing)
    recorder: Recorder = field(
        default_factory=lambda: Recorder(STREAMS, ("i__valid", "i__ready", "o__valid", "freed"))
    )

    def __call__(self, step: Step) -> DecodeRun:
        """Plays the codewords and checks every value and every cycle.

        Raises:
            CheckError: if a value or a cycle is another, or too many words were miscorrected.
        """
        code = self.numbers.code
        random = np.random.default_rng(self.seed)
        words = [make_codeword(self.numbers, damage, random) for damage in self.damages]
        decoded = [beat for word in words for beat in word.decoded]
        stalls = self.pacing.stalls
        longest = max((word.key_cycles + word.search.cycles for word in words), default=0)
        outcome = step(
            Play(
                sources=[Source("i", [beat for word in words for beat in word.beats], stalls("i"))],
                sinks=[Sink("o", len(decoded), decoded, stalls("o"))],
                levels={"counting": 1},
                limit=200 * len(decoded) + len(words) * (longest + code.t + 20) + 200,
                trailing=8,
            )
        )
        log = outcome.sinks["o"]
        check_sink("o", log)
        cycles = DecoderCycles(self.numbers, words, stalls("i"), stalls("o"), outcome.start)
        check_cycles("beat taken", outcome.sources["i"], cycles.accepted)
        check_cycles("beat out", log.cycles, cycles.taken)
        check_recorded(self.recorder, "o", outcome, cycles.stands)
        if self.recorder.cycles:
            freed = [cycle for cycle, level in enumerate(self.recorder.levels["freed"]) if level]
            check_cycles("slot freed", freed, cycles.freed)
        counts = read_counts(step, "cycles", DecoderCause)
        check_counts("decoder", counts, cycles.counts(outcome.start, outcome.cycles))

        hopeless = [word for word in words if len(word.wrong) > code.t]
        miscorrected = sum(not word.uncorrectable for word in hopeless)
        expected = miscorrected_share(code) * len(hopeless)
        if miscorrected > expected + 5 * sqrt(expected) + 1:
            raise CheckError(f"{miscorrected} of {len(hopeless)} miscorrected, not {expected:.2g}")
        return DecodeRun(
            outcome.sources["i"],
            log.cycles,
            [word.corrected for word in words],
            sum(word.uncorrectable for word in words),
            miscorrected,
            counts,
        )


@dataclass
class EncodeCodewords:
    """Data through an encoder.

    Attributes:
        code: The code.
        damages: The codewords, of which only the contents matter.
        seed: Of the data.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    code: BchCode
    damages: Sequence[Damage]
    seed: int = 1
    pacing: Pacing = field(default_factory=Pacing)
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> list[tuple[int, int]]:
        """Plays the data, checks every value and every cycle, and gives the codewords.

        Raises:
            CheckError: if a value or a cycle is another.
        """
        code = self.code
        random = np.random.default_rng(self.seed)
        messages = [draw_message(damage, code, random) for damage in self.damages]
        beats = [
            beat for message in messages for beat in code.pack_beats(message, code.encode(message))
        ]
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[
                    Source(
                        "i",
                        [beat for message in messages for beat in code.data_beats(message)],
                        stalls("i"),
                    )
                ],
                sinks=[Sink("o", len(beats), beats, stalls("o"))],
                limit=200 * len(beats) + 200,
                trailing=8,
            )
        )
        log = outcome.sinks["o"]
        check_sink("o", log)

        accepted, stands, taken = [], [], []
        depth, free, parity_waits, last_out = code.beats + 2, outcome.start, -1, -1
        for _ in messages:
            for beat in range(code.beats):
                cycle = open_from(free, stalls("i"))
                if len(accepted) >= depth:
                    cycle = max(cycle, taken[len(accepted) - depth] + 1)
                if beat == code.beats - 1:
                    cycle = max(cycle, parity_waits + 1)
                accepted.append(cycle)
                free = cycle + 1
            parity_waits = max(accepted[-1] + 1, last_out)
            for _ in range(code.beats):
                stand = max(parity_waits + 1, taken[-1] + 1 if taken else 0)
                stands.append(stand)
                taken.append(open_from(stand, stalls("o")))
            last_out = taken[-1]
        check_cycles("beat taken", outcome.sources["i"], accepted)
        check_cycles("beat out", log.cycles, taken)
        check_recorded(self.recorder, "o", outcome, stands)
        size = code.beats
        return [
            code.join_beats(log.payloads[first : first + size])
            for first in range(0, len(log.payloads), size)
        ]


class Throughput(NamedTuple):
    """A decoder's throughput at one raw bit error rate.

    Attributes:
        beats_a_cycle: From the first beat offered to the last one out, so below the steady rate by
            the decoder's latency.
        bound: The most that input, output and engines allow for the codewords that were drawn.
        expected_bound: The same, of input and engines, before any codeword is drawn.
        ratio: ``beats_a_cycle / bound``.
        corrected: Bits corrected.
        uncorrectable: Codewords given up.
        wrong: Codewords with errors.
        counts: The input's cycles by cause.
    """

    beats_a_cycle: float
    bound: float
    expected_bound: float
    ratio: float
    corrected: int
    uncorrectable: int
    wrong: int
    counts: dict[str, int]


def expected_bound(numbers: DecoderNumbers, bit_error_rate: float) -> float:
    """The most beats a cycle that input and engines allow, by the errors' binomial distribution.

        beats / max(beats, E[K + 1] / engines, E[S + 1] / engines)

    K(e) and S(e) are the cycles of the key equation and of the search of e errors: nothing without
    errors; from 1 to t on average those of a degree that grows by one a step and of a last error
    at e / (e + 1) of the codeword; beyond t the most.
    """
    code, lanes = numbers.code, numbers.lanes
    probability, rest = (1 - bit_error_rate) ** code.n, 1.0
    key = search = 0.0
    for errors in range(code.t + 2):
        if errors > code.t:
            probability = rest
        if errors:
            degrees = [min(step + 1, errors) for step in range(code.t)]
            share = errors / (errors + 1) if errors <= code.t else 1
            key += probability * (2 + sum(2 + degree // lanes for degree in degrees))
            search += probability * (4 + share * code.n / numbers.chien_parallel)
        rest -= probability
        odds = bit_error_rate / (1 - bit_error_rate)
        probability *= (code.n - errors) / (errors + 1) * odds
    return code.beats / max(code.beats, key / numbers.engines, search / numbers.engines)


@dataclass
class _Steady:
    """Beats in and beats out without a stall: the cycles they take and where they go."""

    beats: list[int]
    decoded: list[int]
    limit_a_beat: int

    def __call__(self, step: Step) -> tuple[int, dict[str, int]]:
        outcome = step(
            Play(
                sources=[Source("i", self.beats)],
                sinks=[Sink("o", len(self.decoded), self.decoded)],
                levels={"counting": 1},
                limit=self.limit_a_beat * len(self.beats),
            )
        )
        check_sink("o", outcome.sinks["o"])
        return outcome.cycles, read_counts(step, "cycles", DecoderCause)


def measure(
    code: BchCode,
    engines: int,
    bit_error_rate: float,
    codewords: int,
    seed: int,
    backend: Backend,
    *,
    chien_parallel: int = 8,
    lanes: int = 4,
    slots: int | None = None,
) -> Throughput:
    """A decoder's throughput for codewords with random bit errors; every value is checked.

    With K and S the cycles of the key equation and of the search of a wrong codeword, and e the
    cycles that beats with more than one patch cost beyond their own, all sums over the codewords
    drawn, the bound in beats a cycle is

        beats * codewords / max(beats * codewords + e, sum(K + 1) / engines, sum(S + 1) / engines)

    Args:
        code: The code.
        engines: Correction engines.
        bit_error_rate: Each bit of a codeword is wrong with this probability.
        codewords: How many.
        seed: Of data and errors.
        backend: The simulator.
        chien_parallel, lanes: Of an engine.
        slots: Codewords inside the decoder; by default so many that they do not limit it:
            4 * engines + 4.

    Raises:
        CheckError: if a value is another, or the throughput is above its bound.
    """
    numbers = DecoderNumbers(code, engines, chien_parallel, lanes, slots or 4 * engines + 4)
    random = np.random.default_rng(seed)
    errors = random.binomial(code.n, bit_error_rate, codewords).tolist()
    words = [make_codeword(numbers, Damage(count), random) for count in errors]
    decoded = [beat for word in words for beat in word.decoded]
    wrong = [word for word in words if not word.clean]

    steady = _Steady([beat for word in words for beat in word.beats], decoded, 10 * code.n)
    cycles, counts = simulate(Design(make_decoder, (numbers,)), steady, backend)
    groups = code.data_beat_bits // chien_parallel
    beats = [{group // groups for group, _ in word.search.patches} for word in wrong]
    extra = sum(
        len(word.search.patches) - len(rows) for word, rows in zip(wrong, beats, strict=True)
    )
    shortest = max(
        code.beats * codewords + extra,
        sum(word.key_cycles + 1 for word in wrong) / engines,
        sum(word.search.cycles + 1 for word in wrong) / engines,
    )
    ratio = shortest / cycles
    if ratio > 1.0001:
        raise CheckError(f"{cycles} cycles are fewer than the {shortest} of the bound")
    return Throughput(
        code.beats * codewords / cycles,
        code.beats * codewords / shortest,
        expected_bound(numbers, bit_error_rate),
        ratio,
        sum(word.corrected for word in words),
        sum(word.uncorrectable for word in words),
        len(wrong),
        counts,
    )
