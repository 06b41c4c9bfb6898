"""One chip: what each step of its program finds there, and when its units are free again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neardecode.config import BLOCK_ELEMENTS, Config, DecoderCause, Operation, Target
from neardecode_testbench.model.attention import HeadTimes, VaultAttention
from neardecode_testbench.model.channel import Channel
from neardecode_testbench.model.flash_reads import FlashReads
from neardecode_testbench.model.heads import Heads
from neardecode_testbench.model.path import ENGINE, block_times, follow, norm_times
from neardecode_testbench.model.prefetch import Prefetch, Tables
from neardecode_testbench.model.program import Matrix, Program, Step
from neardecode_testbench.model.rows import Appenders
from neardecode_testbench.model.vault import Vault

__all__ = ["FETCH", "Chip", "TokenCost"]

LONG_AGO = -(1 << 60)
FETCH = 2
"""Cycles from a descriptor that is done to the next."""
WRITTEN = 3
"""Cycles from a result that is taken to when its word can be read, and to the matrix's end."""
CHOSEN = 1
"""Cycles from the last logit to the token."""
COMPARED = 2
"""Cycles from the last chip's largest logit to the exchange's end."""
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
        exchanges: Of all, those in which it waited for other chips: exchanges, and in attention
            what heads wait for each other.
    """

    cycles: float = 0
    causes: dict[str, float] = field(default_factory=dict)
    memory: float = 0
    exchanges: float = 0

    def add(self, cause: DecoderCause, cycles: int) -> None:
        """Cycles of a cause."""
        name = cause.name.lower()
        self.causes[name] = self.causes.get(name, 0) + cycles

    def ended(self, cycles: int) -> "TokenCost":
        """This of so many cycles: what is of no other cause is the sequencer's."""
        causes = dict(self.causes)
        rest = cycles - sum(causes.values())
        causes["sequence"] = causes.get("sequence", 0) + rest
        return TokenCost(cycles, causes, self.memory, self.exchanges)

    def plus(self, other: "TokenCost", times: float = 1) -> "TokenCost":
        """This and another one so many times."""
        causes = {
            name: self.causes.get(name, 0) + times * other.causes.get(name, 0)
            for name in {**self.causes, **other.causes}
        }
        return TokenCost(
            self.cycles + times * other.cycles,
            causes,
            self.memory + times * other.memory,
            self.exchanges + times * other.exchanges,
        )


