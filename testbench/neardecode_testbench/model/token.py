"""A token through the program: every unit's work laid out in time, step by step."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neardecode.config import BLOCK_ELEMENTS, Config, DecoderCause, Operation, Target
from neardecode_testbench.model.attention import HeadTimes, VaultAttention
from neardecode_testbench.model.channel import Channel
from neardecode_testbench.model.heads import Heads
from neardecode_testbench.model.path import ENGINE, block_times, follow, norm_times
from neardecode_testbench.model.prefetch import Prefetch, Tables
from neardecode_testbench.model.program import Matrix, Program, Step
from neardecode_testbench.model.rows import Appenders
from neardecode_testbench.model.vault import Vault

__all__ = ["TokenCost", "TokenWalk"]

FETCH = 2
"""Cycles from a descriptor that is done to the next."""
WRITTEN = 3
"""Cycles from a result that is taken to when its word can be read, and to the matrix's end."""
CHOSEN = 1
"""Cycles from the last logit to the token."""
STORE = 1
"""Cycles from a block to its place among the activations."""
SENT = 1
"""Cycles from a block's place to the slices."""


@dataclass
class TokenCost:
    """What a token took.

    Attributes:
        cycles: From its offer to the token that was found.
        causes: Of them, by where they went, named as `DecoderCause`.
        memory: Of those that are busy, the ones in which slices waited for their flash.
    """

    cycles: float = 0
    causes: dict[str, float] = field(default_factory=dict)
    memory: float = 0

    def add(self, cause: DecoderCause, cycles: int) -> None:
        """Cycles of a cause."""
        name = cause.name.lower()
        self.causes[name] = self.causes.get(name, 0) + cycles

    def plus(self, other: "TokenCost", times: float = 1) -> "TokenCost":
        """This and another one so many times."""
        causes = {
            name: self.causes.get(name, 0) + times * other.causes.get(name, 0)
            for name in {**self.causes, **other.causes}
        }
        return TokenCost(
            self.cycles + times * other.cycles, causes, self.memory + times * other.memory
        )


