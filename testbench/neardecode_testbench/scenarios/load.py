"""A steady load for a board: the scores of one layer, again and again, nothing checked."""

import time
from dataclasses import dataclass

import numpy as np

from neardecode.config import Config
from neardecode_testbench.drive.stimulus import Step
from neardecode_testbench.reference.blocks import BlockVector, quantise
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.scenarios.attention import LayerStimulus

__all__ = ["ScoreLoad", "ScoreLoadRun"]


@dataclass
class ScoreLoadRun:
    """What a load took.

    Attributes:
        cycles: Simulated cycles.
        seconds: Wall time of the simulation, without building it.
    """

    cycles: int
    seconds: float


@dataclass
class ScoreLoad:
    """Reads the keys of a layer and scores them with random queries.

    Attributes:
        config: The board's configuration.
        shape: The model's; of its layers only one is used.
        positions: Keys a KV head.
        repeats: How often.
        seed: Of keys and queries.
    """

    config: Config
    shape: ModelShape
    positions: int
    repeats: int
    seed: int = 1

    def __call__(self, step: Step) -> ScoreLoadRun:
        """Runs on whatever simulator takes the steps."""
        random = np.random.default_rng(self.seed)
        stimulus = LayerStimulus(self.config, self.shape, self.positions)
        size = self.shape.head_size
        for kv_head in range(self.shape.kv_heads):
            keys = quantise(random.standard_normal((self.positions, size)), 8)
            for row in range(self.positions):
                stimulus.image.append(0, kv_head, row, keys[row])
        queries: BlockVector = quantise(
            random.standard_normal((self.shape.heads, size)), self.config.compute.activation_bits
        )
        play = stimulus.play(0, queries, self.positions, None)
        begin = time.perf_counter()
        cycles = sum(step(play).cycles for _ in range(self.repeats))
        return ScoreLoadRun(cycles, time.perf_counter() - begin)
