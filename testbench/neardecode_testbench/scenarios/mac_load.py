"""How much of what its memory could give a MAC slice takes.

A memory without banks or refresh gives a beat whenever it is asked for one, at the rate of its
bus. The window reaches from the first beat that the slice takes to the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from amaranth.utils import ceil_log2

from neardecode.compute.lanes import Lanes
from neardecode.config import Config, SliceCause
from neardecode_testbench.devices.mac_bench import MacBench
from neardecode_testbench.devices.page_memory import QUEUED_BEATS, RATE_CYCLES
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import (
    Outcome,
    Play,
    Probe,
    Sink,
    Source,
    Step,
    Storage,
)
from neardecode_testbench.reference.weight_pages import weight_pages
from neardecode_testbench.scenarios.blocks.edge import check_sink, read_counts
from neardecode_testbench.scenarios.blocks.mac_numbers import Job
from neardecode_testbench.scenarios.blocks.mac_slice import slice_streams
from neardecode_testbench.scenarios.blocks.mac_stimulus import JobStimulus, SliceStimulus

__all__ = ["PlayedJobs", "SliceLoad", "SliceMeasure", "measure_slice", "play_jobs"]


@dataclass(frozen=True)
class SliceMeasure:
    """What a slice did in its window.

    Attributes:
        beats: Beats that it took.
        window: Cycles from the first of them to the last.
        deliverable: Beats that its memory could have given in the window.
        utilisation: The first by the last.
        busy_share: Beats of elements among the beats taken.
        lane_occupancy: Of the multipliers in a window's cycles, those with an element of a row.
        useful_occupancy: Those with an element of a block that is not all zeros.
        formula: Cycles that the beats take at the rates of memory, clock and throttle.
        zero_blocks: Blocks of rows whose elements were all zero, or that pages left out.
        blocks: Blocks of rows.
        left_out: Blocks that pages left out.
        whole_beats: Beats of the same rows in pages that leave nothing out.
        values: Results and sums, each compared with the reference.
        cycles: By cause, over the whole run.
    """

    beats: int
    window: int
    deliverable: float
    utilisation: float
    busy_share: float
    lane_occupancy: float
    useful_occupancy: float
    formula: float
    zero_blocks: int
    blocks: int
    left_out: int
    whole_beats: int
    values: int
    cycles: dict[str, int]


@dataclass
class PlayedJobs:
    """Commands that a slice has done, every value as the reference says.

    Attributes:
        stimuli: Of each.
        storage: The memory that they read.
        outcome: When everything came.
        beats: Beats of the pages that they read.
        values: Results and sums, each compared.
    """

    stimuli: list[JobStimulus]
    storage: Storage
    outcome: Outcome
    beats: int
    values: int


def play_jobs(
    step: Step, config: Config, jobs: Sequence[Job], throttle: int, seed: int, trailing: int
) -> PlayedJobs:
    """Plays commands one after another as fast as a slice takes them, their pages in a memory.

    Parameters:
        step: Of the simulation.
        config: The slice's configuration.
        jobs: What to do; their pages follow each other.
        throttle: Of 16 cycles how many are taken away.
        seed: Of weights and activations.
        trailing: Cycles to go on behind the last value.

    Raises:
        CheckError: if a value is not the reference's.
    """
    flash = config.flash
    draw = SliceStimulus(config, ceil_log2(flash.pages), np.random.default_rng(seed), "common")
    stimuli, base = [], 0
    for job in jobs:
        stimuli.append(draw.job(replace(job, base=base)))
        base += len(stimuli[-1].found.image)
    memory = np.concatenate([stimulus.found.image for stimulus in stimuli])
    streams = slice_streams(config)

    def payloads(stream: str) -> list[int]:
        name = "command" if stream == "commands" else stream
        parts = [getattr(stimulus, name) for stimulus in stimuli]
        return parts if stream == "commands" else [payload for part in parts for payload in part]

    beats = sum(len(stimulus.beats) for stimulus in stimuli)
    sources = ("commands", "activations", "probabilities", "selections")
    expected = {stream: payloads(stream) for stream in ("results", "sums") if stream in streams}
    storage = Storage("storage", memory, flash.beat_bytes)
    outcome = step(
        Play(
            sources=[Source(s, payloads(s)) for s in sources if s in streams],
            sinks=[Sink(s, len(given), given) for s, given in expected.items()],
            storages=[storage],
            levels={"counting": 1, "throttle": throttle},
            limit=400 * (beats + sum(len(s.activations) for s in stimuli)) + 10_000,
            trailing=trailing,
        )
    )
    for stream in expected:
        check_sink(stream, outcome.sinks[stream])
    values = sum(len(given) for given in expected.values())
    return PlayedJobs(stimuli, storage, outcome, beats, values)


@dataclass
class SliceLoad:
    """Commands one after another, as fast as a slice takes them.

    Attributes:
        config: The slice's configuration.
        jobs: What to do; their pages follow each other.
        rate: Of the memory.
        throttle: Of 16 cycles how many are taken away.
        seed: Of weights and activations.
    """

    config: Config
    jobs: tuple[Job, ...]
    rate: int = RATE_CYCLES
    throttle: int = 0
    seed: int = 1

    def __call__(self, step: Step) -> SliceMeasure:
        """Measures; every value is compared.

        Raises:
            CheckError: if a value is not the reference's.
            ValueError: if more beats were taken than could be given.
        """
        config = self.config
        # Beats behind the last row come after its result.
        trailing = 4 * RATE_CYCLES * config.flash.page_beats
        played = play_jobs(step, config, self.jobs, self.throttle, self.seed, trailing)
        stimuli, beats = played.stimuli, played.beats
        cycles = read_counts(step, "cycles", SliceCause)
        taken = cycles["BUSY"] + cycles["SCALES"] + cycles["TAIL"]
        window = step(Probe({}, ["window"])).outputs["window"]
        rate = self.rate / RATE_CYCLES
        # At the window's start some may have been waiting.
        deliverable = min(float(window), window * rate + QUEUED_BEATS)
        if taken != beats or taken > deliverable:
            raise ValueError(f"{taken} beats were taken in {window} cycles, {beats} were stored")
        share = (RATE_CYCLES - self.throttle) / RATE_CYCLES
        moving = share / config.compute.clock_divider
        blocks = sum(
            len(s.found.rows) * job.blocks for s, job in zip(stimuli, self.jobs, strict=True)
        )
        left_out = sum(stimulus.found.left_out for stimulus in stimuli)
        zero_blocks = step(Probe({}, ["zero_blocks"])).outputs["zero_blocks"]
        places = Lanes.of(config).blocks * window
        return SliceMeasure(
            beats=taken,
            window=window,
            deliverable=deliverable,
            utilisation=taken / deliverable,
            busy_share=cycles["BUSY"] / taken,
            lane_occupancy=(blocks - left_out) / places,
            useful_occupancy=(blocks - zero_blocks) / places,
            formula=taken / min(rate, moving),
            zero_blocks=zero_blocks,
            blocks=blocks,
            left_out=left_out,
            whole_beats=sum(
                weight_pages(job.rows, job.blocks, config.flash.layout(job.format))
                * config.flash.page_beats
                if job.gaps
                else len(stimulus.beats)
                for stimulus, job in zip(stimuli, self.jobs, strict=True)
            ),
            values=played.values,
            cycles=cycles,
        )


def measure_slice(load: SliceLoad, backend: Backend = "native") -> SliceMeasure:
    """Measures a load on a slice and its memory."""
    return simulate(Design(MacBench, (load.config, load.rate)), load, backend)