class TokenWalk:
    """One chip, token after token.

    A step begins when the units that it needs are free, and is followed by the next in two cycles;
    what each unit takes for its work is known from its own rules. Times are cycles since reset.

    Args:
        program: What it runs.
        config: The chip's.
        start: When it is told to run, and the first token is offered.
        position: The first token's.
        alike: Of more than two vaults only the first and the last are walked through; those
            between are as the last.
    """

    def __init__(
        self,
        program: Program,
        config: Config,
        start: int = 0,
        position: int = 0,
        *,
        alike: bool = False,
    ):
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        self._program, self._config, self._decoder = program, config, decoder
        self._transfers = BLOCK_ELEMENTS // decoder.lanes
        attending = config.attending(decoder.group, decoder.head_elements)
        self._stack_vaults = stack.vaults
        walked = min(stack.vaults, 2) if alike else stack.vaults
        self.vaults = [Vault(stack, config.stack_cycles) for _ in range(walked)]
        self._tables = Tables(config, self.vaults[0])
        self._channel = Channel(config)
        self._prefetch = Prefetch(program, config, self._channel, self._tables, start)
        self._appenders = Appenders(config, program, self.vaults, stack.vaults, start)
        self._attention = [VaultAttention(attending, vault) for vault in self.vaults]
        self.now, self.position = start, position
        # When each unit is free, and whether the vector unit reads words until then.
        self._sent = self._gathered = self._path = self._attends = start
        self._reads_words = False
        # When each row of results may be read, and when blocks of activations are made.
        self._written = np.zeros(0, np.int64)
        self._written_first = 0
        self._blocks = np.zeros(0, np.int64)
        self._maker = DecoderCause.VECTOR
        self._heads: list[HeadTimes] = []
        self._attended_from = 0
        self._cost = TokenCost()
        self.layers: list[TokenCost] = []
        """Of the latest token: of each layer, the steps before the first with it, and of those
        behind the last."""

    def token(self, token: int) -> TokenCost:
        """Runs the program once, from the token's offer to the one that follows it."""
        self.layers = []
        layer, layer_begun = 0, self.now
        at = self.now + FETCH
        self._cost = TokenCost()
        for step in self._program.steps:
            if step.layer > layer:
                self._end_layer(at - layer_begun)
                layer, layer_begun = step.layer, at
            at = self._do(step, at, token)
        self._end_layer(at - layer_begun)
        self.now = at
        self.position += 1
        cost = TokenCost()
        for part in self.layers:
            cost = cost.plus(part)
        return cost

    def _end_layer(self, cycles: int) -> None:
        """What is of no other cause is the sequencer's."""
        cost = self._cost
        cost.cycles = cycles
        cost.add(DecoderCause.SEQUENCE, cycles - int(sum(cost.causes.values())))
        self.layers.append(cost)
        self._cost = TokenCost()

    def _do(self, step: Step, at: int, token: int) -> int:
        """A step that is looked at from a time on; returns when the next one is."""
        operation = step.operation
        if operation in (Operation.EMBED, Operation.TURNS):
            return self._table(step, token if operation is Operation.EMBED else self.position, at)
        if operation is Operation.NEXT:
            return max(at, self._gathered) + FETCH
        begun = max(at, self._earliest(step))
        if operation is Operation.MATRIX:
            assert step.matrix is not None
            self._matrix(step.matrix, begun)
        elif operation is Operation.NORM:
            self._norm(step, begun)
        elif operation is Operation.ATTEND:
            self._heads = [self._head(step, head) for head in range(step.count)]
            self._attended_from = begun + 1
        elif operation is Operation.QUERIES:
            self._queries(step, begun)
        else:
            self._read(step, begun)
        return begun + FETCH

    def _earliest(self, step: Step) -> int:
        """When the units that a step needs are free."""
        operation, matrix = step.operation, step.matrix
        times = [0]
        if operation in (Operation.MATRIX, Operation.NORM):
            times.append(self._gathered)
        if operation in (Operation.MATRIX, Operation.NORM, Operation.GATE, Operation.ATTEND):
            times.append(self._sent)
        over_words = matrix is not None and matrix.target is Target.WORDS
        over_sums = matrix is not None and matrix.target is Target.RESIDUAL
        if (
            matrix is None
            or (over_words and self._reads_words)
            or (over_sums and not self._reads_words)
        ):
            times.append(self._path)
        if operation is Operation.ATTEND:
            times += [self._attends, self._appenders.free]
        return max(times)

    def _table(self, step: Step, row: int, at: int) -> int:
        """A row that is waited for."""
        assert step.table is not None
        request, own = self._tables.request(step.table, row, at + 1)
        self._tables.vault.run(at + 1)
        self._tables.vault.urgent.append(request)
        words = self._tables.words(request, own, step.table.transfers)
        after = int(follow(words, request.taken + 1)[-1]) + FETCH
        self._tables.vault.run_out(request)
        self._cost.add(DecoderCause.TABLE, after - at)
        return after

    def _matrix(self, matrix: Matrix, begun: int) -> None:
        """Activations are sent, rows multiplied, results gathered."""
        blocks = matrix.blocks * matrix.times
        there = np.resize(self._blocks[: matrix.blocks] + STORE, blocks)
        sent = int(follow(there, begun + 1)[-1]) + SENT
        streamed = self._channel.multiply(matrix, sent + 1)
        chooses = matrix.target is Target.TOKEN
        self._sent = sent + 1
        self._gathered = int(streamed.gathered[-1]) + (CHOSEN if chooses else WRITTEN)
        self._written = streamed.gathered[: matrix.rows] + WRITTEN
        self._written_first = matrix.first
        self._prefetch.matrix_done(self._gathered)
        cost = self._cost
        cost.add(self._maker, sent - begun - blocks - SENT)
        cost.add(DecoderCause.ACTIVATIONS, blocks + SENT)
        cost.add(DecoderCause.BUSY, self._gathered - 1 - sent)
        cost.memory += streamed.waited

    def _results(self, step: Step, begun: int) -> NDArray[np.int64]:
        """When the transfers of results are read."""
        lanes, channels = self._decoder.lanes, self._config.flash.channels
        transfers = np.arange(step.first, step.first + step.count) - self._written_first
        rows = -(-((transfers + 1) * lanes) // channels) - 1
        known = len(self._written)
        written = np.where(rows < known, self._written[np.minimum(rows, known - 1)], self._gathered)
        return follow(written, begun + 1)

    def _norm(self, step: Step, begun: int) -> None:
        """The residual stream to activations."""
        weights = self._prefetch.weights()
        taken, self._blocks = norm_times(begun, step.count, weights, self._transfers)
        self._prefetch.weights_taken(taken)
        self._path, self._reads_words = int(self._blocks[-1]) + 1, False
        self._maker = DecoderCause.VECTOR

    def _read(self, step: Step, begun: int) -> None:
        """Results to rows of keys or values, or through the gate to activations."""
        operation = step.operation
        reads = self._results(step, begun)
        gates = operation is Operation.GATE
        blocks = block_times(reads, (1 + gates) * self._transfers, ENGINE[operation])
        if gates:
            self._blocks, self._path = blocks, int(blocks[-1]) + 1
            self._maker = DecoderCause.VECTOR
        else:
            self._path = self._appenders.append(step.page, self.position, blocks.tolist())
        self._reads_words = True

    def _head(self, step: Step, head: int) -> HeadTimes:
        """The command of a KV head."""
        region = self._program.kv_map.region_pages
        page = step.page + head // self._stack_vaults * 2 * region
        return HeadTimes(page, page + region, self.position + 1)

    def _queries(self, step: Step, begun: int) -> None:
        """Queries go to the vaults, and what their heads attended to comes back."""
        reads = self._results(step, begun)
        blocks = block_times(reads, self._transfers, ENGINE[step.operation])
        heads = Heads(self._attention, self._stack_vaults, self._decoder.group, self._transfers)
        self._path, self._attends, self._blocks = heads.run(
            self._heads, self._attended_from, blocks.tolist()
        )
        self._reads_words, self._maker = True, DecoderCause.ATTENTION
