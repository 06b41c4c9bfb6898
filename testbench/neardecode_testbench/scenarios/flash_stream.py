"""How much of its bus a flash channel fills, against the bound of its banks.

A stream of pages is read as fast as the channel gives them. What is measured is whole rounds of
the stripe, after rounds that are not counted: ``banks`` pages a round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from amaranth.utils import ceil_log2

from neardecode.config import ChannelCause, Config
from neardecode.lib.page import PageRequest
from neardecode_testbench.devices.channel_bench import ChannelBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.blocks.edge import read_counts
from neardecode_testbench.scenarios.packing import Packer

__all__ = [
    "PATTERNS",
    "FlashStream",
    "Pattern",
    "StreamMeasure",
    "measure_stream",
    "stream_measure",
]

Pattern = Literal["sequential", "random", "weights"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

LARGEST_RATIO = 1.0001
"""Above this a measurement is wrong: no stream can be faster than its bound."""
MOST_RUN = 255
MATRIX_BLOCKS = (576 * 18, 192 * 18, 192 * 18, 576 * 18, 1536 * 18, 1536 * 18, 576 * 48)
"""Q4_1 blocks of the matrices of a layer of SmolLM2-135M: q, k, v, o, gate, up, down."""
BLOCKS_A_PAGE = 204


@dataclass(frozen=True)
class StreamMeasure:
    """What a channel did in the rounds that were measured.

    Attributes:
        utilisation: Beats delivered a cycle.
        bound: ``min(1, banks * page_beats / tR)``.
        ratio: The one by the other.
        cycles: Of the rounds measured.
        stalls: Cycles by cause, from the first request to the last beat; with ``BUSY`` they are
            ``total_cycles``.
        total_cycles: All of them.
    """

    utilisation: float
    bound: float
    ratio: float
    cycles: int
    stalls: dict[str, int]
    total_cycles: int


@dataclass
class FlashStream:
    """Reads pages as fast as they come.

    Attributes:
        config: A configuration; one channel of it.
        pattern: Which pages.
        warmup, rounds: Rounds of the stripe before those measured, and measured.
        seed: Of random pages.
    """

    config: Config
    pattern: Pattern = "sequential"
    warmup: int = 3
    rounds: int = 8
    seed: int = 1

    def requests(self) -> list[tuple[int, int]]:
        """Runs of pages as (first page, pages)."""
        flash = self.config.flash
        pages = flash.banks * (self.warmup + self.rounds + 1)
        if self.pattern == "random":
            random = np.random.default_rng(self.seed)
            return [(int(page), 1) for page in random.integers(flash.pages, size=pages)]
        if self.pattern == "weights":
            sizes = [-(-blocks // BLOCKS_A_PAGE) for blocks in MATRIX_BLOCKS]
            ends = np.cumsum(np.resize(sizes, pages // min(sizes) + 1))
        else:
            ends = np.arange(MOST_RUN, pages + MOST_RUN, MOST_RUN)
        edges = [0, *(int(end) for end in ends if end < pages), pages]
        return [
            (start, min(MOST_RUN, end - start))
            for begin, stop in pairwise(edges)
            for start, end in [(s, stop) for s in range(begin, stop, MOST_RUN)]
        ]

    def __call__(self, step: Step) -> StreamMeasure:
        """Measures.

        Raises:
            ValueError: if the stream was faster than its bound, or a cycle has no cause or two.
        """
        flash = self.config.flash
        runs = self.requests()
        pack = Packer(PageRequest(ceil_log2(flash.pages))).pack
        beats = flash.page_beats * sum(pages for _, pages in runs)
        # Zeros are a codeword of any code.
        memory = np.zeros((flash.pages, flash.page_beats * flash.stored_bytes), np.uint8)
        outcome = step(
            Play(
                sources=[
                    Source(
                        "requests",
                        [
                            pack({"address": first, "pages": pages, "fresh": 0, "tag": 0})
                            for first, pages in runs
                        ],
                    )
                ],
                sinks=[Sink("beats", beats)],
                storages=[Storage("storage", memory, flash.stored_bytes)],
                levels={"counting": 1},
                limit=20 * beats + 20 * self.config.sense_cycles * len(runs) + 10_000,
            )
        )
        stalls = read_counts(step, "cycles", ChannelCause)
        return stream_measure(
            self.config,
            outcome.sinks["beats"].cycles,
            outcome.cycles,
            stalls,
            warmup=self.warmup,
            rounds=self.rounds,
            bounded=self.pattern != "random",
        )


def stream_measure(
    config: Config,
    cycles: Sequence[int],
    total: int,
    stalls: dict[str, int],
    *,
    warmup: int,
    rounds: int,
    bounded: bool = True,
) -> StreamMeasure:
    """What the cycles of a stream's beats say.

    Args:
        config: Of the channel.
        cycles: When each beat was taken.
        total: Cycles in which causes were counted.
        stalls: Cycles by cause.
        warmup, rounds: Rounds of the stripe before those measured, and measured.
        bounded: The stream finds no page in a buffer, and so cannot pass its bound.

    Raises:
        ValueError: if it did, or if the causes do not own each cycle once.
    """
    flash = config.flash
    if sum(stalls.values()) != total:
        raise ValueError(f"{sum(stalls.values())} cycles have a cause, of {total}")
    first = warmup * flash.banks * flash.page_beats
    last = first + rounds * flash.banks * flash.page_beats
    elapsed = cycles[last] - cycles[first]
    utilisation = (last - first) / elapsed
    ratio = utilisation / config.utilisation_bound
    if bounded and ratio > LARGEST_RATIO:
        raise ValueError(f"measured {ratio:.6f} of the bound, which cannot be exceeded")
    return StreamMeasure(utilisation, config.utilisation_bound, ratio, elapsed, stalls, total)


def measure_stream(stream: FlashStream, backend: Backend = "native") -> StreamMeasure:
    """Measures a stream on a channel and its dies."""
    design = Design(ChannelBench, (stream.config.flash, stream.config.sense_cycles))
    return simulate(design, stream, backend)
