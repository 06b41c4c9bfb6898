"""A layer's attention beside its memory: appended, attended to, every value compared.

The newest token's queries meet the keys and values of all tokens so far, which lie in parts as a
`ContextSplit` deals them. Keys and values come in as a decoder gives them, row by row.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from amaranth.utils import exact_log2
from numpy.typing import NDArray

from neardecode.attention.append import RowPlace
from neardecode.attention.layouts import AttentionCommand, AttentionPartial
from neardecode.attention.merge import AttentionWords
from neardecode.compute.command import SELECTION_BITS, ActivationBlock, SliceSum
from neardecode.config import (
    AttentionCause,
    Config,
    HeatConstants,
    KvMap,
    SliceCause,
    VaultCause,
    VaultEvent,
)
from neardecode.stack.heat import TEMPERATURE_BITS
from neardecode.vector.quantiser import ScaledBlock
from neardecode_testbench.devices.attention_bench import AttentionBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Outcome, Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.reference.integer.attention import KV_BITS, ContextSplit
from neardecode_testbench.reference.kv_image import kv_image
from neardecode_testbench.scenarios.attention_context import LayerContext
from neardecode_testbench.scenarios.attention_measure import (
    COUNT_BITS,
    AttentionMeasure,
    VaultsHeat,
    part_counts,
    part_values,
    totals,
)
from neardecode_testbench.scenarios.attention_reference import TileChoice, attend
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    check_sink,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["DRAIN_CYCLES", "AttentionLayer", "measure_attention"]

DRAIN_CYCLES = 600
"""Far more than what a vault has taken needs to be written."""
THROTTLE_BITS = 4


@dataclass
class AttentionLayer:
    """Appends a context to the vaults that hold its parts, and attends to it.

    Attributes:
        config: Of `Config.attending`, with a stack.
        split: How the tokens are dealt to vaults.
        context: What to append and attend to.
        layer: Which layer's region it is.
        pacing: Of the streams at the edge.
        rounds: How often it is attended to, one command behind the other.
        choice: Which tiles are read; None for all.
        heat: The thermal constants that the design was made with.
        clamps: Terms may be clamped.
    """

    config: Config
    split: ContextSplit
    context: LayerContext
    layer: int = 0
    pacing: Pacing = FULL_RATE
    rounds: int = 1
    choice: TileChoice | None = None
    heat: HeatConstants | None = None
    clamps: bool = False
    memories: list[NDArray[np.uint8]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        config, split = self.config, self.split
        stack = config.stack
        assert stack is not None
        self.address_bits = exact_log2(stack.pages)
        tokens = self.context.keys.positions
        self.members = [split.members(part, tokens) for part in range(split.parts)]
        self.kv_map = KvMap(
            config.kv_layout,
            config.compute.head_elements,
            self.context.keys.kv_heads,
            len(self.members[0]),
        )
        last = self.kv_map.base(self.layer + 1, 0, False)
        if last > stack.pages:
            raise ValueError(f"{last} pages of keys and values do not fit {stack.pages} of a vault")
        self.memories = [
            np.zeros((stack.pages, stack.page_bytes), np.uint8) for _ in range(split.parts)
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

    @property
    def used(self) -> int:
        """Parts that hold tokens."""
        return sum(len(members) > 0 for members in self.members)

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

    def appends(self) -> list[tuple[str, list[int]]]:
        """Every row, token by token, head by head, the key first."""
        place = Packer(RowPlace(self.config, self.address_bits)).pack
        block = Packer(ScaledBlock(KV_BITS)).pack
        found = []
        caches = (self.context.keys, self.context.values)
        heads = [[cache.head(head) for cache in caches] for head in range(caches[0].kv_heads)]
        for part, members in enumerate(self.members):
            places, blocks = [], []
            for row, token in enumerate(members):
                for head, pair in enumerate(heads):
                    for value, vectors in enumerate(pair):
                        page, beat = self.kv_map.place(self.layer, head, bool(value), row)
                        places.append(place({"page": page, "beat": beat}))
                        blocks += [
                            block({"elements": elements, "exponent": exponent})
                            for elements, exponent in zip(
                                vectors.elements[token], vectors.exponents[token], strict=True
                            )
                        ]
            found += [(f"places__{part}", places), (f"blocks__{part}", blocks)]
        return found

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

    def asks(self) -> list[tuple[str, list[int]]]:
        """Commands and queries of every part that holds tokens."""
        command = Packer(AttentionCommand(self.config, self.address_bits)).pack
        block = Packer(ActivationBlock(self.config.compute)).pack
        queries, group = self.context.queries[0], self.context.group
        kv_heads = range(self.context.keys.kv_heads)
        blocks = [
            block(
                {
                    "elements": queries.elements[head, index],
                    "exponent": queries.exponents[head, index],
                    "last": index == queries.blocks - 1,
                }
            )
            for head in range(self.context.heads)
            for index in range(queries.blocks)
        ]
        assert len(blocks) == group * len(kv_heads) * queries.blocks
        found = []
        for part in range(self.used):
            commands = [
                command(
                    {
                        "keys": self.kv_map.base(self.layer, head, False),
                        "values": self.kv_map.base(self.layer, head, True),
                        "rows": len(self.members[part]),
                        "selected": int(self.choice is not None),
                        "tag": head,
                    }
                )
                for head in kv_heads
            ]
            found += [
                (f"commands__{part}", commands * self.rounds),
                (f"queries__{part}", blocks * self.rounds),
                (f"selections__{part}", self.selections(part) * self.rounds),
            ]
        return found

    def selections(self, part: int) -> list[int]:
        """The words that say which tiles of a part are read, head by head."""
        if self.choice is None:
            return []
        tiles = -(-len(self.members[part]) // self.config.vector.tile_rows)
        words = []
        for head in range(self.context.keys.kv_heads):
            bits = sum(1 << tile for tile in self.choice[part, head])
            words += [
                bits >> first & (1 << SELECTION_BITS) - 1
                for first in range(0, tiles, SELECTION_BITS)
            ]
        return words

    def expected(self) -> tuple[list[Sink], int]:
        """What every stream shall give, and how many values that is."""
        config, context = self.config, self.context
        found = attend(config, self.members[: self.used], context, self.choice, self.clamps)
        partial = Packer(AttentionPartial(config)).pack
        sum_ = Packer(SliceSum(config.compute)).pack
        word = Packer(AttentionWords(config)).pack
        size, group = config.compute.head_elements, context.group
        sinks: list[Sink] = []
        groups = [slice(head * group, (head + 1) * group) for head in range(context.keys.kv_heads)]
        for part in range(self.used):
            partials, sums = [], []
            for head, heads in enumerate(groups):
                fields = {"tag": head}
                for vector, query in enumerate(range(heads.start, heads.stop)):
                    fields[f"vectors.{vector}.maximum"] = found.maximums[0, query, part]
                    fields[f"vectors.{vector}.total"] = found.totals[0, query, part]
                partials.append(partial(fields))
                sums += [
                    sum_(
                        {
                            "values": found.weighted[0, heads, part, element],
                            "element": element,
                            "tag": head,
                        }
                    )
                    for element in range(size)
                ]
            for name, given in (("partials", partials), ("sums", sums)):
                given = given * self.rounds
                sinks.append(Sink(f"{name}__{part}", len(given), given))
        words = [
            word({"values": found.words[0, heads, element], "last": element == size - 1})
            for heads in groups
            for element in range(size)
        ] * self.rounds
        sinks.append(Sink("words", len(words), words))
        values = self.rounds * context.heads * (self.used * (2 + size) + size)
        return sinks, values

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
