"""A block of stages that move together, unless the last holds a payload that is not taken.

A payload is taken when it is offered, the stages move and what its row needs is there; it has then
passed a stage with every cycle in which they move.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    Pacing,
    Recorder,
    check_cycles,
    check_recorded,
    check_sink,
    open_from,
)

__all__ = ["Row", "StagedRows"]


@dataclass(frozen=True)
class Row:
    """A row through a block.

    Attributes:
        inputs: Payloads of ``i``.
        outputs: For each the payload that comes of it at ``o``, or None.
        head: What the row needs first, on the block's other stream; None where it has none.
    """

    inputs: Sequence[int]
    outputs: Sequence[int | None]
    head: int | None = None


@dataclass
class StagedRows:
    """Rows one after another.

    Attributes:
        rows: What to do.
        latency: The block's.
        heads: The stream of what a row needs first.
        kept: That is taken on its own, the row following from the next cycle on, and the next row's
            once this one's last input was taken; else it is taken with the row's last input.
        levels: Inputs held at a value.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    rows: Sequence[Row]
    latency: int
    heads: str | None = None
    kept: bool = False
    levels: dict[str, int] = field(default_factory=dict)
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(("i", "o")))

    def __call__(self, step: Step) -> tuple[list[int], list[int]]:
        """Plays the rows, checks every value and cycle, and gives when each was taken."""
        stalls = self.pacing.stalls
        inputs = [payload for row in self.rows for payload in row.inputs]
        outputs = [payload for row in self.rows for payload in row.outputs if payload is not None]
        sources = [Source("i", inputs, stalls("i"))]
        if self.heads is not None:
            heads = [row.head for row in self.rows if row.head is not None]
            sources.append(Source(self.heads, heads, stalls(self.heads)))
        outcome = step(
            Play(
                sources=sources,
                sinks=[Sink("o", len(outputs), outputs, stalls("o"))],
                levels=self.levels,
                limit=300 * (len(inputs) + 10),
                trailing=self.latency + 4,
            )
        )
        check_sink("o", outcome.sinks["o"])
        self._follow(outcome.start)
        check_cycles("input", outcome.sources["i"], self._inputs)
        if self.heads is not None:
            check_cycles(self.heads, outcome.sources[self.heads], self._heads)
        check_cycles("output", outcome.sinks["o"].cycles, self._taken)
        check_recorded(self.recorder, "o", outcome, self._stands)
        return outcome.sources["i"], outcome.sinks["o"].cycles

    def _follow(self, start: int) -> None:
        stalls = self.pacing.stalls
        self._inputs: list[int] = []
        self._heads: list[int] = []
        self._stands: list[int] = []
        self._taken: list[int] = []
        held: set[int] = set()

        def moves_from(cycle: int) -> int:
            while cycle in held:
                cycle += 1
            return cycle

        offered = head_offered = head_free = start
        for row in self.rows:
            known = start
            if self.heads is not None:
                known = open_from(head_offered, stalls(self.heads))
                if self.kept:
                    known = max(known, head_free)
                    self._heads.append(known)
                    head_offered = known = known + 1
            for payload in row.outputs:
                cycle = moves_from(max(open_from(offered, stalls("i")), known))
                self._inputs.append(cycle)
                offered = cycle + 1
                if payload is None:
                    continue
                for _ in range(self.latency - 1):
                    cycle = moves_from(cycle + 1)
                self._stands.append(cycle + 1)
                self._taken.append(open_from(cycle + 1, stalls("o")))
                held.update(range(cycle + 1, self._taken[-1]))
            if self.heads is not None and not self.kept:
                self._heads.append(offered - 1)
                head_offered = offered
            head_free = offered
