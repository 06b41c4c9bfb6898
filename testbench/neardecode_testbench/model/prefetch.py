"""Weights asked for ahead of their use: the program, walked in front of the sequencer."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Config, Operation
from neardecode_testbench.model.channel import Channel
from neardecode_testbench.model.path import follow
from neardecode_testbench.model.program import Program, TableRows
from neardecode_testbench.model.vault import PageRead, Vault

__all__ = ["Prefetch", "Tables"]

TABLE = 1
"""Cycles from a beat of a table to its words."""
STEP = 2
"""Cycles of a descriptor."""


class Tables:
    """Rows of tables in the first vault.

    Args:
        config: The chip's.
        vault: The vault.
    """

    def __init__(self, config: Config, vault: Vault):
        decoder = config.decoder
        assert decoder is not None
        self.vault, self._beats = vault, config.flash.page_beats
        self.transfers_a_beat = config.flash.beat_bytes // 2 // decoder.lanes

    def request(self, table: TableRows, row: int, asked: int) -> tuple[PageRead, slice]:
        """What is asked for a row, and which of the beats are its own."""
        page, place = divmod(table.beat + row * table.stride, self._beats)
        needed = -(-table.transfers // self.transfers_a_beat)
        own = slice(place, place + needed)
        return PageRead(page, (own.stop - 1) // self._beats + 1, asked), own

    def words(self, request: PageRead, own: slice, transfers: int) -> NDArray[np.int64]:
        """When each transfer of a row is there."""
        while len(request.beats) < own.stop:
            self.vault.step(self.vault.now + 1)
        beats = np.asarray(request.beats[own], np.int64) + TABLE
        there = np.repeat(beats, self.transfers_a_beat)[:transfers]
        return follow(there, int(there[0]))


class Prefetch:
    """Gives the channel its commands and norms their weights, as far ahead as it may.

    Args:
        program: What it walks, round and round.
        config: The chip's.
        channel: The flash channel.
        tables: Of the first vault.
        start: When it is told to run.
    """

    def __init__(
        self, program: Program, config: Config, channel: Channel, tables: Tables, start: int
    ):
        decoder = config.decoder
        assert decoder is not None
        self._steps, self._window = program.steps, decoder.prefetch
        self._room = decoder.table_beats
        self._channel, self._tables = channel, tables
        self._place, self._free = 0, start + 1
        self._asked = self._reserved = 0
        self._done: list[int] = []
        self._freed: list[int] = []
        self._rows: deque[tuple[PageRead, slice, int]] = deque()
        self.walk()

    def matrix_done(self, now: int) -> None:
        """The matrix in work is done with."""
        self._done.append(now)
        self.walk()

    def weights(self) -> NDArray[np.int64]:
        """When each transfer of the next norm's weights is there."""
        return self._tables.words(*self._rows.popleft())

    def weights_taken(self, taken: NDArray[np.int64]) -> None:
        """When each transfer of them was taken."""
        slots = self._tables.transfers_a_beat
        ends = np.minimum(np.arange(slots, len(taken) + slots, slots), len(taken))
        self._freed += taken[ends - 1].tolist()
        self.walk()

    def walk(self) -> None:
        """Goes on as far as what it waits for is known."""
        while True:
            step, at = self._steps[self._place], self._free
            if step.matrix is not None:
                waits, free = self._asked - self._window, self._channel.command_free
                if free is None or waits >= len(self._done):
                    return
                at = max(at, free, self._done[waits] + 1 if waits >= 0 else 0)
                self._channel.command(step.matrix, at)
                self._asked += 1
            elif step.operation is Operation.NORM:
                table = step.table
                assert table is not None
                beats = -(-table.transfers // self._tables.transfers_a_beat)
                missing = self._reserved + beats - self._room
                if missing > len(self._freed):
                    return
                if missing > 0:
                    at = max(at, self._freed[missing - 1] + 1)
                self._reserved += beats
                request, own = self._tables.request(table, 0, at)
                self._rows.append((request, own, table.transfers))
                self._tables.vault.tables.append(request)
            self._place = 0 if step.operation is Operation.NEXT else self._place + 1
            self._free = at + STEP
