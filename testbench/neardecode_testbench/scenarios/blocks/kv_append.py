"""The appender of keys and values by itself: every write and its cycle.

A row's blocks are gathered beat by beat. A block is taken as soon as it and its row's place are
offered; the cycle after a beat's last block its elements are offered, and the cycle after those
were taken its scales; the cycle after that the next block can be taken. A row's place goes with its
last scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from neardecode.attention.append import RowPlace
from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.lib.page import BeatWrite
from neardecode.vector.quantiser import ScaledBlock
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step
from neardecode_testbench.reference.kv_image import kv_place
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_cycles,
    check_recorded,
    check_sink,
    open_from,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["STREAMS", "AppendedRow", "AppendedRows"]

STREAMS = ("places", "blocks", "writes")
ELEMENT_BITS = 8

AppendedRow = tuple[int, int, bool, int]
"""Layer, KV head, whether it is a value, and the row."""


@dataclass
class AppendedRows:
    """Random rows, written one after another.

    Attributes:
        config: The appender's.
        address_bits: Bits of a page's address.
        kv_heads: Of a layer.
        rows: Most rows of a region.
        appended: Which rows.
        seed: Of their numbers.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Config
    address_bits: int
    kv_heads: int
    rows: int
    appended: Sequence[AppendedRow]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> list[int]:
        """Plays them; returns the cycle of each write."""
        places, blocks, writes = self._payloads()
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[
                    Source("places", places, stalls("places")),
                    Source("blocks", blocks, stalls("blocks")),
                ],
                sinks=[Sink("writes", len(writes), writes, stalls("writes"))],
                limit=300 * (len(writes) + len(blocks) + 10),
                trailing=4,
            )
        )
        check_sink("writes", outcome.sinks["writes"])
        if not step(Probe({}, ["idle"])).outputs["idle"]:
            raise CheckError("idle is low, but all was written")
        self._check_cycles(outcome)
        return outcome.sinks["writes"].cycles

    @property
    def _row_beats(self) -> int:
        slots = self.config.kv_layout.blocks_a_beat
        return self.config.compute.head_elements // (BLOCK_ELEMENTS * slots)

    def _payloads(self) -> tuple[list[int], list[int], list[int]]:
        layout, flash = self.config.kv_layout, self.config.flash
        slots, size = layout.blocks_a_beat, layout.beat_bytes
        place = Packer(RowPlace(self.config, self.address_bits)).pack
        block = Packer(ScaledBlock(ELEMENT_BITS)).pack
        write = Packer(BeatWrite(self.address_bits, flash.page_beats, flash.beat_bytes)).pack
        random = np.random.default_rng(self.seed)
        places, blocks, writes = [], [], []
        for layer, head, value, row in self.appended:
            shape = (self._row_beats, slots)
            elements = random.integers(-127, 128, (*shape, BLOCK_ELEMENTS))
            exponents = random.integers(0, 255, shape)
            for beat in range(self._row_beats):
                page, at = kv_place(
                    layout,
                    self._row_beats,
                    self.kv_heads,
                    self.rows,
                    (layer, head, value, row),
                    beat,
                )
                if beat == 0:
                    places.append(place({"page": page, "beat": at}))
                blocks += [
                    block({"elements": elements[beat, slot], "exponent": exponents[beat, slot]})
                    for slot in range(slots)
                ]
                data = elements[beat].astype(np.int8).tobytes()
                # Where the strobe is low the scales are repeated, which says nothing.
                scales = exponents[beat].astype(np.uint8).tobytes() * (size // slots)
                scale_beat, first = divmod(at * slots, size)
                writes += [
                    write(
                        {
                            "page": page,
                            "beat": layout.scale_beats + at,
                            "data": int.from_bytes(data, "little"),
                            "strobe": (1 << size) - 1,
                        }
                    ),
                    write(
                        {
                            "page": page,
                            "beat": scale_beat,
                            "data": int.from_bytes(scales, "little"),
                            "strobe": ((1 << slots) - 1) << first,
                        }
                    ),
                ]
        return places, blocks, writes

    def _check_cycles(self, outcome) -> None:
        slots = self.config.kv_layout.blocks_a_beat
        stalls = {name: self.pacing.stalls(name) for name in STREAMS}
        places: list[int] = []
        blocks: list[int] = []
        stands: list[int] = []
        writes: list[int] = []
        free = {"places": outcome.start, "blocks": outcome.start}
        gathers = outcome.start
        for _ in self.appended:
            there = open_from(free["places"], stalls["places"])
            for _beat in range(self._row_beats):
                for _slot in range(slots):
                    offered = open_from(free["blocks"], stalls["blocks"])
                    blocks.append(max(gathers, there, offered))
                    gathers = free["blocks"] = blocks[-1] + 1
                for _write in range(2):
                    stands.append(gathers)
                    writes.append(open_from(gathers, stalls["writes"]))
                    gathers = writes[-1] + 1
            places.append(writes[-1])
            free["places"] = gathers
        check_cycles("place", outcome.sources["places"], places)
        check_cycles("block", outcome.sources["blocks"], blocks)
        check_cycles("write", outcome.sinks["writes"].cycles, writes)
        check_recorded(self.recorder, "writes", outcome, stands)
