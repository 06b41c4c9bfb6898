"""The main job: decode a prompt with every attention score computed on a board."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neardecode.chip import counter_names
from neardecode.config import Config
from neardecode_testbench.drive.stimulus import Step
from neardecode_testbench.reference.decoder import generate
from neardecode_testbench.scenarios.attention import LayerRun, RtlScorer
from neardecode_testbench.scenarios.counters import read_counters, split_counters
from neardecode_testbench.scenarios.model import ModelSource

__all__ = ["DecodeRun", "DecodeScenario"]


@dataclass
class DecodeRun:
    """What came of a decode.

    Attributes:
        tokens: The generated ids.
        positions: Tokens that went through the model.
        values_compared: Scores that the hardware gave.
        mismatches: Those that were not the integer reference's.
        first_mismatch: Where the first of them was.
        saturations: Scores with a clamped term.
        errors: Scores whose page could not be read.
        cycles: Cycles in which the hardware had scores to compute.
        blocks: For each block its busy cycles and its stalls by cause.
        events: For each block its events.
        layers: Every layer of every token, in order.
    """

    tokens: list[int]
    positions: int
    values_compared: int
    mismatches: int
    first_mismatch: str | None
    saturations: int
    errors: int
    cycles: int
    blocks: dict[str, dict]
    events: dict[str, dict[str, int]]
    layers: list[LayerRun] = field(default_factory=list)


@dataclass
class DecodeScenario:
    """Decodes a prompt; everything but the scores is the reference's.

    Attributes:
        config: The board's configuration.
        model: The model; loaded where the scenario runs.
        prompt: Token ids.
        count: Most tokens to generate.
        stops: Tokens that end the text.
        context: Tokens to make room for.
        stall_seed: Stalls every stream at the board's edge at random, or None.
        on_layer: Called after each layer with how many are done.
    """

    config: Config
    model: ModelSource
    prompt: list[int]
    count: int
    stops: frozenset[int] = frozenset()
    context: int = 64
    stall_seed: int | None = None
    on_layer: Callable[[int], None] | None = None

    def __call__(self, step: Step) -> DecodeRun:
        """Runs on whatever simulator takes the steps."""
        decoder = self.model.decoder()
        layers: list[LayerRun] = []

        def note(run: LayerRun) -> None:
            layers.append(run)
            if self.on_layer is not None:
                self.on_layer(len(layers))

        stalls = None
        if self.stall_seed is not None:
            stalls = np.random.default_rng(self.stall_seed).random(4099) < 0.5
        scorer = RtlScorer(
            self.config,
            decoder.shape,
            step,
            context=self.context,
            stalls=stalls,
            on_layer=note,
        )
        tokens = generate(decoder, scorer, self.prompt, self.count, stops=self.stops)
        counts = read_counters(step, counter_names(self.config))
        blocks, events = split_counters(counts, scorer.cycles)
        return DecodeRun(
            tokens=tokens,
            positions=len(layers) // decoder.shape.layers,
            values_compared=scorer.values_compared,
            mismatches=scorer.mismatches,
            first_mismatch=scorer.first_mismatch,
            saturations=scorer.saturations,
            errors=scorer.errors,
            cycles=scorer.cycles,
            blocks=blocks,
            events=events,
            layers=layers,
        )
