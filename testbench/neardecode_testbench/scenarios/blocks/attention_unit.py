"""The attention unit by itself, the memory played from outside: every value, and its cycle.

At full rate every cycle follows from the first beat. A beat is taken a cycle after the one before
it, but the first elements of a tile of values wait for the tile's largest score, `turn` cycles from
the last elements of its keys; a command's first values wait until the partial of the command before
has left; its last elements wait until the sums of the command before have left. The partial and the
sums of a command follow its last elements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neardecode.attention.layouts import AttentionCommand, AttentionPartial
from neardecode.attention.tiles import tile_pages
from neardecode.compute.lanes import Lanes
from neardecode.compute.softmax.softmax import Softmax
from neardecode.compute.sums import SumLanes
from neardecode.config import BLOCK_ELEMENTS, AttentionCause, Config, KvMap
from neardecode.lib.page import PageBeat, PageRequest
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.reference.kv_image import kv_image
from neardecode_testbench.scenarios.attention_context import LayerContext
from neardecode_testbench.scenarios.attention_streams import LayerStreams
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

__all__ = ["STREAMS", "AttendedRows", "TileRead"]

STREAMS = ("commands", "queries", "requests", "beats", "partials", "sums")
RESCALED = 1
"""Cycles before its first elements in which a tile of values may begin, its rescale being known."""
PARTIAL_LATENCY = 1
"""Cycles from a command's last beat of elements to its partial."""
SUM_LATENCY = SumLanes.latency + 1
OPENING = 2
"""Cycles from a partial to the first values of the next command."""


@dataclass(frozen=True)
class TileRead:
    """A tile of keys or values in the order in which they are read.

    Attributes:
        head: Whose; commands are one a KV head.
        value: It is of values.
        page, pages: Where.
        rows: How many it has.
        opens, closes: It is its command's first, its last.
    """

    head: int
    value: bool
    page: int
    pages: int
    rows: int
    opens: bool
    closes: bool


