"""The heads of a layer: commands and queries to all vaults, and the blocks that come back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.model.attention import HeadTimes, VaultAttention
from neardecode_testbench.model.sharing import SharedHead, SharedHeads

__all__ = ["Heads", "attend"]

LONG_AGO = -(1 << 60)


class Heads:
    """Those of a layer on one chip; KV head h belongs to vault ``h % vaults``.

    Args:
        units: The attention units of the vaults that are walked through: of all, or of the first
            and the last.
        vaults: How many vaults there are.
        group: Query heads of a KV head.
        transfers: Transfers of the vector unit a block.
        heads: In order.
        known: When the first command is offered.
        blocks: When the vector unit would have each block of queries, if all were taken; none of a
            chip that holds no token yet.
        count: Blocks of activations of a head.

    Attributes:
        left: When the last block of queries left the vector unit.
        commands_done: When all commands are given.
    """

    def __init__(
        self,
        units: Sequence[VaultAttention],
        vaults: int,
        group: int,
        transfers: int,
        heads: list[HeadTimes],
        known: int,
        blocks: list[int],
        count: int,
    ):
        self.units, self.heads, self.count = units, heads, count
        self._vaults, self._group, self._transfers = vaults, group, transfers
        self._known, self._blocks = known, blocks
        self.left, self.commands_done = LONG_AGO, 0
        self._given = self._sent = 0
        self.empty = not blocks
        self._offered = 0 if self.empty else blocks[0]
        self._walked = [each for number, each in enumerate(heads) if self.unit(number) is not None]

    def begin(self) -> int:
        """The cycle from which on it goes on cycle by cycle."""
        if self.empty:
            self._given = len(self.heads)
            return self._known
        for unit in self.units:
            unit.vault.run(self._known)
        self._offer(0, self._known)
        return self._known

    @property
    def done(self) -> bool:
        """Everything that follows is known."""
        if self.empty:
            return True
        return (
            self._given == len(self.heads)
            and self._sent == len(self._blocks)
            and all(head.blocks for head in self._walked)
        )

    def unit(self, head: int) -> VaultAttention | None:
        """Whose a head is, or None where its vault is not walked through."""
        vault = head % self._vaults
        if len(self.units) == self._vaults:
            return self.units[vault]
        return {0: self.units[0], self._vaults - 1: self.units[-1]}.get(vault)

    def tick(self, now: int) -> bool:
        """One cycle; whether anything happened in it."""
        if self.empty or now < self._known:
            return False
        changed = False
        for unit in self.units:
            unit.changed = unit.vault.changed = False
            unit.offer(now)
            unit.vault.tick(now)
            unit.after(now)
            changed |= unit.changed or unit.vault.changed
        given, heads, blocks = self._given, self.heads, self._blocks
        if given < len(heads) and heads[given].taken == now:
            self._given, self.commands_done, changed = given + 1, now + 1, True
            self._offer(given + 1, now + 1)
        sent = self._sent
        if sent < len(blocks) and self._offered <= now and self._has_room(sent // self.count, now):
            self.left, self._sent, changed = now, sent + 1, True
            if self._sent % self.count == 0:
                heads[sent // self.count].queries = now
            if self._sent < len(blocks):
                self._offered = max(blocks[self._sent], now + self._transfers)
        if len(self._walked) < len(heads):
            self._follow()
        return changed

    @property
    def waits_only(self) -> bool:
        """No vault has anything to do."""
        return self.empty or all(unit.vault.waits_only for unit in self.units)

    def next_event(self, now: int) -> int:
        """The next cycle behind this one in which something may happen of itself."""
        if self.empty:
            return 1 << 60
        if now < self._known:
            return self._known
        waits = [unit.next_event(now) for unit in self.units]
        waits += [unit.vault.next_event(now) for unit in self.units]
        if self._sent < len(self._blocks) and self._offered > now:
            waits.append(self._offered)
        waits += [head.taken for head in self.heads[self._given :] if head.taken is not None]
        return min(waits)

    def _offer(self, number: int, now: int) -> None:
        """A head's command; a vault that is not walked takes it at once."""
        if number == len(self.heads):
            return
        unit = self.unit(number)
        if unit is None:
            self.heads[number].taken = now
        else:
            unit.attend(self.heads[number], now)

    def _has_room(self, number: int, now: int) -> bool:
        """Whether a head's queries are taken: those two before them in their vault are gone."""
        before = number - 2 * self._vaults
        if before < 0 or self.unit(before) is None:
            return True
        gone = self.heads[before].queries_gone
        return gone is not None and gone < now

    @property
    def alone(self) -> int:
        """When the last head's sums would all have been taken, if no other chip had any."""
        if self.empty:
            return 0
        return max(head.sums for head in self._walked) + self.units[0].elements

    def _follow(self) -> None:
        """Parts of heads that are not walked: as the round's first has them, in their own time."""
        for number, head in enumerate(self.heads):
            first = self.heads[number - number % self._vaults]
            known = first.partial is not None and head.queries is not None
            if known and head.partial is None and self.unit(number) is None:
                assert first.queries is not None
                assert first.partial is not None
                assert head.queries is not None
                moved = head.queries - first.queries
                head.partial, head.sums = first.partial + moved, first.sums + moved

    def blocks(self, shared: Sequence[SharedHead], chip: int) -> NDArray[np.int64]:
        """When each block of activations is at the store."""
        parts = self.count // self._group
        times = np.zeros(len(self.heads) * self.count, np.int64)
        for number, head in enumerate(self.heads):
            blocks = shared[number].blocks[chip] if shared else head.blocks or self._as(number)
            for part, block in enumerate(blocks):
                first = number * self.count + part
                times[first : first + self.count : parts] = block + np.arange(self._group)
        return times

    def _as(self, number: int) -> list[int]:
        """Blocks of a head that is not walked: as of the last vault's, in its own time."""
        heads, last = self.heads, self._vaults - 1
        alike = heads[min(number - number % self._vaults + last, len(heads) - 1)]
        alike = alike if alike.blocks else heads[number - number % self._vaults]
        queries = heads[number].queries
        assert alike.queries is not None
        assert queries is not None
        return [block - alike.queries + queries for block in alike.blocks]


def attend(chips: Sequence[Heads], shared: SharedHeads | None) -> None:
    """All heads of a layer on all chips, cycle by cycle together.

    Args:
        chips: Each chip's heads.
        shared: What merges their parts; None of a single chip.
    """
    now = min(chip.begin() for chip in chips)
    while not all(chip.done for chip in chips) or (shared is not None and shared.busy):
        changed = False
        for chip in chips:
            changed |= chip.tick(now)
        if shared is not None:
            changed |= shared.merge()
        now += 1
        if not changed and all(chip.waits_only for chip in chips):
            now = max(now, min(chip.next_event(now - 1) for chip in chips))
