"""A layer's attention beside its memory: appended, attended to, every value compared.

The newest token's queries meet the keys and values of all tokens so far, which lie in parts as a
`ContextSplit` deals them. Keys and values come in as a decoder gives them, row by row.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neardecode.config import (
    AttentionCause,
    HeatConstants,
    SliceCause,
    VaultCause,
    VaultEvent,
)
from neardecode.stack.heat import TEMPERATURE_BITS
from neardecode_testbench.devices.attention_bench import AttentionBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Outcome, Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.reference.kv_image import kv_image
from neardecode_testbench.scenarios.attention_measure import (
    COUNT_BITS,
    AttentionMeasure,
    VaultsHeat,
    part_counts,
    part_values,
    totals,
)
from neardecode_testbench.scenarios.attention_streams import LayerStreams
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    check_sink,
)

__all__ = ["DRAIN_CYCLES", "AttentionLayer", "measure_attention"]

DRAIN_CYCLES = 600
"""Far more than what a vault has taken needs to be written."""
THROTTLE_BITS = 4


@dataclass
class AttentionLayer(LayerStreams):
    """Appends a context to the vaults that hold its parts, and attends to it.

    Attributes:
        pacing: Of the streams at the edge.
        heat: The thermal constants that the design was made with.
    """

    pacing: Pacing = FULL_RATE
    heat: HeatConstants | None = None
    memories: list[NDArray[np.uint8]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        stack = self.config.stack
        assert stack is not None
        self.memories = [
            np.zeros((stack.pages, stack.page_bytes), np.uint8) for _ in range(self.split.parts)
        ]

    def __call__(self, step: Step) -> AttentionMeasure:
        """Plays it.

        Raises:
            CheckError: if a value is not the reference's, or a timing of the DRAM was broken.
        """
        appended = self._play(step, self.appends(), [])
        if not self._idle(step):
            raise CheckError("rows were not all written")
        self.check_image()
        sinks, values = self.expected()
        outcome = self._play(step, self.asks(), sinks)
        found = self._measure(step, outcome, values, appended.cycles - DRAIN_CYCLES)
        if step(Probe({}, ["violated"])).outputs["violated"]:
            raise CheckError("timings of the DRAM were broken")
        return found

    def _play(self, step: Step, sources: list[tuple[str, list[int]]], sinks: list[Sink]) -> Outcome:
        beat_bytes = self.config.flash.beat_bytes
        paced = [Source(name, given, self.pacing.stalls(name)) for name, given in sources if given]
        total = sum(len(source.payloads) for source in paced) + sum(sink.count for sink in sinks)
        pages = self.rounds * self.kv_map.base(1, 0, False) * self.config.flash.page_beats
        outcome = step(
            Play(
                sources=paced,
                sinks=[replace(sink, stalls=self.pacing.stalls(sink.stream)) for sink in sinks],
                storages=[
                    Storage(f"{port}__{part}", memory, beat_bytes, writable=port == "stores")
                    for part, memory in enumerate(self.memories)
                    for port in ("stored", "stores")
                ],
                levels={"counting": int(bool(sinks)), "used": self.used},
                limit=20_000 + 40 * total + 20 * pages,
                trailing=DRAIN_CYCLES,
            )
        )
        for sink in sinks:
            check_sink(sink.stream, outcome.sinks[sink.stream])
        return outcome

    def _idle(self, step: Step) -> bool:
        idle = step(Probe({}, ["idle"])).outputs["idle"]
        return idle == (1 << self.split.parts) - 1

    def check_image(self) -> None:
        """The vaults hold what the reference's packer gives, and nothing else."""
        caches = (self.context.keys, self.context.values)
        heads = range(self.context.keys.kv_heads)
        for part, members in enumerate(self.members):
            keys, values = ([cache.head(head)[members] for head in heads] for cache in caches)
            image = kv_image(keys, values, self.config.kv_layout, len(self.members[0]))
            first = self.layer * len(image)
            memory = self.memories[part]
            wrong = int((image != memory[first : first + len(image)]).sum())
            stray = memory[:first].any() or memory[first + len(image) :].any()
            if wrong or stray:
                raise CheckError(f"part {part}: {wrong} bytes of keys and values are wrong")

    def _measure(
        self, step: Step, outcome: Outcome, values: int, appending: int
    ) -> AttentionMeasure:
        parts = self.split.parts
        every = {
            port: totals(part_counts(step, port, causes, parts), outcome.cycles)
            for port, causes in (
                ("cycles", AttentionCause),
                ("slice_cycles", SliceCause),
                ("vault_cycles", VaultCause),
            )
        }
        windows = part_values(step, "windows", parts, COUNT_BITS)
        beats = every["cycles"]["BUSY"]
        return AttentionMeasure(
            values=values,
            cycles=outcome.sinks["words"].cycles[-1] + 1 - outcome.start,
            appending=appending,
            window=max(windows),
            beats=beats,
            utilisation=beats / sum(windows),
            lane_occupancy=every["slice_cycles"]["BUSY"] / sum(windows),
            causes=every["cycles"],
            slice_causes=every["slice_cycles"],
            memory_causes=every["vault_cycles"],
            heat=self._heat(step) if self.heat else None,
        )

    def _heat(self, step: Step) -> VaultsHeat:
        parts = self.split.parts
        temperatures = part_values(step, "temperature", parts, TEMPERATURE_BITS)
        hottest = int(np.argmax(temperatures))
        events = part_counts(step, "vault_events", VaultEvent, parts)
        return VaultsHeat(
            temperature_c=temperatures[hottest] / 2,
            throttle=part_values(step, "throttle", parts, THROTTLE_BITS)[hottest],
            hot_cycles=sum(one["HOT"] for one in events),
        )


def measure_attention(scenario: AttentionLayer, backend: Backend = "native") -> AttentionMeasure:
    """Measures a layer's attention in vaults."""
    config = scenario.config
    design = Design(
        AttentionBench, (config, scenario.split.parts, config.kv.tiles_ahead, scenario.heat)
    )
    return simulate(design, scenario, backend)
