"""A flash channel and the slice behind it: when a matrix's rows are multiplied."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Config
from neardecode_testbench.model.pages import Pages
from neardecode_testbench.model.program import Matrix

__all__ = ["Channel", "Streamed"]

DOT = 4
"""Cycles from a row's last beat to its result, where scales are powers of two."""
LINK = 2
"""Cycles that a result takes beside the link's registers: router and reader's buffer."""
LONG_AGO = -(1 << 60)


@dataclass(frozen=True)
class Streamed:
    """A matrix went through.

    Attributes:
        gathered: When the last channel's result of each row is taken by the reader.
        ends: When the last beat was taken.
        waited: Cycles in which the slice had its activations and no beat.
    """

    gathered: NDArray[np.int64]
    ends: int
    waited: int


class Channel:
    """The pages of one matrix after another, asked for, sensed, moved and multiplied.

    All channels have the same pages in the same banks, so one stands for all of them.

    Args:
        config: The configuration.
    """

    def __init__(self, config: Config):
        self._config = config
        # A scale that is more than a power of two takes one stage more.
        mantissas = any(layout.format.scale_bytes > 1 for layout in config.weight_layouts)
        self._dot = DOT + mantissas
        self._beats = config.flash.page_beats
        self._pages = Pages(config)
        self._taken = LONG_AGO
        self._commands, self._commands_ahead = 0, config.compute.commands_ahead
        self._ends: list[int] = []

    @property
    def command_free(self) -> int | None:
        """When the slice takes the next command, if that is known."""
        pages = self._pages
        accepted = pages.accepted
        if pages.left > 1:
            return None
        if pages.left:
            # The last one is taken where runs are split into pages, in front of the queues.
            accepted = pages.last_free
        waits = self._commands - self._commands_ahead
        if waits >= len(self._ends):
            return None
        return max(accepted, self._ends[waits] + 1 if waits >= 0 else LONG_AGO)

    def command(self, matrix: Matrix, asked: int) -> None:
        """The slice takes a command."""
        self._commands += 1
        self._pages.ask(range(matrix.page, matrix.page + matrix.pages), asked + 1)

    def multiply(self, matrix: Matrix, fed: int) -> Streamed:
        """Streams the oldest matrix that was commanded, from when its activations are there."""
        last, waited = self._beats - 1, 0
        way = _ResultWay(self._config, matrix, self._dot)
        held = way.holds(matrix)
        ends = _page_ends(matrix)
        rows = []
        for number in range(matrix.pages):
            page, soonest = self._pages.reads.popleft()
            assert page.present is not None
            present = max(page.present, soonest)
            # A beat is read ahead into the output's register.
            first = max(present + 1, self._taken + 1)
            begins = max(first, fed)
            waited += max(0, first - max(fed, self._taken + 1))
            if held:
                self._taken = way.page(begins, ends[number], last)
            else:
                rows.append(begins + ends[number])
                self._taken = begins + last
            self._pages.served(page, max(page.present + last, self._taken - 1))
        self._ends.append(self._taken)
        gathered = way.held_up() if held else way.free(np.concatenate(rows))
        return Streamed(gathered, int(self._taken), waited)


def _page_ends(matrix: Matrix) -> list[NDArray[np.int64]]:
    """For each page the beats in which rows end."""
    layout = matrix.layout
    last_blocks = np.arange(1, matrix.longest + 1) * matrix.blocks - 1
    pages, places = np.divmod(last_blocks, layout.blocks)
    beats = layout.scale_beats + places // layout.blocks_a_beat
    return np.split(beats, np.searchsorted(pages, np.arange(1, matrix.pages)))


class _ResultWay:
    """Results of all channels through their links and the router to the one reader.

    All channels give theirs in the same cycles, and the reader takes one a cycle. A link has
    credits for some; without one the slice stands still.

    Args:
        config: The configuration.
        matrix: Whose results.
        dot: Cycles from a row's last beat to its result.
    """

    def __init__(self, config: Config, matrix: Matrix, dot: int):
        self._dot, self._latency = dot, config.fabric.link_latency
        self._credits = config.fabric.buffer_flits
        # How many channels have each row.
        self._counts = np.full(matrix.longest, config.flash.channels)
        if matrix.extra:
            self._counts[-1] = matrix.extra
        self._pending: deque[int] = deque()
        self._gathered: list[int] = []

    def holds(self, matrix: Matrix) -> bool:
        """Whether rows are so short that results come faster than reader or link takes them."""
        channels, there_and_back = int(self._counts[0]), 2 * self._latency + 2
        beat = matrix.layout.blocks_a_beat
        return (
            matrix.blocks < channels * beat or matrix.blocks * self._credits < there_and_back * beat
        )

    def page(self, begins: int, ends: NDArray[np.int64], last: int) -> int:
        """A page whose beats are held up by results that wait.

        Args:
            begins: When its first beat may be taken.
            ends: Beats in which rows end.
            last: Its last beat.

        Returns:
            When its last beat is taken.
        """
        pending = self._pending
        while pending and pending[0] <= begins:
            begins = max(begins, self._leave()[1])
        for end in ends.tolist():
            begins = self._hold(begins, end)
            pending.append(begins + end + self._dot)
        return self._hold(begins, last) + last

    def _hold(self, begins: int, beat: int) -> int:
        """When the page would have begun, so that a beat is taken behind what holds it up."""
        while self._pending and self._pending[0] <= begins + beat:
            result, left = self._leave()
            begins += left - result
        return begins

    def _leave(self) -> tuple[int, int]:
        """The oldest result is there, and leaves."""
        result, number = self._pending.popleft(), len(self._gathered)
        left = result
        if number >= self._credits:
            crossed = self._gathered[number - self._credits] - int(self._counts[0])
            left = max(left, crossed + self._latency + 1)
        if left > result:
            for place in range(len(self._pending)):
                self._pending[place] += left - result
        count = int(self._counts[number])
        arrives = left + self._latency + LINK
        before = self._gathered[-1] if self._gathered else LONG_AGO
        self._gathered.append(max(arrives + count - 1, before + count))
        return result, left

    def held_up(self) -> NDArray[np.int64]:
        """When the last channel's result of each row is taken."""
        while self._pending:
            self._leave()
        return np.asarray(self._gathered, np.int64)

    def free(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same, of rows whose last beats are taken at these times and hold nothing up."""
        steps = np.cumsum(self._counts)
        arrives = rows + self._dot + self._latency + LINK + self._counts - 1
        return np.maximum.accumulate(arrives - steps) + steps
