"""How many cycles tokens take, of a model of any shape and from any position on.

No cycle depends on a value, so the model is random, and the rows of tokens before the first one are
whatever stands in the vaults: a program of a single step leads the decoder past them.
"""

from dataclasses import dataclass, field

from neardecode.config import BlockFormat, Config, Operation
from neardecode.decoder.layouts import ChipProgramWrite, Descriptor, ProgramWrite, PromptToken
from neardecode.token_chips import system_counter_names
from neardecode_testbench.drive.stimulus import Outcome, Play, Sink, Source, Step
from neardecode_testbench.reference.compiler import compile_model
from neardecode_testbench.reference.integer.weights import integer_weights
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.scenarios.counters import read_counters, split_counters
from neardecode_testbench.scenarios.packing import Packer
from neardecode_testbench.scenarios.token_memories import token_memories

__all__ = ["TokenCycles", "TokenTimes"]


@dataclass
class TokenTimes:
    """What came of it.

    Attributes:
        start: When the first token was offered, in cycles since reset.
        cycles: Of each token.
        embedding_words: 16-bit integers of a word of the embedding.
        blocks, events: As `split_counters`, of all tokens.
    """

    start: int
    cycles: list[int]
    embedding_words: int = 1
    blocks: dict[str, dict] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class TokenCycles:
    """Tokens through a random model.

    Attributes:
        config: The board's configuration.
        shape: The model's sizes, as `random_model` takes them.
        block_format: Of all matrices.
        tokens: Their ids.
        position: The first one's.
        context: Tokens to make room for.
        limit: Most cycles of a token.
        levels: Inputs of the board beside those of a chip.
    """

    config: Config
    shape: dict[str, int]
    block_format: BlockFormat
    tokens: list[int]
    position: int = 0
    context: int = 64
    limit: int = 20_000_000
    levels: dict[str, int] = field(default_factory=dict)

    def __call__(self, step: Step) -> TokenTimes:
        """Runs on whatever simulator takes the steps."""
        shape, weights = random_model(1, **self.shape)
        blocks = integer_weights(weights, self.block_format)
        chips = range(self.config.chips)
        images = [compile_model(shape, blocks, self.config, self.context, chip) for chip in chips]
        storages = token_memories(self.config, images)
        token = Packer(PromptToken()).pack
        if self.position:
            self._load(step, [[self._next()] for _ in chips])
            passed = [token({"token": 0, "first": place == 0}) for place in range(self.position)]
            step(Play([Source("prompt", passed)], limit=100 + 20 * self.position))
        self._load(step, [image.program for image in images])
        embed = Packer(Descriptor(self.config)).field(images[0].program[0], "times")
        times = TokenTimes(-1, [], embed)
        for number, given in enumerate(self.tokens):
            first = self.position + number == 0
            outcome: Outcome = step(
                Play(
                    [Source("prompt", [token({"token": given, "first": first, "last": 1})])],
                    [Sink("tokens", 1)],
                    storages,
                    {"counting": 1, "running": 1, "generate": 1, **self.levels},
                    limit=self.limit,
                )
            )
            if times.start < 0:
                times.start = outcome.start
            times.cycles.append(outcome.cycles)
        names = system_counter_names(self.config)
        counts = read_counters(step, names)
        times.blocks, times.events = split_counters(counts, sum(times.cycles))
        return times

    def _next(self) -> int:
        """The step that ends a token."""
        return Packer(Descriptor(self.config)).pack({"operation": Operation.NEXT})

    def _load(self, step: Step, programs: list[list[int]]) -> None:
        """A program each chip."""
        several = self.config.chips > 1
        pack = Packer((ChipProgramWrite if several else ProgramWrite)(self.config)).pack
        writes = [
            pack({"address": place, "descriptor": bits} | ({"chip": chip} if several else {}))
            for chip, program in enumerate(programs)
            for place, bits in enumerate(program)
        ]
        step(Play([Source("program", writes)], levels=self.levels, limit=100 + 2 * len(writes)))
