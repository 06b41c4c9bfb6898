"""The same work beside the memory and across the stack's edge: bytes over it, and cycles.

One memory port does its share of the work with its share of the pins, as all others do beside it.
Cycles are counted from the first command offered to the last value at the host, and each has its
cause, so that what one setting takes more than another is told by cause, without remainder.
"""

from dataclasses import dataclass

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data
from amaranth.utils import ceil_log2

from neardecode.compute.command import (
    SELECTION_BITS,
    ActivationBlock,
    Probability,
    SliceCommand,
    SliceResult,
    SliceSum,
)
from neardecode.config import BlockFormat, Config, OffStackCause, SliceCause
from neardecode.lib.page import PageRequest
from neardecode_testbench.devices.mac_bench import MacBench
from neardecode_testbench.devices.page_memory import RATE_CYCLES
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Step
from neardecode_testbench.scenarios.blocks.edge import CheckError, check_sink, named_counts
from neardecode_testbench.scenarios.blocks.mac_numbers import Job
from neardecode_testbench.scenarios.blocks.mac_slice import slice_streams
from neardecode_testbench.scenarios.mac_load import PlayedJobs, play_jobs
from neardecode_testbench.scenarios.mac_shapes import SHAPES, LoadMode, layer_jobs

__all__ = ["WORKS", "NearLoad", "NearMeasure", "NearWork", "measure_near", "near_config"]

LARGEST_HEAD = 128


@dataclass(frozen=True)
class NearWork:
    """Work of one memory port.

    Attributes:
        model: A key of `SHAPES`.
        mode: As `layer_jobs`.
        format: Of the matrices.
        rows: Most rows of a matrix, and tokens of a KV head.
    """

    model: str
    mode: LoadMode
    format: BlockFormat
    rows: int

    def jobs(self, config: Config) -> tuple[Job, ...]:
        """Its commands; each port has its share of a matrix's rows."""
        shares = config.flash.model_copy(update={"channels": config.ports})
        ported = config.model_copy(update={"flash": shares})
        return layer_jobs(ported, self.mode, self.format, SHAPES[self.model], self.rows)


WORKS = {
    "smollm2 weights": NearWork("smollm2", "dot", BlockFormat.Q4_1, 576),
    "smollm2 attention": NearWork("smollm2", "attention", BlockFormat.MXINT8, 256),
    "llama-7b weights": NearWork("llama-7b", "dot", BlockFormat.Q4_0, 24),
    "llama-7b attention": NearWork("llama-7b", "attention", BlockFormat.MXINT8, 256),
}
"""What is done, by its name: a layer's matrices, or the keys and values of four KV heads."""


def near_config(config: Config, near_memory: bool, clock_divider: int) -> Config:
    """A configuration whose slices do all works, with the same lanes wherever they are.

    Raises:
        pydantic.ValidationError: if it does not fit together.
    """
    tables = config.model_dump()
    formats = sorted({work.format.name for work in WORKS.values()})
    compute = {
        **tables["compute"],
        "formats": formats,
        "head_elements": LARGEST_HEAD,
        "near_memory": near_memory,
        "clock_divider": clock_divider,
    }
    flash = {**tables["flash"], "host": None, "repair": None, "ecc": None}
    if config.stack is not None:
        flash |= {name: tables["stack"][name] for name in ("page_bytes", "beat_bytes")}
    return Config.model_validate({**tables, "compute": compute, "flash": flash})


@dataclass(frozen=True)
class NearMeasure:
    """What a port did.

    Attributes:
        cycles: From the first command offered to the last value at the host.
        causes: They, by cause of the slice.
        pins: They, by what the data pins did.
        bytes_in, bytes_out: That crossed the edge.
        beats: Of the memory.
        bound: Cycles that the busiest of memory, pins and slice takes for its part alone.
        limit: Which of them that is.
        values: Each compared with the reference.
    """

    cycles: int
    causes: dict[str, int]
    pins: dict[str, int]
    bytes_in: int
    bytes_out: int
    beats: int
    bound: int
    limit: str
    values: int


