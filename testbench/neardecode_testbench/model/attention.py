"""Attention beside a memory: tiles of keys and values, softmax, and what leaves."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode_testbench.model.flash_reads import FlashReads
from neardecode_testbench.model.vault import PageRead, Vault

__all__ = ["HeadTimes", "VaultAttention"]

LONG_AGO = -(1 << 60)
FAR = 1 << 60
COMMANDS_AHEAD = 4
DOT = 4
"""Cycles from a row's last beat of MXINT8 to its score."""
SUMMARY = 1
"""Cycles from a tile's last score to its summary."""
RESCALE = 1
"""Cycles from a summary that is taken to the tile's rescale."""
PROBABILITY = 3
"""Cycles from a summary that is taken to the tile's first probability."""
SUM = 4
"""Cycles from a command's last beat of elements to its first sum."""
WORD = 4
"""Cycles from a sum to its word, through merge and finish."""
BLOCK = 2
"""Cycles from a block's last word to the block."""


@dataclass
class HeadTimes:
    """A head's command, and what came of it.

    Attributes:
        keys, values: First pages.
        rows: Tokens.
        taken: When its command was taken.
        queries: When its last query came to the store; None until then.
        queries_gone: When they went to the slice for the last time.
        partial: When its partial is there, and None until then.
        sums: When the first of its weighted sums is there.
        blocks: When the first query head's block of each part stands at the output; those of the
            others follow.
    """

    keys: int
    values: int
    rows: int
    taken: int | None = None
    queries: int | None = None
    queries_gone: int | None = None
    partial: int | None = None
    sums: int = 0
    blocks: list[int] = field(default_factory=list)


@dataclass
class _Tile:
    """A tile of keys or values: which of its command's, where, how much of it, and its times."""

    head: HeadTimes
    value: bool
    page: int
    pages: int
    rows: int
    closes: bool
    keys: "_Tile | None" = None
    pushed: int = 0
    open: int = 0
    fed: int | None = None
    summary: int | None = None
    start: int | None = None
    beat: int = 0
    last_beat: int = 0


