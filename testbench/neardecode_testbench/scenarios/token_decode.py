"""The main job: a model decodes in hardware, and every sum of its layers is compared."""

import time
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
    """A token of each sequence that went through the model.

    Attributes:
        tokens: What was read.
        found: The tokens that follow.
        cycles: From where they were given to where the last of those was found.
    """

    tokens: list[int]
    found: list[int]
    cycles: int


@dataclass(frozen=True)
class _Expected:
    """What is added to each residual stream by layer, the tokens that follow, and the states then.

    A layer's values are (sequences, width).
    """

    layers: list[np.ndarray]
    tokens: list[int]
    states: list[IntegerState]


@dataclass
class TokenRun:
    """What came of a decode.

    Attributes:
        tokens: The generated ids, of each sequence.
        steps: Every position that was read.
        values_compared: Sums of the residual stream, each compared, and tokens.
        mismatches: Those that were not the integer reference's.
        first_mismatch: Where the first of them was.
        cycles: Of all steps.
        seconds: That the simulator took for them.
        bound: Cycles a step in which the weights cross the buses of the channels.
        activation_blocks: Blocks of activations that a token sends to every channel.
        flags: What the chip says at the end: clamped values, pages that could not be read.
        blocks: For each block its busy cycles and its stalls by cause.
        events: For each block its events.
    """

    tokens: list[list[int]]
    steps: list[TokenStep] = field(default_factory=list)
    values_compared: int = 0
    mismatches: int = 0
    first_mismatch: str | None = None
    cycles: int = 0
    seconds: float = 0.0
    bound: float = 0.0
    activation_blocks: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, dict] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class TokenDecode:
    """Decodes prompts greedily, side by side; nothing but ids crosses the edge of the chip.

    Attributes:
        config: The board's configuration.
        source: The model; loaded where the scenario runs.
        prompts: Token ids of each of the decoder's sequences.
        count: Most tokens to generate, of each.
        stops: Tokens that end a text.
        context: Tokens to make room for, of each.
        limit: Most cycles of a step.
        on_token: Called after each step, with how many there were.
        levels: Inputs of the board that are held, by port: faults of links between chips.
    """

    config: Config
    source: ModelSource
    prompts: list[list[int]]
    count: int
    stops: frozenset[int] = frozenset()
    context: int = 64
    limit: int = 4_000_000
    on_token: Callable[[int], None] | None = None
    levels: dict[str, int] = field(default_factory=dict)

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
        if len(self.prompts) != decoder.sequences:
            raise ValueError(f"{len(self.prompts)} prompts for {decoder.sequences} sequences")
        attending = config.attending(decoder.group, decoder.head_elements)
        split = ContextSplit(config.context_chips)
        self._reference = IntegerDecoder(shape, weights, config.compute, attending.vector, split)
        self._storages = token_memories(config, self._images)
        self._load(step)
        beats = max(image.weight_beats for image in self._images)
        run = TokenRun(
            [[] for _ in self.prompts],
            bound=beats / config.flash.channels / config.utilisation_bound,
        )
        run.activation_blocks = sum(image.activation_blocks for image in self._images)
        begin = time.perf_counter()
        with ThreadPoolExecutor(1) as ahead:
            self._decode(step, run, ahead, [IntegerState(shape) for _ in self.prompts])
        run.seconds = time.perf_counter() - begin
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
        self, step: Step, run: TokenRun, ahead: ThreadPoolExecutor, states: list[IntegerState]
    ) -> None:
        """Step after step; the reference reads the next tokens while the hardware reads these."""

        def submit(tokens: list[int], states: list[IntegerState]) -> Future[_Expected]:
            return ahead.submit(self._expect, tokens, states)

        fed = [list(prompt) for prompt in self.prompts]
        going = set(range(len(fed)))
        given = [left.pop(0) for left in fed]
        coming = submit(given, states)
        while going:
            expected = coming.result()
            follows = [
                left[0] if left else token for left, token in zip(fed, expected.tokens, strict=True)
            ]
            ends = all(not fed[each] and len(run.tokens[each]) + 1 == self.count for each in going)
            if not ends:
                coming = submit(follows, expected.states)
            found = self._position(step, run, expected, given)
            for each in [each for each in going if not fed[each]]:
                if found[each] not in self.stops:
                    run.tokens[each].append(found[each])
                if found[each] in self.stops or len(run.tokens[each]) == self.count:
                    going.remove(each)
            given = [left.pop(0) if left else token for left, token in zip(fed, found, strict=True)]
            if given != follows and not ends:
                coming = submit(given, expected.states)

    def _position(
        self, step: Step, run: TokenRun, expected: _Expected, tokens: list[int]
    ) -> list[int]:
        """A token of each sequence through the hardware, against the reference."""
        pack = Packer(PromptToken()).pack
        position = expected.states[0].positions - 1
        prompt = [pack({"token": token, "first": position == 0, "last": True}) for token in tokens]
        outcome = step(
            Play(
                sources=[Source("prompt", prompt)],
                sinks=[
                    *self._sums(expected.layers),
                    Sink("tokens", len(tokens), expected.tokens),
                ],
                storages=self._storages,
                levels={"counting": 1, "running": 1, "generate": 1, **self.levels},
                limit=self.limit,
            )
        )
        found = outcome.sinks["tokens"].payloads
        run.values_compared += self.config.chips * sum(layer.size for layer in expected.layers)
        run.values_compared += len(tokens)
        for name, log in outcome.sinks.items():
            run.mismatches += len(log.mismatches)
            if log.mismatches and run.first_mismatch is None:
                run.first_mismatch = f"{name} {log.mismatches[0]} of position {position}"
        run.cycles += outcome.cycles
        run.steps.append(TokenStep(tokens, found, outcome.cycles))
        if self.on_token is not None:
            self.on_token(len(run.steps))
        return found

    def _sums(self, expected: list[np.ndarray]) -> list[Sink]:
        """What is written to the residual streams of every chip."""
        decoder, bits = self.config.decoder, self.config.vector.word_bits
        assert decoder is not None
        # (sequences, width) integers without a sign.
        words = [(layer & (1 << bits) - 1).tolist() for layer in expected]
        if self.config.chips == 1:
            element = Packer(ElementWrite(decoder.width, bits, decoder.sequences))
            sums = [
                element.pack({"element": place, "values": values})
                for layer in words
                for place, values in enumerate(zip(*layer, strict=True))
            ]
            return [Sink("sums", len(sums), sums, keys=element.mask("element"))]
        transfer = Packer(TransferWrite(self.config, decoder.width))
        lanes = decoder.lanes
        transfers = [
            transfer.pack(
                {
                    "transfer": first // lanes,
                    "values": values[first : first + lanes],
                }
            )
            for layer in words
            for values in layer
            for first in range(0, len(values), lanes)
        ]
        return [
            Sink(f"exchanged__{chip}", len(transfers), transfers)
            for chip in range(self.config.chips)
        ]

    def _expect(self, tokens: list[int], states: list[IntegerState]) -> _Expected:
        """What tokens must give, one a sequence; the states are left as they were."""
        each = [
            self._alone(token, deepcopy(state)) for token, state in zip(tokens, states, strict=True)
        ]
        layers, found, after = zip(*each, strict=True)
        return _Expected(
            [np.stack(parts) for parts in zip(*layers, strict=True)], [*found], [*after]
        )

    def _alone(self, token: int, state: IntegerState) -> tuple[list[np.ndarray], int, IntegerState]:
        """One sequence's: values by layer, the token that follows, and the state then."""
        layers: list[np.ndarray] = []

        def note(layer: int, name: str, value) -> None:
            if layer >= 0 and name in ("attention_residual", "residual"):
                layers.append(np.asarray(value[0], np.int64))

        normed = self._reference.forward([token], state, note)
        return layers, int(self._reference.logits(normed, state).argmax()), state
