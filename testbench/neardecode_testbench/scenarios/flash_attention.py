"""How many cycles heads take whose keys and values lie in flash.

No cycle depends on a value, so the pages are empty and the queries are zeros.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.utils import exact_log2

from neardecode.attention.layouts import AttentionCommand
from neardecode.compute.command import ActivationBlock
from neardecode.config import BLOCK_ELEMENTS, Config, KvMap
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["FlashHeads"]


@dataclass(frozen=True)
class FlashHeads:
    """Heads that are attended to one behind the other, all of them asked for at once.

    Attributes:
        config: Of `Config.attending`.
        kv_map: Where rows lie.
        layers: How many.
        sense_cycles: tR.
    """

    config: Config
    kv_map: KvMap
    layers: int
    sense_cycles: int

    def __call__(self, step: Step) -> tuple[int, list[int]]:
        """When the first was asked for, and when each block of activations came, since reset."""
        config, kv_map, compute = self.config, self.kv_map, self.config.compute
        command = Packer(AttentionCommand(config, exact_log2(config.flash.pages))).pack
        block = Packer(ActivationBlock(compute)).pack
        commands = [
            command(
                {
                    "keys": kv_map.base(layer, head, False),
                    "values": kv_map.base(layer, head, True),
                    "rows": kv_map.rows,
                }
            )
            for layer in range(self.layers)
            for head in range(kv_map.kv_heads)
        ]
        parts = compute.head_elements // BLOCK_ELEMENTS
        vector = [block({"last": part == parts - 1}) for part in range(parts)]
        pages = kv_map.base(self.layers, 0, False)
        memory = np.zeros((pages, config.flash.page_bytes), np.uint8)
        outcome = step(
            Play(
                [
                    Source("commands", commands),
                    Source("queries", vector * compute.vectors * len(commands)),
                ],
                [Sink("blocks", len(commands) * compute.vectors * parts)],
                [Storage("storage", memory, config.flash.beat_bytes)],
                {"counting": 1, "sense_cycles": self.sense_cycles},
                limit=10_000 + pages * (self.sense_cycles + 10 * config.flash.page_beats),
            )
        )
        return outcome.start, outcome.sinks["blocks"].cycles