class VaultAttention:
    """An attention unit behind its vault, or behind a flash channel, cycle by cycle.

    Args:
        config: Of slices that attend.
        vault: The memory.
    """

    def __init__(self, config: Config, vault: Vault | FlashReads):
        self.vault, self._shares = vault, config.context_chips > 1
        layout, compute = config.kv_layout, config.compute
        self._layout = layout
        self._row_beats = compute.head_elements // (BLOCK_ELEMENTS * layout.blocks_a_beat)
        self._tile_rows = config.vector.tile_rows
        self._tile_pages = self._tile_rows * self._row_beats // layout.element_beats
        self._parts = compute.head_elements // BLOCK_ELEMENTS
        self._vectors = compute.vectors
        self._query_blocks = compute.vectors * self._parts
        self.elements = compute.head_elements
        self._ahead = config.kv.tiles_ahead
        self.heads: list[HeadTimes] = []
        # The sequence of tiles.
        self.command: HeadTimes | None = None
        self._known = 0
        self._row = 0
        self._owed: _Tile | None = None
        self._following: _Tile | None = None
        self._serves = False
        self._asking: tuple[PageRead, _Tile] | None = None
        self._steps: deque[_Tile] = deque()
        # The slice.
        self._asks_until = LONG_AGO
        self._contexts: deque[_Tile] = deque()
        self._ended = LONG_AGO
        self._loads: deque[_Tile] = deque()
        self._load_end = LONG_AGO
        self._released_at = LONG_AGO
        self._loaded = self._released = 0
        # Softmax and what follows it.
        self._summaries: deque[_Tile] = deque()
        self._softmax_free: int | None = LONG_AGO
        self._sums_gone = self._merge_free = LONG_AGO
        self.changed = False

    def attend(self, head: HeadTimes, known: int) -> None:
        """A head's command is offered; it is taken before the next one is."""
        self.command, self._known = head, known
        self.heads.append(head)

    def offer(self, now: int) -> None:
        """Decides on a step and asks for its pages, in front of the vault's cycle."""
        if self._asking is not None:
            return
        known = self.command is not None and self._known <= now
        weighs = self._serves or (not known and self._owed is not None)
        if not weighs and not known:
            return
        if len(self._steps) >= self._ahead:
            return
        if weighs:
            tile, self._serves = self._owed, True
        else:
            tile = self._keys()
        assert tile is not None
        request = PageRead(tile.page, tile.pages, now, takes=self._takes)
        self.vault.attends.append(request)
        self._asking = request, tile
        self.changed = True

    def _keys(self) -> _Tile:
        """The next tile of keys."""
        head = self.command
        assert head is not None
        rows = min(head.rows - self._row, self._tile_rows)
        pages = -(-rows * self._row_beats // self._layout.element_beats)
        offset = self._row // self._tile_rows * self._tile_pages
        closes = self._row + rows == head.rows
        return self._tile(head, False, head.keys + offset, pages, rows, closes)

    def _tile(self, head, value, page, pages, rows, closes, keys=None) -> _Tile:
        layout = self._layout
        tile = _Tile(head, value, page, pages, rows, closes, keys)
        number, place = divmod(rows * self._row_beats - 1, layout.element_beats)
        tile.last_beat = number * layout.beats + layout.scale_beats + place
        return tile

    def after(self, now: int) -> None:
        """What else happens in a cycle, behind the vault's."""
        if self._asking is not None and self._asking[0].taken == now:
            self._move(now)
        if self._summaries and self._softmax_free is not None:
            tile = self._summaries[0]
            assert tile.summary is not None
            start = max(tile.summary, self._softmax_free)
            if start <= now:
                tile.start = start
                self._summaries.popleft()
                self._softmax_free = None
                self.changed = True
        self._command(now)
        self._load(now)

    def _move(self, now: int) -> None:
        """A step is decided on."""
        assert self._asking is not None
        tile = self._asking[1]
        self._asking = None
        self.changed = True
        tile.pushed = now
        self._steps.append(tile)
        if tile.value:
            self._serves = False
            self._owed, self._following = self._following, None
            return
        head = tile.head
        value = head.values + tile.page - head.keys
        values = self._tile(head, True, value, tile.pages, tile.rows, tile.closes, tile)
        if self._owed is None:
            self._owed = values
        else:
            self._serves, self._following = True, values
        if tile.closes:
            head.taken, self.command, self._row = now, None, 0
        else:
            self._row += self._tile_rows

    def _command(self, now: int) -> None:
        """The slice takes a step's command."""
        if not self._steps or self._steps[0].pushed >= now or now < self._asks_until:
            return
        held = len(self._contexts) + (self._ended == now)
        if held >= COMMANDS_AHEAD:
            return
        tile = self._steps[0]
        if tile.value:
            assert tile.keys is not None
            if tile.keys.start is None or tile.keys.start + RESCALE > now:
                return
        self._steps.popleft()
        self._asks_until = now + tile.pages
        tile.open = now + 1
        self._contexts.append(tile)
        if not tile.value:
            self._loads.append(tile)
        self.changed = True

    def _load(self, now: int) -> None:
        """The queries go to the slice for a tile of keys."""
        if not self._loads or now <= self._load_end:
            return
        tile = self._loads[0]
        queries = tile.head.queries
        if tile.open > now or queries is None or queries >= now:
            return
        if self._loaded - self._released + (self._released_at == now) >= 2:
            return
        self._loads.popleft()
        self._loaded += 1
        self._load_end = now + self._query_blocks - 1
        tile.fed = self._load_end + 1
        if tile.closes:
            tile.head.queries_gone = self._load_end
        self.changed = True

    def _takes(self, now: int) -> bool:
        """Whether the slice takes the beat that is offered."""
        if not self._contexts:
            return False
        tile = self._contexts[0]
        if tile.open > now or self._ended >= now:
            return False
        beat, layout = tile.beat, self._layout
        if tile.value:
            place = beat % layout.beats
            if place >= layout.scale_beats and beat <= tile.last_beat:
                assert tile.keys is not None
                start = tile.keys.start
                if start is None or start + PROBABILITY > now:
                    return False
                if beat == tile.last_beat and tile.closes and self._sums_gone >= now:
                    return False
        elif tile.fed is None or tile.fed > now:
            return False
        self.changed = True
        tile.beat += 1
        if tile.value:
            self._weighed(tile, beat, now)
        elif beat == tile.last_beat:
            tile.summary = now + DOT + SUMMARY
            self._summaries.append(tile)
        if tile.beat == tile.pages * layout.beats:
            self._contexts.popleft()
            self._ended = now
            if not tile.value:
                self._released += 1
                self._released_at = now
        return True

    def _weighed(self, tile: _Tile, beat: int, now: int) -> None:
        """What follows from a beat of values."""
        if beat != tile.last_beat:
            return
        if not tile.closes:
            self._softmax_free = now - self._row_beats
            return
        head = tile.head
        head.partial, head.sums = now + 1, now + SUM
        if self._shares:
            # They wait for the parts of other chips.
            self._softmax_free, self._sums_gone = None, FAR
            return
        merged = max(head.partial, self._merge_free)
        self._softmax_free = merged + 1
        head.blocks, self._sums_gone = self._finish(max(head.sums, merged + 2))
        self._merge_free = self._sums_gone + 1

    def merged(
        self, head: HeadTimes | None, results: NDArray[np.int64], taken: int, gone: int
    ) -> tuple[list[int], int]:
        """The sums over all chips come.

        Args:
            head: Where this chip has a part of it, its own.
            results: When the sum of weights and each weighted sum is back.
            taken: When the chip's partial was taken.
            gone: When the last of its sums was.

        Returns:
            As ``_finish``.
        """
        begun = max(int(results[0]), self._merge_free)
        blocks, ends = self._finish(max(int(results[1]), begun + 2))
        ends = max(ends, int(results[-1]))
        self._merge_free = ends + 1
        if head is not None:
            self._softmax_free, self._sums_gone = taken + 1, gone
            head.blocks = blocks
        self.changed = True
        return blocks, ends

    def _finish(self, first: int) -> tuple[list[int], int]:
        """The blocks of sums that come from a time on, and when the last of them is taken."""
        # While a part's blocks leave, a query head each cycle, the next part's words wait.
        step = BLOCK_ELEMENTS + self._vectors - 1
        blocks = [
            first + part * step + BLOCK_ELEMENTS - 1 + WORD + BLOCK for part in range(self._parts)
        ]
        return blocks, first + self.elements - 1 + (self._parts - 1) * (self._vectors - 1)

    def next_event(self, now: int) -> int:
        """The next cycle in which something may happen of itself."""
        times = [1 << 60]
        if self.command is not None:
            times.append(self._known)
        if self._contexts:
            tile = self._contexts[0]
            times += [tile.open, tile.fed or 0]
            if tile.keys is not None and tile.keys.start is not None:
                times.append(tile.keys.start + PROBABILITY)
            times.append(self._sums_gone + 1)
        if self._summaries and self._softmax_free is not None:
            times.append(max(self._summaries[0].summary or 0, self._softmax_free))
        if self._steps:
            tile = self._steps[0]
            times += [self._asks_until, tile.pushed + 1]
            if tile.keys is not None and tile.keys.start is not None:
                times.append(tile.keys.start + RESCALE)
        if self._loads:
            times += [self._load_end + 1, self._loads[0].open]
            if (queries := self._loads[0].head.queries) is not None:
                times.append(queries + 1)
        return min(time for time in times if time > now)
