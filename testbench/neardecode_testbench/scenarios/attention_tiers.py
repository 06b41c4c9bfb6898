"""A layer's attention where its cold pages, or all of them, lie in flash.

Rows are appended in a vault; then pages are evicted, one after another, in the order of their
addresses; then both tiers are attended to at once, as two parts of the context.
"""

from dataclasses import dataclass

from amaranth.utils import exact_log2

from neardecode.attention.evict import Eviction
from neardecode.attention.layouts import AttentionCommand
from neardecode.config import (
    AttentionCause,
    ChannelCause,
    Config,
    SliceCause,
    VaultCause,
)
from neardecode_testbench.devices.attention_tiers import AttentionTiers
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Outcome, Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.scenarios.attention_context import LayerContext
from neardecode_testbench.scenarios.attention_layer import DRAIN_CYCLES, AttentionLayer
from neardecode_testbench.scenarios.attention_measure import (
    COUNT_BITS,
    AttentionMeasure,
    part_counts,
    part_values,
    totals,
)
from neardecode_testbench.scenarios.attention_streams import LayerStreams
from neardecode_testbench.scenarios.blocks.attention_merge import LATENCY
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_cycles,
    check_sink,
    read_counts,
)
from neardecode_testbench.scenarios.flash.host_port import HostPort
from neardecode_testbench.scenarios.packing import Packer
from neardecode_testbench.scenarios.tier_split import tier_split

__all__ = ["Endurance", "TieredLayer", "measure_tiers"]

STREAMS = (
    *(f"{name}__{at}" for name in ("commands", "queries", "partials", "sums") for at in (0, 1)),
    *("places", "blocks", "moves", "words", "axi__ar", "axi__aw", "axi__w", "axi__b", "axi__r"),
)


@dataclass(frozen=True)
class Endurance:
    """What the flash was written.

    Attributes:
        pages: Pages written.
        erases: Blocks erased.
        cycles: From the first page's offer until the last one was seen to be programmed.
    """

    pages: int
    erases: int
    cycles: int


