"""A layer's attention beside its memory: appended, attended to, every value compared.

The newest token's queries meet the keys and values of all tokens so far, which lie in parts as a
`ContextSplit` deals them. Keys and values come in as a decoder gives them, row by row.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from amaranth.utils import exact_log2
from numpy.typing import NDArray

from neardecode.attention.append import RowPlace
from neardecode.attention.layouts import AttentionCommand, AttentionPartial
from neardecode.attention.merge import AttentionWords
from neardecode.compute.command import ActivationBlock, SliceSum
from neardecode.config import (
    AttentionCause,
    Config,
    KvMap,
    SliceCause,
    VaultCause,
)
from neardecode.vector.quantiser import ScaledBlock
from neardecode_testbench.devices.attention_bench import AttentionBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Outcome, Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.reference.arithmetic import SoftmaxFormat
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.integer.attention import (
    KV_BITS,
    Attended,
    Attention,
    BlockCache,
    ContextSplit,
)
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState
from neardecode_testbench.reference.pages import pack_rows
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, CheckError, Pacing
from neardecode_testbench.scenarios.packing import Packer

__all__ = [
    "AttentionLayer",
    "AttentionMeasure",
    "LayerContext",
    "attend",
    "attention_config",
    "decoder_context",
    "measure_attention",
    "random_context",
]

COUNT_BITS = 48
LARGEST_TILE_ROWS = 128
DRAIN_CYCLES = 600
"""Far more than what a vault has taken needs to be written."""


def attention_config(
    config: Config, group: int, head_size: int, most_rows: int = LARGEST_TILE_ROWS
) -> Config:
    """A configuration whose slices attend for a group of query heads of one size.

    A tile is as many whole pages as ``most_rows`` rows fill, but at least one.

    Raises:
        pydantic.ValidationError: if it does not fit together.
    """
    tables = config.model_dump()
    layout = config.kv_layout
    beats = head_size // layout.format.element_bytes // layout.blocks_a_beat
    alone = layout.element_beats // np.gcd(layout.element_beats, beats)
    rows = int(alone * max(1, most_rows // alone))
    compute = {
        **tables["compute"],
        "formats": ("MXINT8",),
        "vectors": group,
        "head_elements": head_size,
        "selection": False,
    }
    return Config.model_validate(
        {
            **tables,
            "compute": compute,
            "vector": {**tables["vector"], "tile_rows": rows},
            # The widest flit: the slice's results stay beside it.
            "fabric": {**tables["fabric"], "payload_bits": 512},
        }
    )


@dataclass(frozen=True, eq=False)
class LayerContext:
    """Queries of the newest token, keys and values of all.

    Attributes:
        queries: (1, heads, blocks).
        keys, values: Of one layer.
    """

    queries: BlockVector
    keys: BlockCache
    values: BlockCache

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.queries.exponents.shape[1]

    @property
    def group(self) -> int:
        """Query heads of a KV head."""
        return self.heads // self.keys.kv_heads


def random_context(
    config: Config, kv_heads: int, tokens: int, seed: int, spread: int = 4
) -> LayerContext:
    """Random queries, keys and values, of exponents that differ by up to ``spread``."""
    random = np.random.default_rng(seed)
    compute = config.compute
    blocks = compute.head_elements // 32

    def drawn(*shape: int, bits: int) -> BlockVector:
        limit = 1 << bits - 1
        elements = random.integers(-limit + 1, limit, size=(*shape, blocks, 32))
        exponents = random.integers(127 - spread, 128, size=(*shape, blocks))
        return BlockVector(elements.astype(np.int32), exponents.astype(np.uint8), bits)

    caches = [BlockCache(kv_heads, compute.head_elements) for _ in range(2)]
    for cache in caches:
        cache.append(drawn(tokens, kv_heads, bits=KV_BITS))
    queries = drawn(1, kv_heads * compute.vectors, bits=compute.activation_bits)
    return LayerContext(queries, *caches)


class _LayerDoneError(Exception):
    """The layer has been computed."""


def decoder_context(decoder: IntegerDecoder, tokens: Sequence[int], layer: int) -> LayerContext:
    """What a layer of a model is given when it reads tokens one after the other.

    Args:
        decoder: The exact integer decoder.
        tokens: Ids.
        layer: Which layer.
    """
    found: dict[str, BlockVector] = {}

    def keep(number: int, name: str, value: object) -> None:
        if number == layer and isinstance(value, BlockVector):
            found[name] = value
            if name == "value":
                raise _LayerDoneError

    with suppress(_LayerDoneError):
        decoder.forward(tokens, IntegerState(decoder.shape), keep)
    size = (decoder.shape.kv_heads, decoder.shape.head_size)
    keys, values = BlockCache(*size), BlockCache(*size)
    keys.append(found["key"])
    values.append(found["value"])
    return LayerContext(found["query"][-1:], keys, values)


def attend(
    config: Config, split: ContextSplit, context: LayerContext
) -> tuple[Attended, Counter[str]]:
    """What the integer reference gives, and what it clamped."""
    compute = config.compute
    clamped: Counter[str] = Counter()
    attention = Attention(
        compute.head_elements,
        split,
        AccumulatorFormat(compute.accumulator_bits, compute.fraction_bits, compute.blocks_a_row),
        compute.sum_term_bits,
        SoftmaxFormat(compute.activation_bits, config.vector),
    )
    return attention.attend(context.queries, context.keys, context.values, clamped), clamped


@dataclass(frozen=True)
class AttentionMeasure:
    """What attention did.

    Attributes:
        values: Partials' maxima and totals, weighted sums and words, each compared.
        cycles: From the offer of the first command to the last word.
        appending: Cycles in which the rows were written.
        window: From the first beat that a unit took to its last, the longest of all units.
        beats: Beats that all units took.
        utilisation: Of the beats that the memories could give in the units' windows.
        lane_occupancy: Of the multipliers in the units' windows, those with an element.
        causes, slice_causes, memory_causes: Cycles of all units, slices and memories by cause.
    """

    values: int
    cycles: int
    appending: int
    window: int
    beats: int
    utilisation: float
    lane_occupancy: float
    causes: dict[str, int]
    slice_causes: dict[str, int]
    memory_causes: dict[str, int]


def part_counts(step: Step, port: str, causes, parts: int) -> list[dict[str, int]]:
    """The counts of each part, by name; counting stops."""
    bits = step(Probe({"counting": 0}, [port])).outputs[port]
    mask = (1 << COUNT_BITS) - 1
    width = COUNT_BITS * len(causes)
    return [
        {cause.name: bits >> part * width + COUNT_BITS * cause.value & mask for cause in causes}
        for part in range(parts)
    ]


@dataclass
class AttentionLayer:
    """Appends a context to the vaults that hold its parts, and attends to it.

    Attributes:
        config: Of `attention_config`, with a stack.
        split: How the tokens are dealt to vaults.
        context: What to append and attend to.
        layer: Which layer's region it is.
        pacing: Of the streams at the edge.
        rounds: How often it is attended to, one command behind the other.
    """

    config: Config
    split: ContextSplit
    context: LayerContext
    layer: int = 0
    pacing: Pacing = FULL_RATE
    rounds: int = 1
    memories: list[NDArray[np.uint8]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        config, split = self.config, self.split
        stack = config.stack
        assert stack is not None
        self.address_bits = exact_log2(stack.pages)
        tokens = self.context.keys.positions
        self._members = [split.members(part, tokens) for part in range(split.parts)]
        self.kv_map = KvMap(
            config.kv_layout,
            config.compute.head_elements,
            self.context.keys.kv_heads,
            len(self._members[0]),
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
        return sum(len(members) > 0 for members in self._members)

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
            log = outcome.sinks[sink.stream]
            if log.mismatches:
                index = log.mismatches[0]
                raise CheckError(
                    f"{sink.stream} {index}, cycle {log.cycles[index]}: {log.payloads[index]:#x},"
                    f" not {sink.expected[index] if sink.expected and index < sink.count else 0:#x}"
                    f" ({len(log.mismatches)} of {sink.count} differ)"
                )
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
        for part, members in enumerate(self._members):
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
        for part, members in enumerate(self._members):
            image = np.zeros_like(self.memories[part])
            for head in range(self.context.keys.kv_heads):
                for value, cache in enumerate((self.context.keys, self.context.values)):
                    rows = pack_rows(
                        cache.head(head)[members], self.kv_map.layout, self.kv_map.beats_a_row
                    )
                    base = self.kv_map.base(self.layer, head, bool(value))
                    image[base : base + len(rows)] = rows
            wrong = int((image != self.memories[part]).sum())
            if wrong:
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
                        "rows": len(self._members[part]),
                        "tag": head,
                    }
                )
                for head in kv_heads
            ]
            found += [
                (f"commands__{part}", commands * self.rounds),
                (f"queries__{part}", blocks * self.rounds),
            ]
        return found

    def expected(self) -> tuple[list[Sink], int]:
        """What every stream shall give, and how many values that is."""
        config, context = self.config, self.context
        found, clamped = attend(config, self.split, context)
        if sum(clamped.values()):
            raise CheckError(f"the reference clamped {dict(clamped)}: choose other magnitudes")
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
        every = {}
        for port, causes in (
            ("cycles", AttentionCause),
            ("slice_cycles", SliceCause),
            ("vault_cycles", VaultCause),
        ):
            counts = part_counts(step, port, causes, parts)
            every[port] = {cause.name: sum(one[cause.name] for one in counts) for cause in causes}
            totals = {sum(one.values()) for one in counts}
            if totals != {outcome.cycles}:
                raise CheckError(f"{port}: counts of {totals} cycles, not {outcome.cycles}")
        bits = step(Probe({}, ["windows"])).outputs["windows"]
        windows = [bits >> COUNT_BITS * part & (1 << COUNT_BITS) - 1 for part in range(parts)]
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
        )


def measure_attention(scenario: AttentionLayer, backend: Backend = "native") -> AttentionMeasure:
    """Measures a layer's attention in vaults."""
    config = scenario.config
    design = Design(AttentionBench, (config, scenario.split.parts, config.kv.tiles_ahead))
    return simulate(design, scenario, backend)