@dataclass
class AttendedRows:
    """A layer's heads, one command behind the other.

    Attributes:
        config: The unit's.
        context: Queries, keys and values.
        pacing: Of the streams; commands are never held back, as the order of tiles depends on
            whether there is one.
        appended: The commands say that their newest rows are.
        broken: KV heads of which a beat of keys comes in error, in each page of their first tile;
            its data is as it was.
        clamped: Of KV heads which vectors have terms that are clamped, as a mask.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Config
    context: LayerContext
    pacing: Pacing = FULL_RATE
    appended: bool = False
    broken: tuple[int, ...] = ()
    clamped: Mapping[int, int] = field(default_factory=dict)
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> list[int]:
        """Plays it; returns the cycle of each beat.

        Raises:
            CheckError: if a value or, at full rate, a cycle is not as expected.
        """
        layer = LayerStreams(self.config, ContextSplit(), self.context, clamps=bool(self.clamped))
        tiles = self.tiles(layer.kv_map)
        asks = {name.removesuffix("__0"): given for name, given in layer.asks()}
        asks["beats"] = self._beats(tiles, layer.kv_map)
        stalls = {name: self.pacing.stalls(name) for name in STREAMS if name != "commands"}
        sinks = [
            replace(sink, stream=name, stalls=stalls[name])
            for sink in layer.expected()[0]
            if (name := sink.stream.removesuffix("__0")) in ("partials", "sums")
        ]
        if self.appended:
            newest = Packer(AttentionCommand(self.config, layer.address_bits)).pack({"appended": 1})
            asks["commands"] = [command | newest for command in asks["commands"]]
        mark = Packer(AttentionPartial(self.config)).pack
        for sink in sinks:
            if sink.stream == "partials" and sink.expected is not None:
                sink.expected = [
                    partial
                    | mark({"error": head in self.broken, "clamped": self.clamped.get(head, 0)})
                    for head, partial in enumerate(sink.expected)
                ]
        request = Packer(PageRequest(layer.address_bits)).pack
        requests = [
            request(
                {
                    "address": tile.page,
                    "pages": tile.pages,
                    "fresh": int(self.appended and tile.closes),
                    "tag": tile.head,
                }
            )
            for tile in tiles
        ]
        sinks.append(Sink("requests", len(requests), requests, stalls["requests"]))
        outcome = step(
            Play(
                sources=[
                    Source(name, asks[name], stalls.get(name))
                    for name in ("commands", "queries", "beats")
                ],
                sinks=sinks,
                levels={"counting": 1},
                limit=20 * len(asks["beats"]) + 2_000,
                trailing=20,
            )
        )
        for sink in sinks:
            check_sink(sink.stream, outcome.sinks[sink.stream])
        beats = outcome.sources["beats"]
        counts = read_counts(step, "cycles", AttentionCause)
        if counts["BUSY"] != len(beats) or sum(counts.values()) != outcome.cycles:
            raise CheckError(f"of {outcome.cycles} cycles and {len(beats)} beats: {counts}")
        if self.pacing is FULL_RATE:
            expected, ends = self._beat_cycles(tiles, beats[0])
            check_cycles("beat", beats, expected)
            check_cycles(
                "partial",
                outcome.sinks["partials"].cycles,
                [end + PARTIAL_LATENCY for end in ends],
            )
            size = self.config.compute.head_elements
            check_cycles(
                "sum",
                outcome.sinks["sums"].cycles,
                [end + SUM_LATENCY + element for end in ends for element in range(size)],
            )
        return beats

    @property
    def _turn(self) -> int:
        return Lanes.of(self.config).dot_latency + 1 + Softmax.latency

    def tiles(self, kv_map: KvMap) -> list[TileRead]:
        """Each tile of keys is followed by the values of the one before it."""
        config, rows = self.config, self.context.keys.positions
        each, size = tile_pages(config), config.vector.tile_rows
        order, owed = [], None
        for head in range(self.context.keys.kv_heads):
            for first in range(0, rows, size):
                count = min(size, rows - first)
                pages = -(-count * kv_map.beats_a_row // kv_map.layout.element_beats)
                page = first // size * each
                both = [
                    TileRead(
                        head,
                        value,
                        kv_map.base(0, head, value) + page,
                        pages,
                        count,
                        first == 0,
                        first + count == rows,
                    )
                    for value in (False, True)
                ]
                order += [both[0], *([] if owed is None else [owed])]
                owed = both[1]
        return [*order, *([] if owed is None else [owed])]

    def _beats(self, tiles: Sequence[TileRead], kv_map: KvMap) -> list[int]:
        heads = range(self.context.keys.kv_heads)
        keys, values = (
            [cache.head(head) for head in heads]
            for cache in (self.context.keys, self.context.values)
        )
        flash = self.config.flash
        image = kv_image(keys, values, kv_map.layout, kv_map.rows).view(np.uint8)
        pages = image.reshape(-1, flash.page_beats, flash.beat_bytes)
        pack = Packer(PageBeat(flash.beat_bytes)).pack
        return [
            pack(
                {
                    "data": int.from_bytes(beat.tobytes(), "little"),
                    "last": index == flash.page_beats - 1,
                    "error": tile.head in self.broken
                    and tile.opens
                    and not tile.value
                    and index == 1,
                    "tag": tile.head,
                }
            )
            for tile in tiles
            for page in pages[tile.page : tile.page + tile.pages]
            for index, beat in enumerate(page)
        ]

    def _beat_cycles(self, tiles: Sequence[TileRead], start: int) -> tuple[list[int], list[int]]:
        """Of every beat, and of each command's last beat of elements of values."""
        layout, compute = self.config.kv_layout, self.config.compute
        cycles: list[int] = []
        ends: list[int] = []
        known: list[int] = []
        cycle = start
        for tile in tiles:
            left = tile.rows * compute.head_elements // (BLOCK_ELEMENTS * layout.blocks_a_beat)
            wait = 0
            if tile.value:
                wait = known.pop(0) + self._turn
                cycle = max(cycle, wait - RESCALED)
            if tile.value and tile.opens and ends:
                cycle = max(cycle, ends[-1] + PARTIAL_LATENCY + OPENING)
            last = 0
            for _ in range(tile.pages):
                for beat in range(layout.beats):
                    if layout.scale_beats <= beat and left > 0:
                        left -= 1
                        if tile.value and tile.closes and left == 0 and ends:
                            wait = max(wait, ends[-1] + SUM_LATENCY + compute.head_elements)
                        last = cycle = max(cycle, wait)
                    cycles.append(cycle)
                    cycle += 1
            if not tile.value:
                known.append(last)
            elif tile.closes:
                ends.append(last)
        return cycles, ends
