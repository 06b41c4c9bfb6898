"""A MAC slice by itself: its pages come straight in on ``beats``, its ``requests`` are taken.

Values are compared with the integer reference, cycles with a recurrence over the handshakes at the
edge:

- a command is taken once its offer stands, the last page of the one before it is asked for, and
  the command `MacSlice.commands_ahead` before it is done; its pages are asked for from the next
  cycle on, one a cycle;
- an activation block is taken unless two vectors are held;
- a beat is taken once its command is open and its vector loaded, unless a result waits;
- a result appears `MacSlice.latency` cycles after its row's last beat was taken, cycles in which a
  result waits not counted.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from amaranth.utils import ceil_log2
from numpy.typing import NDArray

from neardecode.compute.command import ActivationBlock, Mode, SliceCommand, SliceResult
from neardecode.compute.slice import MacSlice
from neardecode.config import BLOCK_ELEMENTS, Config, SliceCause
from neardecode.lib.page import PageBeat, PageRequest
from neardecode_testbench.drive.stimulus import Outcome, Play, Sink, Source, Step
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.pages import pages_of_rows, unpack_rows, write_row
from neardecode_testbench.reference.scores import AccumulatorFormat, integer_scores
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    check_sink,
    offered_cycles,
    open_from,
    read_counts,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Job", "SliceRows", "SliceRun"]

STREAMS = ("commands", "activations", "beats", "requests", "results")


@dataclass(frozen=True)
class Job:
    """A command for a slice.

    Attributes:
        rows, blocks: The command's; blocks a row, whole beats of them.
        base: Its first page.
        appended: Its last row was just written.
        bad_pages: Pages, counted from the base, that cannot be read.
    """

    rows: int
    blocks: int
    base: int = 0
    appended: bool = False
    bad_pages: frozenset[int] = frozenset()


@dataclass
class SliceRun:
    """What a slice did, for checks beside those of the scenario itself.

    Attributes:
        beats: When each beat was taken.
        results: When each result was taken.
        commands: When each command was taken.
        counts: The counters.
        saturated: Results with a clamped term.
    """

    beats: list[int]
    results: list[int]
    commands: list[int]
    counts: dict[str, int]
    saturated: int


@dataclass
class _Stimulus:
    """One job's payloads, and what must come of them."""

    command: int
    activations: list[int]
    beats: list[int]
    requests: list[int]
    results: list[int]
    saturated: int


