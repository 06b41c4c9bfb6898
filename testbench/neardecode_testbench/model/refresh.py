"""When a vault's DRAM is refreshed."""

from typing import TYPE_CHECKING, Protocol

from neardecode.config import Stack, StackCycles

if TYPE_CHECKING:
    from neardecode_testbench.model.vault import Vault

__all__ = ["Refresh", "refresh_of"]


class Refresh(Protocol):
    """Refresh of a vault.

    Attributes:
        drains: No row is to be opened.
    """

    drains: bool

    @property
    def blocked(self) -> int:
        """Banks kept from accesses, a bit each."""
        ...

    @property
    def urgent(self) -> bool:
        """It goes before accesses on the row bus."""
        ...

    def begin_cycle(self, now: int) -> None:
        """What it wants in a cycle, from what was known before it."""
        ...

    def end_cycle(self, vault: "Vault", now: int, wanted: int, given: bool) -> None:
        """Gives its command, if it may, and chooses what comes next."""
        ...

    def alone(self, vault: "Vault", now: int, until: int) -> None:
        """Cycles in which nothing is asked."""
        ...

    def next_event(self, vault: "Vault", now: int) -> int:
        """The next cycle after this one in which something may happen, while nothing is asked."""
        ...


def refresh_of(stack: Stack, cycles: StackCycles, start: int) -> Refresh:
    """The refresh that a configuration asks for, from a cycle on."""
    kind = _AllBanks if stack.refresh == "all-bank" else _ByBank
    return kind(stack, cycles, start)


class _Interval:
    """The cycles in which one more refresh is owed."""

    def __init__(self, cycles: StackCycles, start: int):
        self._interval = cycles.refi
        self.next = start + cycles.refi - 1

    def passes(self, now: int) -> bool:
        """Whether this is one of them."""
        if now < self.next:
            return False
        self.next += self._interval
        return True


class _ByBank:
    """Bank by bank, those that nothing wants first."""

    def __init__(self, stack: Stack, cycles: StackCycles, start: int):
        self._banks, self._groups = stack.banks, stack.bank_groups
        self._postponed, self._cycles = stack.postponed, cycles
        self._interval = _Interval(cycles, start)
        self._owed = [0] * self._banks
        self._some = 0
        self._target: int | None = None
        self._must = False
        self.drains = False

    @property
    def blocked(self) -> int:
        return 0 if self._target is None else 1 << self._target

    @property
    def urgent(self) -> bool:
        return self._target is not None and self._must

    def begin_cycle(self, now: int) -> None:
        self._must = self._some > 0 and max(self._owed) >= self._postponed

    def end_cycle(self, vault: "Vault", now: int, wanted: int, given: bool) -> None:
        due = self._interval.passes(now)
        target = self._target
        if target is None:
            if self._some:
                self._target = self._choose(vault, now, wanted)
        elif vault.open_rows[target] >= 0:
            if given and vault.to_precharge[target] <= now:
                vault.precharge(target, now)
        elif given and vault.to_activate[target] <= now and vault.window <= now:
            vault.refreshed(now, self._cycles.rfc_bank, [target], self._cycles.refresh_gap)
            self._owed[target] -= 1
            self._some -= 1
            self._target = None
        if due:
            self._owed = [owed + 1 for owed in self._owed]
            self._some += self._banks

    def _choose(self, vault: "Vault", now: int, wanted: int) -> int | None:
        """Backwards from just below the bank in use."""
        best = behind = None
        for bank in range(self._banks - 1, -1, -1):
            owed = self._owed[bank]
            if self._must:
                if owed < self._postponed:
                    continue
            elif not owed or wanted >> bank & 1 or vault.to_activate[bank] > now:
                continue
            if bank // self._groups < vault.last_bank:
                best = bank
                break
            if behind is None:
                behind = bank
        return behind if best is None else best

    def alone(self, vault: "Vault", now: int, until: int) -> None:
        while now < until:
            if not self._some and self._target is None:
                if self._interval.next >= until:
                    return
                now = max(now, self._interval.next)
            elif self._target is not None:
                # Nothing else moves: to the cycle in which it may go on.
                now = max(now, min(self._ready(vault), self._interval.next))
                if now >= until:
                    return
            self.begin_cycle(now)
            self.end_cycle(vault, now, 0, True)
            now += 1

    def next_event(self, vault: "Vault", now: int) -> int:
        if self._target is None:
            return now + 1 if self._some else max(now + 1, self._interval.next)
        return max(now + 1, min(self._ready(vault), self._interval.next))

    def _ready(self, vault: "Vault") -> int:
        """When its bank takes the command that is next."""
        assert self._target is not None
        if vault.open_rows[self._target] >= 0:
            return vault.to_precharge[self._target]
        return max(vault.to_activate[self._target], vault.window)


class _AllBanks:
    """All banks at once."""

    def __init__(self, stack: Stack, cycles: StackCycles, start: int):
        self._stack, self._cycles = stack, cycles
        self._interval = _Interval(cycles, start)
        self._owed = self._since = 0
        self._pays = False
        self.drains = False

    @property
    def blocked(self) -> int:
        return (1 << self._stack.banks) - 1 if self._pays else 0

    @property
    def urgent(self) -> bool:
        return self._pays

    def begin_cycle(self, now: int) -> None:
        self.drains = self._owed >= self._stack.postponed
        self._pays = self._since == self._cycles.ras

    def end_cycle(self, vault: "Vault", now: int, wanted: int, given: bool) -> None:
        due = self._interval.passes(now)
        pays = self._pays or (self._owed > 0 and not wanted)
        begins = False
        if pays:
            if any(row >= 0 for row in vault.open_rows):
                if (
                    max(
                        time
                        for time, row in zip(vault.to_precharge, vault.open_rows, strict=True)
                        if row >= 0
                    )
                    <= now
                ):
                    for bank, row in enumerate(vault.open_rows):
                        if row >= 0:
                            vault.precharge(bank, now)
            elif max(vault.to_activate) <= now:
                vault.refreshed(now, self._cycles.rfc, list(range(self._stack.banks)), 1)
                begins = True
        if not self.drains:
            self._since = 0
        elif self._since != self._cycles.ras:
            self._since += 1
        self._owed += due - begins

    def alone(self, vault: "Vault", now: int, until: int) -> None:
        while now < until:
            if not self._owed:
                if self._interval.next >= until:
                    return
                now = max(now, self._interval.next)
            self.begin_cycle(now)
            self.end_cycle(vault, now, 0, True)
            now += 1

    def next_event(self, vault: "Vault", now: int) -> int:
        return now + 1 if self._owed else max(now + 1, self._interval.next)
