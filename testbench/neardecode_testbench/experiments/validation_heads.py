"""Heads whose keys and values lie in flash, drawn at random: the second place of a KV cache.

The token decoder keeps keys and values in vaults. An attention unit also works behind a flash
channel, and these points hold the model of that against its RTL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from neardecode.config import BLOCK_ELEMENTS, PRESETS, Config, KvMap, with_changes
from neardecode_testbench.devices.flash_attention import FlashAttention
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.experiments.dealt import TIMES_US, dealt
from neardecode_testbench.model.attention import HeadTimes, VaultAttention
from neardecode_testbench.model.flash_reads import FlashReads
from neardecode_testbench.model.heads import Heads, attend
from neardecode_testbench.scenarios.flash_attention import FlashHeads

__all__ = ["HEAD_RANGES", "MeasuredHeads", "draw_heads"]

POINTS_A_BOARD = 4
CYCLES = 2_000_000
"""Cycles of a point, about, above which fewer heads are drawn for it."""
MOST_HEADS = 6
PAGES = 1 << 15
"""Of the channel; every bank has as many of them."""

HEAD_RANGES: dict[str, tuple[Any, ...]] = {
    "banks": (1, 2, 4, 8, 16, 32, 64),
    "page_bytes": (1024, 2048, 4096),
    "head_elements": (64, 128),
    "group": (1, 2),
    "tiles_ahead": (2, 4, 8, 16, 64),
}
"""What is built, by name; every end of a range is drawn before any value is drawn twice."""


@dataclass(frozen=True)
class MeasuredHeads:
    """KV heads of some layers, all of them asked for at once.

    Attributes:
        board: What is built, by the names of `HEAD_RANGES`; tR is an input.
        sense_us: tR.
        context: Rows of each head.
        kv_heads: Of a layer.
        layers: How many.
    """

    board: tuple[tuple[str, Any], ...]
    sense_us: float
    context: int
    kv_heads: int
    layers: int

    def __getitem__(self, name: str) -> Any:
        return dict(self.board)[name]

    @cached_property
    def built(self) -> Config:
        """The configuration with the longest tR."""
        banks, page = self["banks"], self["page_bytes"]
        dies = max(1, banks // 16)
        changes = {
            "flash": {
                "channels": 1,
                "dies": dies,
                "banks_a_die": banks // dies,
                "page_bytes": page,
                "pages_a_bank": PAGES // banks,
                "sense_ns": 1000 * TIMES_US[1],
            },
            "stack": {"page_bytes": page},
            "compute": {"rows": 4096},
            "kv": {"placement": "flash", "tiles_ahead": self["tiles_ahead"]},
        }
        config = with_changes(PRESETS["decoder-tiny"], changes)
        return config.attending(self["group"], self["head_elements"])

    @property
    def config(self) -> Config:
        """The configuration with its tR."""
        return with_changes(self.built, {"flash": {"sense_ns": 1000 * self.sense_us}})

    @property
    def kv_map(self) -> KvMap:
        """Where rows lie."""
        return KvMap(self.built.kv_layout, self["head_elements"], self.kv_heads, self.context)

    def table(self) -> dict[str, Any]:
        """For machines and people."""
        return {
            **dict(self.board),
            "channels": 1,
            "chips": 1,
            "sense_us": self.sense_us,
            "context": self.context,
            "kv": "flash",
            "layers": self.layers,
            "kv_heads": self.kv_heads,
        }

    def measure(self) -> tuple[list[int], list[int]]:
        """Cycles to the last block of activations, in RTL and by the model.

        Raises:
            ConfigError, ToolError, StuckError, StorageError: if it cannot be run.
        """
        config, kv_map, group = self.config, self.kv_map, self["group"]
        scenario = FlashHeads(self.built, kv_map, self.layers, config.sense_cycles)
        start, came = simulate(Design(FlashAttention, (self.built,)), scenario, "native")
        heads = [
            HeadTimes(kv_map.base(layer, head, False), kv_map.base(layer, head, True), kv_map.rows)
            for layer in range(self.layers)
            for head in range(self.kv_heads)
        ]
        count = group * kv_map.head_size // BLOCK_ELEMENTS
        unit = VaultAttention(config, FlashReads(config))
        offered = [start] * (count * len(heads))
        attend([Heads([unit], 1, group, 1, heads, start, offered, count)], None)
        return [came[-1] + 1 - start], [heads[-1].blocks[-1] + group - start]


def draw_heads(
    random: np.random.Generator, senses: Sequence[float], contexts: Sequence[int]
) -> list[MeasuredHeads]:
    """A point of each tR and context, in order of their boards."""
    boards = ceil(len(senses) / POINTS_A_BOARD)
    columns = {name: dealt(random, values, boards) for name, values in HEAD_RANGES.items()}
    found = []
    for number, (sense, context) in enumerate(zip(senses, contexts, strict=True)):
        board = {name: column[number // POINTS_A_BOARD] for name, column in columns.items()}
        alone = MeasuredHeads(tuple(board.items()), sense, context, 1, 1)
        config, pages = alone.config, 2 * alone.kv_map.region_pages
        cycles = pages * config.flash.page_beats / config.utilisation_bound
        most = max(1, min(MOST_HEADS, int(CYCLES / cycles), PAGES // pages))
        kv_heads = int(random.integers(1, min(3, most) + 1))
        layers = int(random.integers(1, most // kv_heads + 1))
        found.append(MeasuredHeads(alone.board, sense, context, kv_heads, layers))
    return found