@dataclass
class SliceRows:
    """Commands one after another on a slice.

    Attributes:
        config: The slice's configuration.
        address_bits: Of a page.
        jobs: What to do.
        seed: Of keys and activations.
        pacing: Of the streams.
        magnitudes: ``common`` keeps every term in range; ``any`` draws exponents so that terms
            vanish, fit and saturate; ``edges`` puts single products at the very ends of a term's
            range and of every shift.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Config
    address_bits: int
    jobs: tuple[Job, ...]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    magnitudes: Literal["common", "any", "edges"] = "any"
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> SliceRun:
        """Plays the commands and checks every value and every cycle."""
        random = np.random.default_rng(self.seed)
        stimuli = [self._stimulus(random, number, job) for number, job in enumerate(self.jobs)]
        requests = [request for stimulus in stimuli for request in stimulus.requests]
        results = [result for stimulus in stimuli for result in stimulus.results]
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[
                    Source("commands", [s.command for s in stimuli], stalls("commands")),
                    Source(
                        "activations",
                        [block for s in stimuli for block in s.activations],
                        stalls("activations"),
                    ),
                    Source("beats", [beat for s in stimuli for beat in s.beats], stalls("beats")),
                ],
                sinks=[
                    Sink("requests", len(requests), requests, stalls("requests")),
                    Sink("results", len(results), results, stalls("results")),
                ],
                levels={"counting": 1},
                limit=200 * (sum(len(s.beats) + len(s.activations) for s in stimuli) + 50),
                trailing=12,
            )
        )
        check_sink("requests", outcome.sinks["requests"])
        check_sink("results", outcome.sinks["results"])
        counts = read_counts(step, "cycles", SliceCause)
        self._check_timing(outcome, counts)
        return SliceRun(
            outcome.sources["beats"],
            outcome.sinks["results"].cycles,
            outcome.sources["commands"],
            counts,
            sum(stimulus.saturated for stimulus in stimuli),
        )

    def beats_a_row(self, job: Job) -> int:
        """Element beats of a row."""
        return job.blocks // self.config.kv_layout.blocks_a_beat

    def pages(self, job: Job) -> int:
        """Pages of a command."""
        return pages_of_rows(job.rows, self.config.kv_layout, self.beats_a_row(job))

    def row_ends(self, job: Job) -> list[int]:
        """The beat, counted from the command's first, that ends each row."""
        layout = self.config.kv_layout
        ends = []
        for row in range(job.rows):
            page, beat = divmod((row + 1) * self.beats_a_row(job) - 1, layout.element_beats)
            ends.append(page * layout.beats + layout.scale_beats + beat)
        return ends

    def _stimulus(self, random: np.random.Generator, number: int, job: Job) -> _Stimulus:
        config, layout = self.config, self.config.kv_layout
        compute = config.compute
        tag = int(random.integers(1 << 16))
        beats_a_row, pages = self.beats_a_row(job), self.pages(job)
        keys, query = self._numbers(random, job)

        # Bytes that belong to no row are noise.
        image = random.integers(256, size=(pages, layout.page_bytes), dtype=np.uint8)
        for row in range(job.rows):
            write_row(image, row, keys[row], layout, beats_a_row)
        for page in job.bad_pages:
            image[page] = 0
        stored = unpack_rows(image, job.rows, job.blocks, layout, beats_a_row)
        accumulator = AccumulatorFormat(
            compute.accumulator_bits, compute.fraction_bits, compute.blocks_a_row
        )
        scores = integer_scores(stored, query, accumulator)

        command = Packer(SliceCommand(compute, self.address_bits))
        block = Packer(ActivationBlock(compute))
        beat = Packer(PageBeat(config.flash.beat_bytes))
        request = Packer(PageRequest(self.address_bits))
        result = Packer(SliceResult(compute))
        last_row = range(
            (job.rows - 1) * beats_a_row // layout.element_beats,
            (job.rows * beats_a_row - 1) // layout.element_beats + 1,
        )
        return _Stimulus(
            command=command.pack(
                {
                    "mode": Mode.DOT.value,
                    "base": job.base,
                    "rows": job.rows,
                    "blocks": job.blocks,
                    "appended": job.appended,
                    "tag": tag,
                }
            ),
            activations=[
                block.pack(
                    {
                        "elements": query.elements[index],
                        "exponent": query.exponents[index],
                        "last": index == job.blocks - 1,
                    }
                )
                for index in range(job.blocks)
            ],
            beats=[
                beat.pack(
                    {
                        "data": int.from_bytes(content.tobytes(), "little"),
                        "first": index == 0,
                        "last": index == layout.beats - 1,
                        "error": page in job.bad_pages,
                        "tag": tag,
                    }
                )
                for page in range(pages)
                for index, content in enumerate(image[page].reshape(-1, layout.beat_bytes))
            ],
            requests=[
                request.pack(
                    {
                        "address": job.base + page,
                        "pages": 1,
                        "fresh": job.appended and page in last_row,
                        "tag": tag,
                    }
                )
                for page in range(pages)
            ],
            results=[
                result.pack(
                    {
                        "value": scores.values[row],
                        "row": row,
                        "saturated": scores.saturated[row],
                        "error": any(
                            page in job.bad_pages
                            for page in range(
                                row * beats_a_row // layout.element_beats,
                                ((row + 1) * beats_a_row - 1) // layout.element_beats + 1,
                            )
                        ),
                        "tag": tag,
                    }
                )
                for row in range(job.rows)
            ],
            saturated=int(scores.saturated.sum()),
        )

    def _numbers(self, random: np.random.Generator, job: Job) -> tuple[BlockVector, BlockVector]:
        """Keys (rows, blocks) and a query (blocks,)."""
        compute = self.config.compute
        bits = compute.activation_bits
        high = 1 << (bits - 1)
        shape = (job.rows, job.blocks)
        query_exponents = random.integers(90, 165, job.blocks)
        query_elements = random.integers(-high, high, (job.blocks, BLOCK_ELEMENTS))
        key_elements = random.integers(-128, 128, (*shape, BLOCK_ELEMENTS))
        # A block's dot product, shifted left by this, is its term.
        unshifted = (127 + 6) + (127 + bits - 2) - compute.fraction_bits
        dot_bits = 8 + bits + ceil_log2(BLOCK_ELEMENTS)
        if self.magnitudes == "common":
            shifts = random.integers(-dot_bits, compute.term_bits - dot_bits + 1, shape)
        elif self.magnitudes == "any":
            shifts = random.integers(-dot_bits - 3, compute.term_bits + 3, shape)
            # Whole rows of the largest magnitudes, and exponents at the ends of their range.
            signs = random.choice((-128, 127), job.rows)
            extreme = random.random(job.rows) < 0.2
            key_elements[extreme] = signs[extreme, np.newaxis, np.newaxis]
            query_elements[random.random(job.blocks) < 0.3] = -high
            query_exponents[random.random(job.blocks) < 0.1] = random.choice((0, 255))
        else:
            query_exponents[:] = 127
            query_elements[:] = 0
            query_elements[:, 0] = 1
            shifts, products = self._edges(job, dot_bits)
            key_elements[:] = 0
            key_elements[..., 0] = products
        key_exponents = np.clip(unshifted + shifts - query_exponents, 0, 255)
        if self.magnitudes == "any":
            ends = random.random(shape)
            key_exponents = np.where(ends < 0.05, 0, np.where(ends > 0.95, 255, key_exponents))
        return (
            BlockVector(key_elements.astype(np.int32), key_exponents.astype(np.uint8), 8),
            BlockVector(query_elements.astype(np.int32), query_exponents.astype(np.uint8), bits),
        )

    def _edges(self, job: Job, dot_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shifts and products, (rows, blocks); a row has one product that is not zero."""
        term_bits = self.config.compute.term_bits
        cases = [
            (shift, product)
            for shift in (
                *(-255, -dot_bits - 1, -dot_bits, -dot_bits + 1, -7, -6, -1, 0, 1),
                *(term_bits - 8, term_bits - 7, term_bits - 2, term_bits - 1, term_bits),
                *(term_bits + 1, 255),
            )
            for product in (0, 1, -1, 127, -128)
        ]
        shifts = np.zeros((job.rows, job.blocks), np.int64)
        products = np.zeros((job.rows, job.blocks), np.int64)
        for row in range(job.rows):
            shift, product = cases[row % len(cases)]
            shifts[row] = shift
            products[row, row // len(cases) % job.blocks] = product
        return shifts, products

    def _check_timing(self, outcome: Outcome, counts: dict[str, int]) -> None:
        """The recurrences of this module's docstring, and an owner for every cycle."""
        layout = self.config.kv_layout
        stalls, start = self.pacing.stalls, outcome.start
        taken = outcome.sources
        offered = {stream: offered_cycles(taken[stream], stalls(stream), start) for stream in taken}
        requests = outcome.sinks["requests"].cycles
        results = outcome.sinks["results"].cycles

        # The beats of each command, and the pages before each command's.
        first_page = np.cumsum([0, *(self.pages(job) for job in self.jobs)]).tolist()
        finished = [taken["beats"][page * layout.beats - 1] for page in first_page[1:]]
        row_ends = [
            first_page[number] * layout.beats + end
            for number, job in enumerate(self.jobs)
            for end in self.row_ends(job)
        ]

        commands, asked = [], []
        for number in range(len(self.jobs)):
            ready = [offered["commands"][number]]
            if number:
                ready.append(requests[first_page[number] - 1])
            if number >= MacSlice.commands_ahead:
                ready.append(finished[number - MacSlice.commands_ahead] + 1)
            commands.append(max(ready))
            free = taken["commands"][number] + 1
            for page in range(first_page[number], first_page[number + 1]):
                asked.append(free)
                free = requests[page] + 1
        check_cycles("command", taken["commands"], commands)
        check_cycles("request", requests, [open_from(cycle, stalls("requests")) for cycle in asked])
        check_recorded(self.recorder, "requests", outcome, asked)

        # Results first: a waiting one holds everything else.
        waiting: set[int] = set()
        appeared = []
        for end, result in zip(row_ends, results, strict=True):
            cycle = taken["beats"][end]
            moved = 0
            while moved < MacSlice.latency:
                moved += cycle not in waiting
                cycle += 1
            appeared.append(cycle)
            waiting |= set(range(cycle, result))
        check_cycles("result", results, [open_from(cycle, stalls("results")) for cycle in appeared])
        check_recorded(self.recorder, "results", outcome, appeared)

        blocks, loaded = [], []
        place = 0
        for number, job in enumerate(self.jobs):
            free = finished[number - 2] + 1 if number >= 2 else start
            for _ in range(job.blocks):
                blocks.append(max(offered["activations"][place], free))
                place += 1
            loaded.append(taken["activations"][place - 1] + 1)
        check_cycles("activation block", taken["activations"], blocks)

        beats = []
        opened = []
        for number in range(len(self.jobs)):
            opens = taken["commands"][number] + 1
            if number:
                opens = max(opens, finished[number - 1] + 1)
            opened.append(opens)
            for beat in range(
                first_page[number] * layout.beats, first_page[number + 1] * layout.beats
            ):
                cycle = max(offered["beats"][beat], opens, loaded[number])
                while cycle in waiting:
                    cycle += 1
                beats.append(cycle)
        check_cycles("beat", taken["beats"], beats)

        expected = {cause.name: 0 for cause in SliceCause}
        owner: dict[int, SliceCause] = {}
        for number, job in enumerate(self.jobs):
            first = first_page[number] * layout.beats
            last_used = first + self.row_ends(job)[-1]
            for beat in range(first, first_page[number + 1] * layout.beats):
                place = beat % layout.beats
                if place < layout.scale_beats:
                    cause = SliceCause.SCALES
                elif beat > last_used or place >= layout.scale_beats + layout.element_beats:
                    cause = SliceCause.TAIL
                else:
                    cause = SliceCause.BUSY
                owner[taken["beats"][beat]] = cause
        open_cycles = {
            cycle
            for opens, ends in zip(opened, finished, strict=True)
            for cycle in range(opens, ends + 1)
        }
        beat_waits = {
            cycle
            for since, until in zip(offered["beats"], taken["beats"], strict=True)
            for cycle in range(since, until)
        }
        for cycle in range(start, start + outcome.cycles):
            if cycle in owner:
                cause = owner[cycle]
            elif cycle in waiting:
                cause = SliceCause.RESULTS
            elif cycle not in open_cycles:
                cause = SliceCause.IDLE
            else:
                cause = SliceCause.ACTIVATION if cycle in beat_waits else SliceCause.MEMORY
            expected[cause.name] += 1
        check_counts("slice", counts, expected)
