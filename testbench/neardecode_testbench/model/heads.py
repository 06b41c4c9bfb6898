"""The heads of a layer: commands and queries to all vaults, and the blocks that come back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.model.attention import HeadTimes, VaultAttention

__all__ = ["Heads"]

LONG_AGO = -(1 << 60)


class Heads:
    """KV head h belongs to vault ``h % vaults``; all vaults go on cycle by cycle together.

    Args:
        units: The attention units of the vaults that are walked through: of all, or of the first
            and the last.
        vaults: How many vaults there are.
        group: Query heads of a KV head.
        transfers: Transfers of the vector unit a block.
    """

    def __init__(self, units: Sequence[VaultAttention], vaults: int, group: int, transfers: int):
        self._units, self._vaults = units, vaults
        self._group, self._transfers = group, transfers

    def _unit(self, head: int) -> VaultAttention | None:
        """Whose a head is, or None where its vault is not walked through."""
        vault = head % self._vaults
        if len(self._units) == self._vaults:
            return self._units[vault]
        return {0: self._units[0], self._vaults - 1: self._units[-1]}.get(vault)

    def run(
        self, heads: list[HeadTimes], known: int, blocks: list[int]
    ) -> tuple[int, int, NDArray[np.int64]]:
        """All heads of a layer.

        Args:
            heads: In order.
            known: When the first command is offered.
            blocks: When the vector unit would have each block of queries, if all were taken.

        Returns:
            When the vector unit is free, when all commands are given, and when each block of
            activations is at the store.
        """
        units = self._units
        a_head = len(blocks) // len(heads)
        given, sent, left, commands_done = 0, 0, LONG_AGO, 0
        offered, now = blocks[0], known
        walked = [head for number, head in enumerate(heads) if self._unit(number) is not None]
        for unit in units:
            unit.vault.run(known)
        self._offer(heads, 0, known)
        while given < len(heads) or sent < len(blocks) or any(not head.blocks for head in walked):
            changed = False
            for unit in units:
                unit.changed = unit.vault.changed = False
                unit.offer(now)
                unit.vault.tick(now)
                unit.after(now)
                changed |= unit.changed or unit.vault.changed
            if given < len(heads) and heads[given].taken == now:
                given, commands_done, changed = given + 1, now + 1, True
                self._offer(heads, given, now + 1)
            if sent < len(blocks) and offered <= now and self._has_room(heads, sent // a_head, now):
                left, sent, changed = now, sent + 1, True
                if sent % a_head == 0:
                    heads[sent // a_head - 1].queries = now
                if sent < len(blocks):
                    offered = max(blocks[sent], left + self._transfers)
            now += 1
            if not changed and all(unit.vault.waits_only for unit in units):
                waits = [unit.next_event(now - 1) for unit in units]
                waits += [unit.vault.next_event(now - 1) for unit in units]
                waits += [offered] if sent < len(blocks) and offered >= now else []
                waits += [head.taken for head in heads[given:] if head.taken is not None]
                now = max(now, min(waits))
        return left + 1, commands_done, self._blocks(heads, a_head)

    def _offer(self, heads: list[HeadTimes], number: int, now: int) -> None:
        """A head's command; a vault that is not walked takes it at once."""
        if number == len(heads):
            return
        unit = self._unit(number)
        if unit is None:
            heads[number].taken = now
        else:
            unit.attend(heads[number], now)

    def _has_room(self, heads: list[HeadTimes], number: int, now: int) -> bool:
        """Whether a head's queries are taken: those two before them in their vault are gone."""
        before = number - 2 * self._vaults
        if before < 0 or self._unit(before) is None:
            return True
        gone = heads[before].queries_gone
        return gone is not None and gone < now

    def _blocks(self, heads: list[HeadTimes], a_head: int) -> NDArray[np.int64]:
        """When each block of activations is at the store."""
        parts = a_head // self._group
        times = np.zeros(len(heads) * a_head, np.int64)
        last = self._vaults - 1
        for number, head in enumerate(heads):
            blocks = head.blocks
            if not blocks:
                # As the head of the last vault, in its own time.
                alike = heads[min(number - number % self._vaults + last, len(heads) - 1)]
                alike = alike if alike.blocks else heads[number - number % self._vaults]
                assert alike.queries is not None
                assert head.queries is not None
                blocks = [block - alike.queries + head.queries for block in alike.blocks]
            for part, block in enumerate(blocks):
                first = number * a_head + part
                times[first : first + a_head : parts] = block + np.arange(self._group)
        return times
