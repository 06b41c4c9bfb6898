"""A softmax by itself: tiles of scores in, rescales, probabilities and partials out.

Values are compared with the integer reference, cycles with a recurrence over the handshakes at the
edge. Starts of tiles and reads of scores follow each other down three stages that move together; a
probability at the last one that is not taken holds all of them:

- a score is taken unless as many are held as fit, or it ends a tile and the tile before it has not
  started;
- a tile starts once its last score was taken, the tile before it is read, that one's rescale was
  taken and, where it closed its row, its partial;
- its rescale stands one cycle after its start, its partial one after its last probability was
  taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from neardecode.compute.command import Probability
from neardecode.compute.softmax.layouts import Partial, Rescale, Score
from neardecode.config import Config, SoftmaxCause
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.reference.arithmetic import softmax as reference
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    check_sink,
    open_from,
    read_counts,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["STREAMS", "SoftmaxRows", "SoftmaxRun", "SoftmaxTile", "random_tiles"]

STREAMS = ("scores", "rescales", "probabilities", "partials")


class SoftmaxTile(NamedTuple):
    """Accumulators of a tile, and whether it is its row's first and last here."""

    accumulators: Sequence[int]
    opens: bool
    closes: bool


class SoftmaxRun(NamedTuple):
    """When each payload was taken, by stream, and the counters."""

    taken: dict[str, list[int]]
    counts: dict[str, int]


def random_tiles(
    config: Config, rows: Sequence[Sequence[int]], seed: int = 1
) -> tuple[SoftmaxTile, ...]:
    """Rows of tiles of given lengths, with scores of every kind.

    Some tiles hold the largest and smallest accumulators, some scores far apart, some whole
    numbers, some equal ones; the others are like those of a model.
    """
    random = np.random.default_rng(seed)
    bits, fraction_bits = config.compute.accumulator_bits, config.compute.fraction_bits
    limit = (1 << bits - 1) - 1

    def draw(length: int) -> list[int]:
        kind = random.integers(6)
        centre = int(random.integers(-40, 40)) << fraction_bits
        if kind == 0:
            numbers = random.choice([limit, -limit - 1, limit >> 1, 0, -1], length)
        elif kind == 1:
            numbers = random.integers(-600, 600, length) * (1 << fraction_bits)
        elif kind == 2:
            numbers = np.full(length, centre)
        elif kind == 3:
            # Around the halves between two scores, and around the largest score.
            half = 1 << max(fraction_bits - config.vector.score_fraction_bits - 1, 0)
            top = (1 << config.vector.maximum_bits - 1) << fraction_bits
            whole = top - (1 << fraction_bits)
            numbers = [half, -half, top, -top, whole, whole + half, whole + 2 * half]
            numbers = random.choice(numbers, length)
            numbers = numbers + random.integers(-2, 3, length)
        else:
            numbers = centre + random.normal(0, 4, length) * 2.0**fraction_bits
        return [min(max(int(number), -limit - 1), limit) for number in numbers]

    return tuple(
        SoftmaxTile(draw(length), index == 0, index == len(lengths) - 1)
        for lengths in rows
        for index, length in enumerate(lengths)
    )


