"""A MAC slice by itself: its pages come straight in on ``beats``, its ``requests`` are taken.

Values are compared with the integer reference, cycles with the recurrence of `SliceCycles`.

"""

from dataclasses import dataclass, field

import numpy as np

from neardecode.config import Config, SliceCause
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_sink,
    read_counts,
)
from neardecode_testbench.scenarios.blocks.mac_cycles import SliceCycles
from neardecode_testbench.scenarios.blocks.mac_numbers import Job, Magnitudes
from neardecode_testbench.scenarios.blocks.mac_stimulus import JobStimulus, SliceStimulus

__all__ = ["Job", "SliceRows", "SliceRun", "slice_streams"]


def slice_streams(config: Config) -> tuple[str, ...]:
    """The streams of a configuration's slice."""
    streams = ("commands", "activations", "beats", "requests", "results")
    if config.compute.head_elements:
        streams += ("probabilities", "sums")
    return streams + (("selections",) if config.compute.selection else ())


@dataclass
class SliceRun:
    """What a slice did, for checks beside those of the scenario itself.

    Attributes:
        beats: When each beat was taken.
        results: When each result was taken.
        sums: When each sum was taken.
        commands: When each command was taken.
        counts: The counters.
        saturated: Results and sums with a clamped term.
        stimuli: Of each job.
    """

    beats: list[int]
    results: list[int]
    sums: list[int]
    commands: list[int]
    counts: dict[str, int]
    saturated: int
    stimuli: list[JobStimulus]


@dataclass
class SliceRows:
    """Commands one after another on a slice.

    Attributes:
        config: The slice's configuration.
        address_bits: Of a page.
        jobs: What to do.
        seed: Of weights and activations.
        pacing: Of the streams.
        magnitudes: ``common`` keeps every term in range; ``any`` draws exponents so that terms
            vanish, fit and saturate; ``edges`` puts single products at the very ends of a term's
            range and of every shift, for MXINT8.
        throttle: Of 16 cycles how many are taken away.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Config
    address_bits: int
    jobs: tuple[Job, ...]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    magnitudes: Magnitudes = "any"
    throttle: int = 0
    recorder: Recorder = field(default_factory=lambda: Recorder(()))

    def __post_init__(self) -> None:
        if not self.recorder.streams:
            self.recorder = Recorder(slice_streams(self.config))

    def __call__(self, step: Step) -> SliceRun:
        """Plays the commands and checks every value and every cycle."""
        random = np.random.default_rng(self.seed)
        draw = SliceStimulus(self.config, self.address_bits, random, self.magnitudes)
        stimuli = [draw.job(job) for job in self.jobs]
        streams = slice_streams(self.config)
        given: dict[str, list[int]] = {"commands": [stimulus.command for stimulus in stimuli]}
        for stream in ("activations", "beats", "probabilities", "selections"):
            given[stream] = [payload for s in stimuli for payload in getattr(s, stream)]
        expected = {
            stream: [payload for s in stimuli for payload in getattr(s, stream)]
            for stream in ("requests", "results", "sums")
        }
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[
                    Source(stream, payloads, stalls(stream))
                    for stream, payloads in given.items()
                    if stream in streams
                ],
                sinks=[
                    Sink(stream, len(payloads), payloads, stalls(stream))
                    for stream, payloads in expected.items()
                    if stream in streams
                ],
                levels={"counting": 1, "throttle": self.throttle},
                limit=200 * (sum(len(payloads) for payloads in given.values()) + 50),
                trailing=12,
            )
        )
        for stream in expected:
            if stream in streams:
                check_sink(stream, outcome.sinks[stream])
        counts = read_counts(step, "cycles", SliceCause)
        zero_blocks = step(Probe({}, ["zero_blocks"])).outputs["zero_blocks"]
        if zero_blocks != (known := sum(stimulus.zero_blocks for stimulus in stimuli)):
            raise CheckError(f"{zero_blocks} blocks of zeros were counted, not {known}")
        if sum(counts.values()) != outcome.cycles:
            raise CheckError(f"{sum(counts.values())} cycles were counted, not {outcome.cycles}")
        held = all(len(s.found.row_ends) == len(s.found.rows) for s in stimuli)
        if held and not any(job.page_rows for job in self.jobs):
            expects = SliceCycles(self.config, self.jobs, self.pacing, self.throttle, self.recorder)
            expects.check(outcome, counts, stimuli)
        return SliceRun(
            outcome.sources["beats"],
            outcome.sinks["results"].cycles,
            outcome.sinks["sums"].cycles if "sums" in outcome.sinks else [],
            outcome.sources["commands"],
            counts,
            sum(stimulus.saturated for stimulus in stimuli),
            stimuli,
        )