class TieredLayer:
    """Appends a context to a vault, evicts pages to flash, attends to both.

    ``parts`` is the same context as it lies in flash (part 0) and vault; which tiles are read is
    said there.

    Args:
        config: Of `Config.attending`, with a stack and ``flash.host``.
        context: What to append and attend to.
        pacing: Of the streams at the edge.

    ``recorder`` sees the streams, where the simulator is driven from Python.

    Raises:
        ValueError: if it does not fit, or the placement leaves nothing in flash.
    """

    def __init__(
        self,
        config: Config,
        context: LayerContext,
        pacing: Pacing = FULL_RATE,
    ):
        self.config, self.context, self.pacing = config, context, pacing
        self.recorder = Recorder(STREAMS)
        # In one vault first: the regions are the same in both tiers.
        self._whole = AttentionLayer(config, ContextSplit(1), context, pacing=pacing)
        self._map = self._whole.kv_map
        pages = self._map.region_pages
        split = tier_split(config, self._map)
        self.cold = split.pages
        self.parts = LayerStreams(config, split, context)
        self.rows = [len(members) for members in self.parts.members]
        # In flash the cold pages of one region follow those of the one before without a hole:
        # a block takes its pages in their order.
        regions = range(2 * context.keys.kv_heads)
        self._moves = [
            (region * pages + page, region * self.cold + page)
            for region in regions
            for page in range(self.cold)
        ]
        if len(self._moves) > config.flash.pages:
            raise ValueError(f"{len(self._moves)} pages do not fit the channel's")

    def __call__(self, step: Step) -> tuple[AttentionMeasure, Endurance]:
        """Plays it.

        Raises:
            CheckError: if a value is not the reference's, a word not in its cycle, a page was not
                written, or a timing of the DRAM was broken.
        """
        flash = self.config.flash
        self._port = port = HostPort(flash, step)
        memory = self._whole.memories[0]
        self._storages = [
            *port.storages,
            Storage("stored", memory, flash.beat_bytes),
            Storage("stores", memory, flash.beat_bytes, writable=True),
        ]
        port.storages = self._storages
        port.enable()
        appends = [(name.removesuffix("__0"), given) for name, given in self._whole.appends()]
        appended = self._play(step, appends, [], 0)
        if not step(Probe({}, ["idle"])).outputs["idle"]:
            raise CheckError("rows were not all written")
        self._whole.check_image()
        endurance = self._evict(step)
        sinks, values = self.parts.expected()
        outcome = self._play(step, self._asks(), sinks, 1)
        self._check_words(outcome)
        units = part_counts(step, "cycles", AttentionCause, 2)
        slices = part_counts(step, "slice_cycles", SliceCause, 2)
        if step(Probe({}, ["violated"])).outputs["violated"]:
            raise CheckError("timings of the DRAM were broken")
        windows = part_values(step, "windows", 2, COUNT_BITS)
        causes, slice_causes = (totals(counts, outcome.cycles) for counts in (units, slices))
        memories = {
            f"{name}_{cause}": count
            for name, port_, kind in (
                ("FLASH", "flash_cycles", ChannelCause),
                ("VAULT", "vault_cycles", VaultCause),
            )
            for cause, count in read_counts(step, port_, kind).items()
        }
        beats = causes["BUSY"]
        measured = AttentionMeasure(
            values=values,
            cycles=outcome.sinks["words"].cycles[-1] + 1 - outcome.start,
            appending=appended.cycles - DRAIN_CYCLES,
            window=max(windows),
            beats=beats,
            utilisation=beats / sum(windows),
            lane_occupancy=slice_causes["BUSY"] / sum(windows),
            causes=causes,
            slice_causes=slice_causes,
            memory_causes=memories,
        )
        return measured, endurance

    def _check_words(self, outcome: Outcome) -> None:
        """Where words are not held back, each follows the sums of its element."""
        if self.pacing.stalls("words") is not None:
            return
        sums = [outcome.sinks[f"sums__{part}"].cycles for part in range(len(self.rows))]
        expected = [max(cycles) + LATENCY for cycles in zip(*sums, strict=True)]
        check_cycles("word", outcome.sinks["words"].cycles, expected)

    def _evict(self, step: Step) -> Endurance:
        """Moves pages; each is then in flash as it was in the vault."""
        flash = self.config.flash
        stack = self.config.stack
        assert stack is not None
        pack = Packer(Eviction(exact_log2(stack.pages), exact_log2(flash.pages))).pack
        before = int(self._port.records["erases"].sum())
        moves = [pack({"source": source, "destination": page}) for source, page in self._moves]
        # The longest that a page takes: the memories' busy time, and moving it there.
        page = (
            self.config.cycles(flash.program_ns)
            + self.config.cycles(flash.erase_ns)
            + 20 * flash.page_beats
            + 1000
        )
        outcome = self._play(step, [("moves", moves)], [], 0, (len(moves) + 2) * page)
        cycles = outcome.cycles
        assert flash.host is not None
        last = cycles + (flash.host.units + 1) * page
        while step(Probe({}, ["busy"])).outputs["busy"]:
            if cycles > last:
                raise CheckError("pages were not all programmed")
            wait = max(1, page // 64)
            step(Play(storages=self._storages, limit=wait + 1, trailing=wait))
            cycles += wait + 1
        counts = step(Probe({}, ["written", "failed"])).outputs
        if counts["written"] != len(moves) or counts["failed"]:
            raise CheckError(f"of {len(moves)} pages {counts['written']} were written")
        erases = int(self._port.records["erases"].sum()) - before
        return Endurance(counts["written"], erases, cycles)

    def _asks(self) -> list[tuple[str, list[int]]]:
        """The commands of both tiers; the queries are the same."""
        found = [(n, g) for n, g in self.parts.asks() if not n.startswith("commands")]
        bits = (exact_log2(self.config.flash.pages), self._whole.address_bits)
        tiers = ((0, self.cold), (self.cold, self._map.region_pages))
        for part, (rows, (first, region)) in enumerate(zip(self.rows, tiers, strict=False)):
            command = Packer(AttentionCommand(self.config, bits[part])).pack
            commands = [
                command(
                    {
                        "keys": first + 2 * head * region,
                        "values": first + (2 * head + 1) * region,
                        "rows": rows,
                        "selected": int(self.parts.choice is not None),
                        "tag": head,
                    }
                )
                for head in range(self.context.keys.kv_heads)
            ]
            found.append((f"commands__{part}", commands))
        return found

    def _play(
        self,
        step: Step,
        sources: list[tuple[str, list[int]]],
        sinks: list[Sink],
        counting: int,
        limit: int = 0,
    ) -> Outcome:
        total = sum(len(given) for _, given in sources) + sum(sink.count for sink in sinks)
        pages = 2 * self._map.base(1, 0, False)
        per_page = self.config.sense_cycles + 20 * self.config.flash.page_beats
        outcome = step(
            Play(
                sources=[Source(n, given, self.pacing.stalls(n)) for n, given in sources],
                sinks=sinks,
                storages=self._storages,
                levels={"counting": counting, "used": len(self.rows)},
                limit=limit or 20_000 + 40 * total + pages * per_page,
                trailing=DRAIN_CYCLES,
            )
        )
        for sink in sinks:
            check_sink(sink.stream, outcome.sinks[sink.stream])
        return outcome


def measure_tiers(
    scenario: TieredLayer, backend: Backend = "native"
) -> tuple[AttentionMeasure, Endurance]:
    """Measures a layer's attention in flash, or in flash and a vault."""
    return simulate(Design(AttentionTiers, (scenario.config,)), scenario, backend)