class Chip:
    """One chip, step after step.

    A step begins when the units that it needs are free, and is followed by the next in two cycles;
    what each unit takes for its work is known from its own rules. Times are cycles since reset.

    Args:
        number: Which of the configuration's chips.
        program: What it runs.
        config: The chip's.
        start: When it is told to run.
        alike: Of more than two vaults only the first and the last are walked through; those
            between are as the last.
    """

    def __init__(
        self, number: int, program: Program, config: Config, start: int, *, alike: bool = False
    ):
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        self.number, self.program, self._config, self._decoder = number, program, config, decoder
        self._shares = config.context_chips > 1
        self._transfers = BLOCK_ELEMENTS // decoder.lanes
        attending = config.attending(decoder.group, decoder.head_elements)
        self._stack_vaults = stack.vaults
        walked = min(stack.vaults, 2) if alike else stack.vaults
        self.vaults = [Vault(stack, config.stack_cycles) for _ in range(walked)]
        self._tables = Tables(config, self.vaults[0])
        self._channel = Channel(config)
        self._prefetch = Prefetch(program, config, self._channel, self._tables, start)
        self._appenders = Appenders(config, program, self.vaults, stack.vaults, start)
        in_flash = config.kv.placement == "flash"
        memories = [FlashReads(config) for _ in self.vaults] if in_flash else self.vaults
        self._attention = [VaultAttention(attending, memory) for memory in memories]
        # When each unit is free, and whether the vector unit reads words until then.
        self._sent = self._gathered = self._path = self._attends = self._exchanged = start
        self._reads_words = False
        # When each row of results may be read, and when blocks of activations are made.
        self._written = np.zeros(0, np.int64)
        self._written_first = 0
        self._blocks = np.zeros(0, np.int64)
        self._maker = DecoderCause.VECTOR
        # Words that all chips have: when each transfer may be read; None of a chip's own.
        self._shared: NDArray[np.int64] | None = None
        self._heads: list[HeadTimes] = []
        self._attended_from = self._told = 0
        self._attends_free = LONG_AGO
        self.cost = TokenCost()

    def do(self, step: Step, at: int, token: int, position: int) -> int:
        """A step that no other chip has part in.

        Args:
            step: Neither QUERIES nor EXCHANGE.
            at: When it is looked at.
            token: The token's number.
            position: The token's.

        Returns:
            When the next step is looked at.
        """
        operation = step.operation
        if operation in (Operation.EMBED, Operation.TURNS):
            return self._table(step, token if operation is Operation.EMBED else position, at)
        if operation is Operation.NEXT:
            return max(at, self._gathered, self._exchanged) + FETCH
        begun = max(at, self._earliest(step))
        if operation is Operation.MATRIX:
            assert step.matrix is not None
            self._matrix(step.matrix, begun)
        elif operation is Operation.NORM:
            self._norm(step, begun)
        elif operation is Operation.ATTEND:
            rows = self._rows(position)
            self._heads = [self._head(step, head, rows) for head in range(step.count)]
            self._attended_from, self._told = begun + 1, max(begun + 1, self._exchanged)
        elif operation is Operation.GATE or self._owns(position):
            self._read(step, begun, position)
        return begun + FETCH

    def _owns(self, position: int) -> bool:
        """Whether a token's keys and values are this chip's."""
        return not self._shares or position % self._config.chips == self.number

    def _rows(self, position: int) -> int:
        """Tokens that this chip has up to one."""
        before, turn = divmod(position, self._config.context_chips)
        return before + (not self._shares or self.number <= turn)

    def _earliest(self, step: Step) -> int:
        """When the units that a step needs are free."""
        operation = step.operation
        target = step.target if step.matrix is None else step.matrix.target
        times = [0]
        multiplies, exchanges = operation is Operation.MATRIX, operation is Operation.EXCHANGE
        if multiplies or operation is Operation.NORM:
            times += [self._gathered, self._exchanged, self._sent]
        if exchanges:
            times.append(self._exchanged)
        if operation in (Operation.GATE, Operation.ATTEND):
            times.append(self._sent)
        over_words = target is Target.WORDS and self._reads_words
        over_sums = target is Target.RESIDUAL and not self._reads_words
        if not (multiplies or exchanges) or over_words or over_sums:
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
        self.cost.add(DecoderCause.TABLE, after - at)
        return after

    def _matrix(self, matrix: Matrix, begun: int) -> None:
        """Activations are sent, rows multiplied, results gathered."""
        blocks = matrix.blocks * matrix.times
        own = self._blocks[matrix.block : matrix.block + matrix.blocks]
        there = np.resize(own + STORE, blocks)
        sent = int(follow(there, begun + 1)[-1]) + SENT
        streamed = self._channel.multiply(matrix, sent + 1)
        chooses = matrix.target is Target.TOKEN
        self._sent = sent + 1
        self._gathered = int(streamed.gathered[-1]) + (CHOSEN if chooses else WRITTEN)
        self._written = streamed.gathered[: matrix.rows] + WRITTEN
        self._written_first = matrix.first
        if matrix.target is Target.WORDS:
            self._shared = None
        self._prefetch.matrix_done(self._gathered)
        cost = self.cost
        cost.add(self._maker, sent - begun - blocks - SENT)
        cost.add(DecoderCause.ACTIVATIONS, blocks + SENT)
        cost.add(DecoderCause.BUSY, self._gathered - 1 - sent)
        cost.memory += streamed.waited

    def _results(self, step: Step, begun: int) -> NDArray[np.int64]:
        """When the transfers of results are read."""
        transfers = np.arange(step.first, step.first + step.count)
        if self._shared is None:
            return follow(self._there(transfers - self._written_first), begun + 1)
        return follow(self._shared[transfers], begun + 1)

    def _there(self, transfers: NDArray[np.int64]) -> NDArray[np.int64]:
        """When transfers of the latest matrix's results may be read."""
        lanes, channels = self._decoder.lanes, self._config.flash.channels
        rows = -(-((transfers + 1) * lanes) // channels) - 1
        known = len(self._written)
        return np.where(rows < known, self._written[np.minimum(rows, known - 1)], self._gathered)

    def offer(self, step: Step, at: int) -> tuple[NDArray[np.int64], int]:
        """When this chip gives each transfer of an exchange, and when the next step is looked at.

        A chip gives zeros for what others have. A transfer is read once it is there and given a
        cycle later; the first of them waits until the tree was told of the message.
        """
        begun = max(at, self._earliest(step))
        chips = self._config.chips
        transfers = np.arange(step.count)
        if step.target is Target.TOKEN:
            there = np.full(step.count, self._gathered)
        elif step.gathers:
            own = transfers % chips == self.number
            there = np.where(own, self._there(transfers // chips), 0)
        else:
            there = self._there(transfers)
        told = max(begun + 1, int(there[0]), self._attends_free + 1)
        return follow(there, told + 1) + 1, begun + FETCH

    def exchanged(self, step: Step, results: NDArray[np.int64]) -> None:
        """An exchange's results come at these times."""
        chooses = step.target is Target.TOKEN
        self._exchanged = int(results[-1]) + (COMPARED if chooses else WRITTEN)
        if step.target is Target.WORDS:
            self._shared = results + WRITTEN
        waited = max(0, self._exchanged - self._gathered)
        self.cost.add(DecoderCause.EXCHANGE, waited)
        self.cost.exchanges += waited

    def _norm(self, step: Step, begun: int) -> None:
        """The residual stream to activations."""
        weights = self._prefetch.weights()
        taken, self._blocks = norm_times(begun, step.count, weights, self._transfers)
        self._prefetch.weights_taken(taken)
        self._path, self._reads_words = int(self._blocks[-1]) + 1, False
        self._maker = DecoderCause.VECTOR

    def _read(self, step: Step, begun: int, position: int) -> None:
        """Results to rows of keys or values, or through the gate to activations."""
        operation = step.operation
        reads = self._results(step, begun)
        gates = operation is Operation.GATE
        blocks = block_times(reads, (1 + gates) * self._transfers, ENGINE[operation])
        if gates:
            self._blocks, self._path = blocks, int(blocks[-1]) + 1
            self._maker = DecoderCause.VECTOR
        else:
            row = position // self._config.context_chips
            self._path = self._appenders.append(step.page, row, blocks.tolist())
        self._reads_words = True

    def _head(self, step: Step, head: int, rows: int) -> HeadTimes:
        """The command of a KV head."""
        region = self.program.kv_map.region_pages
        page = step.page + head // self._stack_vaults * 2 * region
        return HeadTimes(page, page + region, rows)

    def queries(self, step: Step, at: int, position: int) -> tuple[Heads, int]:
        """The heads that queries go to, and when the next step is looked at."""
        begun = max(at, self._earliest(step))
        blocks: list[int] = []
        if self._rows(position):
            reads = self._results(step, begun)
            blocks = block_times(reads, self._transfers, ENGINE[step.operation]).tolist()
        a_head = step.count // self._transfers // len(self._heads)
        heads = Heads(
            self._attention,
            self._stack_vaults,
            self._decoder.group,
            self._transfers,
            self._heads,
            self._attended_from,
            blocks,
            a_head,
        )
        return heads, begun + FETCH

    @property
    def told(self) -> int:
        """When its heads' parts may go to the other chips."""
        return self._told

    def attended(
        self, heads: Heads, blocks: NDArray[np.int64], free: Mapping[int, int] | None
    ) -> None:
        """What heads attended to comes at these times.

        Args:
            heads: The heads.
            blocks: When each block of activations is at the store.
            free: When each chip is done with messages of heads, where there are several.
        """
        if not heads.empty:
            self._path, self._attends = heads.left + 1, heads.commands_done
            self._reads_words = True
        if free is not None:
            self._attends_free = free[self.number]
            alone = heads.alone
            self.cost.exchanges += max(0, self._attends_free - max(alone, self._told))
        self._blocks, self._maker = blocks, DecoderCause.ATTENTION
