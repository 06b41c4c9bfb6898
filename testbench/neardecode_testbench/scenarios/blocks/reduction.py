"""A reduction tree: every result at every node, and the cycle of each at full rate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from neardecode.config import ReductionCause
from neardecode.fabric.reduction import ReducedWord, ReductionCommand
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_cycles,
    check_sink,
    read_counts,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Message", "ReductionRun", "Reductions", "all_gather", "all_reduce", "broadcast"]


@dataclass(frozen=True)
class Message:
    """What each node gives to one message.

    Attributes:
        words: Words of the message.
        own: For each node its (first word, values).
    """

    words: int
    own: tuple[tuple[int, tuple[int, ...]], ...]

    def results(self, width: int) -> list[tuple[int, bool]]:
        """For each word the sum, cut to ``width`` bits, and whether it was beyond them."""
        sums = [0] * self.words
        for first, values in self.own:
            for place, value in enumerate(values, first):
                sums[place] += value
        low, high = -(1 << width - 1), (1 << width - 1) - 1
        return [(min(max(value, low), high), not low <= value <= high) for value in sums]


def _draw(random: np.random.Generator, count: int, width: int) -> tuple[int, ...]:
    """Values of every size, negative ones too."""
    sizes = random.integers(1, width + 1, count)
    return tuple(
        (int.from_bytes(random.bytes(16), "little") >> 128 - int(size)) - (1 << int(size) - 1)
        for size in sizes
    )


def all_reduce(nodes: int, words: int, width: int, seed: int) -> Message:
    """Every node gives every word."""
    random = np.random.default_rng([seed, nodes, words])
    return Message(words, tuple((0, _draw(random, words, width)) for _ in range(nodes)))


def broadcast(nodes: int, words: int, width: int, seed: int, source: int) -> Message:
    """One node gives every word."""
    random = np.random.default_rng([seed, nodes, words])
    values = _draw(random, words, width)
    return Message(words, tuple((0, values if node == source else ()) for node in range(nodes)))


def all_gather(nodes: int, words: int, width: int, seed: int) -> Message:
    """Every node gives its own share of the words."""
    random = np.random.default_rng([seed, nodes, words])
    edges = [node * words // nodes for node in range(nodes + 1)]
    return Message(
        words,
        tuple((first, _draw(random, last - first, width)) for first, last in pairwise(edges)),
    )


@dataclass
class ReductionRun:
    """For each node the cycle of each result, the cycles in all, and where each node's went."""

    taken: list[list[int]]
    cycles: int
    counts: list[dict[str, int]]


@dataclass
class Reductions:
    """Messages through a tree.

    Attributes:
        width: Bits of a word.
        depths: For each node its links to the root.
        link_latency: Registers of a link.
        messages: One after another.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    width: int
    depths: Sequence[int]
    link_latency: int
    messages: Sequence[Message]
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(()))

    def __post_init__(self) -> None:
        self.recorder = Recorder(
            tuple(
                f"{name}__{node}"
                for name in ("commands", "contributions", "results")
                for node in range(len(self.depths))
            )
        )

    def __call__(self, step: Step) -> ReductionRun:
        """Plays the messages and checks every result; at full rate its cycle too."""
        nodes = range(len(self.depths))
        commands, results = Packer(ReductionCommand()), Packer(ReducedWord(self.width))
        mask = (1 << self.width) - 1
        expected = [
            results.pack({"word": value & mask, "saturated": saturated})
            for message in self.messages
            for value, saturated in message.results(self.width)
        ]
        sources = []
        for node in nodes:
            given = [message.own[node] for message in self.messages]
            lengths = [
                {"words": message.words, "first": first, "own": len(values)}
                for message, (first, values) in zip(self.messages, given, strict=True)
            ]
            words = [value & mask for _, values in given for value in values]
            for name, payloads in (
                ("commands", [commands.pack(fields) for fields in lengths]),
                ("contributions", words),
            ):
                stream = f"{name}__{node}"
                sources.append(Source(stream, payloads, self.pacing.stalls(stream)))
        outcome = step(
            Play(
                sources=sources,
                sinks=[
                    Sink(
                        f"results__{node}",
                        len(expected),
                        expected,
                        self.pacing.stalls(f"results__{node}"),
                    )
                    for node in nodes
                ],
                levels={"counting": 1},
                limit=300 * len(expected) + 10_000,
                trailing=2 * max(self.depths) * (self.link_latency + 1) + 10,
            )
        )
        taken = []
        for node in nodes:
            log = outcome.sinks[f"results__{node}"]
            check_sink(f"results__{node}", log)
            taken.append(log.cycles)
            if self.pacing == FULL_RATE:
                hops = max(self.depths) + self.depths[node]
                first = outcome.start + hops * (self.link_latency + 1) + 2
                due = list(range(first, first + len(expected)))
                check_cycles(f"result of node {node}", log.cycles, due)
        counts = [read_counts(step, f"cycles__{node}", ReductionCause) for node in nodes]
        for node in nodes:
            if counts[node]["BUSY"] != len(expected):
                raise CheckError(f"node {node}: {counts[node]['BUSY']} words went up")
            if sum(counts[node].values()) != outcome.cycles:
                raise CheckError(f"node {node}: {counts[node]} are not {outcome.cycles} cycles")
        return ReductionRun(taken, outcome.cycles, counts)