@dataclass
class SoftmaxRows:
    """Tiles one after another on a softmax.

    Attributes:
        config: Its configuration.
        tiles: What to do.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Config
    tiles: Sequence[SoftmaxTile]
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> SoftmaxRun:
        """Plays the tiles and checks every value and every cycle."""
        stalls = self.pacing.stalls
        payloads = self._payloads()
        count = len(payloads["scores"])
        outcome = step(
            Play(
                sources=[Source("scores", payloads["scores"], stalls("scores"))],
                sinks=[
                    Sink(name, len(payloads[name]), payloads[name], stalls(name))
                    for name in STREAMS[1:]
                ],
                levels={"counting": 1},
                limit=300 * (count + 4 * len(self.tiles) + 10),
                trailing=8,
            )
        )
        for name in STREAMS[1:]:
            check_sink(name, outcome.sinks[name])
        cycles = _Cycles(self.config, self.tiles, self.pacing, outcome.start)
        check_cycles("score", outcome.sources["scores"], cycles.scores)
        for name in STREAMS[1:]:
            check_cycles(name, outcome.sinks[name].cycles, cycles.taken[name])
            check_recorded(self.recorder, name, outcome, cycles.stands[name])
        counts = read_counts(step, "cycles", SoftmaxCause)
        check_counts("softmax", counts, cycles.counts(outcome.start, outcome.cycles))
        taken = {name: outcome.sinks[name].cycles for name in STREAMS[1:]}
        return SoftmaxRun({"scores": outcome.sources["scores"], **taken}, counts)

    def _payloads(self) -> dict[str, list[int]]:
        compute, vector = self.config.compute, self.config.vector
        form = reference.SoftmaxFormat(compute.activation_bits, vector)
        score, rescale = Packer(Score(compute)), Packer(Rescale())
        probability, partial = Packer(Probability(compute)), Packer(Partial(vector))
        payloads: dict[str, list[int]] = {name: [] for name in STREAMS}
        before: reference.Partial | None = None
        saturated = False
        for tile in self.tiles:
            if tile.opens:
                before, saturated = None, False
            ends = [False] * (len(tile.accumulators) - 1) + [True]
            # Of the flags that count with a tile's last score only the others are noise.
            payloads["scores"] += [
                score.pack(
                    {
                        "value": value,
                        "last": end,
                        "opens": tile.opens if end else not tile.opens,
                        "closes": tile.closes if end else not tile.closes,
                    }
                )
                for value, end in zip(tile.accumulators, ends, strict=True)
            ]
            scores = reference.scores_of(tile.accumulators, compute.fraction_bits, vector)
            saturated |= bool(scores.saturated.any())
            result = reference.softmax_tile(scores.values, before, form)
            payloads["rescales"].append(
                rescale.pack({"shift": result.rescale, "opens": tile.opens})
            )
            payloads["probabilities"] += [
                probability.pack({"mantissa": mantissa, "exponent": exponent})
                for mantissa, exponent in zip(result.mantissas, result.exponents, strict=True)
            ]
            before = result.partial
            if tile.closes:
                payloads["partials"].append(
                    partial.pack(
                        {
                            "maximum": before.maximum,
                            "total": before.total,
                            "saturated": saturated,
                        }
                    )
                )
        return payloads


class _Cycles:
    """The recurrence of this module's docstring."""

    def __init__(
        self, config: Config, tiles: Sequence[SoftmaxTile], pacing: Pacing, start: int
    ) -> None:
        depth = 1 << (2 * config.vector.tile_rows - 1).bit_length()
        stalls = {name: pacing.stalls(name) for name in STREAMS}
        self.scores: list[int] = []
        self.stands: dict[str, list[int]] = {name: [] for name in STREAMS[1:]}
        self.taken: dict[str, list[int]] = {name: [] for name in STREAMS[1:]}
        reads: list[int] = []
        self._known: list[tuple[int, int]] = []
        self._begun: list[tuple[int, int]] = []
        # The probability that was last at the third stage: when it came and when it went.
        came = went = -1

        def moves_from(cycle: int) -> int:
            """The first cycle from ``cycle`` on in which the stages move."""
            return went if came <= cycle < went else cycle

        offered = start
        started = read = -1
        partial = -1
        for tile in tiles:
            for index in range(len(tile.accumulators)):
                ready = [open_from(offered, stalls["scores"])]
                if len(self.scores) >= depth:
                    ready.append(reads[len(self.scores) - depth] + 1)
                if index == len(tile.accumulators) - 1:
                    ready.append(started + 1)
                self.scores.append(max(ready))
                offered = self.scores[-1] + 1
            first, last = self.scores[-len(tile.accumulators)], self.scores[-1]
            rescaled = self.taken["rescales"][-1] + 1 if self.taken["rescales"] else 0
            started = moves_from(max(last + 1, read, rescaled, partial))
            self._begun.append((first + 1, last + 1))
            self.stands["rescales"].append(started + 1)
            self.taken["rescales"].append(open_from(started + 1, stalls["rescales"]))
            # The start itself goes down the stages, as a score does but for leaving.
            second = moves_from(started + 1)
            for _ in tile.accumulators:
                reads.append(second)
                second = moves_from(second + 1)
                came = second + 1
                went = open_from(came, stalls["probabilities"])
                self.stands["probabilities"].append(came)
                self.taken["probabilities"].append(went)
            read = second
            # Known from its last score on, until its last score has left the second stage.
            self._known.append((last + 1, read + 1))
            if tile.closes:
                self.stands["partials"].append(went + 1)
                partial = open_from(went + 1, stalls["partials"])
                self.taken["partials"].append(partial)

    def counts(self, start: int, cycles: int) -> dict[str, int]:
        """Each cycle's cause: the first that holds."""

        def between(spans: Iterable[tuple[int, int]]) -> set[int]:
            return {cycle for first, end in spans for cycle in range(first, end)}

        busy = set(self.taken["probabilities"])
        waits = between(
            span
            for name in STREAMS[1:]
            for span in zip(self.stands[name], self.taken[name], strict=True)
        )
        known = between(self._known) | set(self.taken["partials"])
        causes = [busy, waits, known, between(self._begun)]
        counts = dict.fromkeys((cause.name for cause in SoftmaxCause), 0)
        for cycle in range(start, start + cycles):
            holds = [cycle in those for those in causes]
            counts[SoftmaxCause(holds.index(True) if True in holds else 4).name] += 1
        return counts
