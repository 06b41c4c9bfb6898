"""The main job: a model decodes in hardware, and every sum of its layers is compared."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from neardecode.config import Config
from neardecode.decoder.exchange import TransferWrite
from neardecode.decoder.gather import ElementWrite
from neardecode.decoder.layouts import ChipProgramWrite, ProgramWrite, PromptToken
from neardecode.token_chips import system_counter_names
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step
from neardecode_testbench.reference.compiler import compile_model
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState
from neardecode_testbench.scenarios.counters import read_counters, split_counters
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.packing import Packer
from neardecode_testbench.scenarios.token_memories import token_memories

__all__ = ["TokenDecode", "TokenRun", "TokenStep"]


@dataclass
class TokenStep:
    """One token that went through the model.

    Attributes:
        token: What was read.
        found: The token that follows.
        cycles: From where it was given, or the token before was found, to that.
    """

    token: int
    found: int
    cycles: int


@dataclass(frozen=True)
class _Expected:
    """What is added to the residual stream by layer, the token that follows, and the state then."""

    layers: list[np.ndarray]
    token: int
    state: IntegerState


@dataclass
class TokenRun:
    """What came of a decode.

    Attributes:
        tokens: The generated ids.
        steps: Every token that was read.
        values_compared: Sums of the residual stream, each compared, and tokens.
        mismatches: Those that were not the integer reference's.
        first_mismatch: Where the first of them was.
        cycles: Of all steps.
        bound: Cycles a token in which its weights cross the buses of the channels.
        activation_blocks: Blocks of activations that a token sends to every channel.
        flags: What the chip says at the end: clamped values, pages that could not be read.
        blocks: For each block its busy cycles and its stalls by cause.
        events: For each block its events.
    """

    tokens: list[int]
    steps: list[TokenStep] = field(default_factory=list)
    values_compared: int = 0
    mismatches: int = 0
    first_mismatch: str | None = None
    cycles: int = 0
    bound: float = 0.0
    activation_blocks: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, dict] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class TokenDecode:
    """Decodes a prompt greedily; nothing but ids crosses the edge of the chip.

    Attributes:
        config: The board's configuration.
        source: The model; loaded where the scenario runs.
        prompt: Token ids.
        count: Most tokens to generate.
        stops: Tokens that end the text.
        context: Tokens to make room for.
        limit: Most cycles of a token.
        on_token: Called after each token that was read, with how many were.
    """

    config: Config
    source: ModelSource
    prompt: list[int]
    count: int
    stops: frozenset[int] = frozenset()
    context: int = 64
    limit: int = 4_000_000
    on_token: Callable[[int], None] | None = None

    def __call__(self, step: Step) -> TokenRun:
        """Runs on whatever simulator takes the steps."""
        config = self.config
        shape, weights = self.source.integer_weights()
        self._images = [
            compile_model(shape, weights, config, self.context, chip)
            for chip in range(config.chips)
        ]
        decoder = config.decoder
        assert decoder is not None
        attending = config.attending(decoder.group, decoder.head_elements)
        split = ContextSplit(config.context_chips)
        self._reference = IntegerDecoder(shape, weights, config.compute, attending.vector, split)
        self._storages = token_memories(config, self._images)
        self._load(step)
        beats = max(image.weight_beats for image in self._images)
        run = TokenRun([], bound=beats / config.flash.channels / config.utilisation_bound)
        run.activation_blocks = sum(image.activation_blocks for image in self._images)
        with ThreadPoolExecutor(1) as ahead:
            self._decode(step, run, ahead, IntegerState(shape))
        # Only here: memories serve no reads in the cycle of a probe.
        flags = ["saturated", "error", "violated"]
        run.flags = step(Probe({"counting": 0}, flags)).outputs
        names = system_counter_names(self.config)
        run.blocks, run.events = split_counters(read_counters(step, names), run.cycles)
        return run

    def _load(self, step: Step) -> None:
        several = self.config.chips > 1
        pack = Packer((ChipProgramWrite if several else ProgramWrite)(self.config)).pack
        writes = [
            pack({"address": place, "descriptor": bits} | ({"chip": chip} if several else {}))
            for chip, image in enumerate(self._images)
            for place, bits in enumerate(image.program)
        ]
        step(Play([Source("program", writes)], limit=100 + 2 * len(writes)))

    def _decode(
        self, step: Step, run: TokenRun, ahead: ThreadPoolExecutor, state: IntegerState
    ) -> None:
        """Token after token; the reference reads the next one while the hardware reads one."""

        def submit(token: int, state: IntegerState) -> Future[_Expected]:
            return ahead.submit(self._expect, token, state)

        fed = list(self.prompt)
        coming = submit(fed[0], state)
        while len(run.tokens) < self.count:
            token, last = fed.pop(0), not fed
            expected = coming.result()
            follows = expected.token if last else fed[0]
            ends = last and len(run.tokens) + 1 == self.count
            if not ends:
                coming = submit(follows, expected.state)
            found = self._token(step, run, expected, token)
            if not last:
                continue
            if found in self.stops:
                break
            run.tokens.append(found)
            fed = [found]
            if found != follows and not ends:
                coming = submit(found, expected.state)

    def _token(self, step: Step, run: TokenRun, expected: _Expected, token: int) -> int:
        """One token through the hardware, against the reference."""
        pack = Packer(PromptToken()).pack
        position = expected.state.positions - 1
        prompt = pack({"token": token, "first": position == 0, "last": True})
        outcome = step(
            Play(
                sources=[Source("prompt", [prompt])],
                sinks=[*self._sums(expected.layers), Sink("tokens", 1, [expected.token])],
                storages=self._storages,
                levels={"counting": 1, "running": 1, "generate": 1},
                limit=self.limit,
            )
        )
        found = outcome.sinks["tokens"].payloads[0]
        run.values_compared += self.config.chips * sum(map(len, expected.layers)) + 1
        for name, log in outcome.sinks.items():
            run.mismatches += len(log.mismatches)
            if log.mismatches and run.first_mismatch is None:
                run.first_mismatch = f"{name} {log.mismatches[0]} of position {position}"
        found_step = TokenStep(token, found, outcome.cycles)
        run.cycles += outcome.cycles
        run.steps.append(found_step)
        if self.on_token is not None:
            self.on_token(len(run.steps))
        return found

    def _sums(self, expected: list[np.ndarray]) -> list[Sink]:
        """What is written to the residual stream of every chip."""
        decoder, bits = self.config.decoder, self.config.vector.word_bits
        assert decoder is not None
        words = [[int(value) & (1 << bits) - 1 for value in layer] for layer in expected]
        if self.config.chips == 1:
            element = Packer(ElementWrite(decoder.width, bits))
            sums = [
                element.pack({"element": place, "value": value})
                for layer in words
                for place, value in enumerate(layer)
            ]
            return [Sink("sums", len(sums), sums, keys=element.mask("element"))]
        transfer = Packer(TransferWrite(self.config, decoder.width))
        lanes = decoder.lanes
        transfers = [
            transfer.pack(
                {
                    "transfer": first // lanes,
                    "values": layer[first : first + lanes],
                }
            )
            for layer in words
            for first in range(0, len(layer), lanes)
        ]
        return [
            Sink(f"exchanged__{chip}", len(transfers), transfers)
            for chip in range(self.config.chips)
        ]

    def _expect(self, token: int, state: IntegerState) -> _Expected:
        """What a token must give; the state is left as it was."""
        layers: list[np.ndarray] = []
        state = deepcopy(state)

        def note(layer: int, name: str, value) -> None:
            if layer >= 0 and name in ("attention_residual", "residual"):
                layers.append(value[0])

        normed = self._reference.forward([token], state, note)
        return _Expected(layers, int(self._reference.logits(normed, state).argmax()), state)