@dataclass
class NearLoad:
    """Commands one after another on a slice and its memory, with the edge between or behind.

    Attributes:
        config: The configuration.
        jobs: What to do; their pages follow each other.
        seed: Of weights and activations.
    """

    config: Config
    jobs: tuple[Job, ...]
    seed: int = 1

    def __call__(self, step: Step) -> NearMeasure:
        """Measures; every value, and every byte over the edge, is compared.

        Raises:
            CheckError: if a value is not the reference's, or bytes or cycles are not accounted for.
        """
        config = self.config
        played = play_jobs(step, config, self.jobs, 0, self.seed, trailing=0)
        counts = step(Probe({}, ["cycles", "edge_cycles"])).outputs
        causes, pins = (
            named_counts(counts[port], kinds)
            for port, kinds in (("cycles", SliceCause), ("edge_cycles", OffStackCause))
        )
        cycles = played.outcome.cycles
        for what, by_cause in (("slice", causes), ("edge", pins)):
            if (counted := sum(by_cause.values())) != cycles:
                raise CheckError(f"the {what} counted {counted} cycles, not {cycles}")
        self._finish(step, played)
        seen = step(Probe({}, ["edge_in", "edge_out"])).outputs
        bytes_in, bytes_out, transfers = self._crossing(played)
        for port, known in (("edge_in", bytes_in), ("edge_out", bytes_out)):
            if seen[port] != known:
                raise CheckError(f"{port} is {seen[port]} bytes, not {known}")
        # Behind the last row nothing is waited for.
        last = played.stimuli[-1]
        beats = played.beats - len(last.beats) + max(last.found.row_ends, default=-1) + 1
        if not config.compute.near_memory:
            transfers = beats * self._transfers(8 * config.flash.beat_bytes)
        bounds = {
            "memory": beats,
            "pins": transfers,
            "slice": beats * config.compute.clock_divider,
        }
        limit = max(bounds, key=lambda name: bounds[name])
        return NearMeasure(
            cycles, causes, pins, bytes_in, bytes_out, played.beats, bounds[limit], limit,
            played.values,
        )  # fmt: skip

    def _finish(self, step: Step, played: PlayedJobs) -> None:
        """The rest of the last page, behind which nothing comes."""
        sinks = [Sink(stream, 0, []) for stream in played.outcome.sinks]
        flash = self.config.flash
        slowest = max(self.config.compute.clock_divider, self._transfers(8 * flash.beat_bytes))
        outcome = step(
            Play(sinks=sinks, storages=[played.storage], trailing=4 * slowest * flash.page_beats)
        )
        for stream, log in outcome.sinks.items():
            check_sink(stream, log)

    def _transfers(self, bits: int) -> int:
        return -(-bits // self.config.off_stack_bits)

    def _crossing(self, played: PlayedJobs) -> tuple[int, int, int]:
        """Bytes in and out that must have crossed in all, and transfers on the data pins."""
        compute, pages = self.config.compute, ceil_log2(self.config.flash.pages)
        layouts: dict[str, ShapeLike] = {
            "commands": SliceCommand(compute, pages),
            "requests": PageRequest(pages),
            "activations": ActivationBlock(compute),
            "selections": SELECTION_BITS,
            "results": SliceResult(compute),
        }
        if compute.head_elements:
            layouts["probabilities"] = data.ArrayLayout(Probability(compute), compute.vectors)
            layouts["sums"] = SliceSum(compute)

        def bits(stream: str) -> int:
            return Shape.cast(layouts[stream]).width

        def count(stream: str) -> int:
            return sum(len(getattr(stimulus, stream)) for stimulus in played.stimuli)

        if not self.config.compute.near_memory:
            beat_bits = 8 * self.config.flash.beat_bytes
            return (
                count("requests") * -(-bits("requests") // 8),
                played.beats * beat_bits // 8,
                played.beats * self._transfers(beat_bits),
            )
        crossed, transfers = [0, 0], 0
        for stream in ("activations", "probabilities", "selections", "results", "sums"):
            if stream in slice_streams(self.config):
                outward = stream in ("results", "sums")
                crossed[outward] += count(stream) * -(-bits(stream) // 8)
                transfers += count(stream) * self._transfers(bits(stream))
        crossed[0] += len(played.stimuli) * -(-bits("commands") // 8)
        return crossed[0], crossed[1], transfers


def measure_near(load: NearLoad, backend: Backend = "native") -> NearMeasure:
    """Measures a load on a slice, its memory and the edge."""
    return simulate(Design(MacBench, (load.config, RATE_CYCLES, True)), load, backend)
