"""What the host may find in the flash, page by page, and between which cycles it changed."""

from neardecode.config import Flash

__all__ = ["CHANNEL", "ERASED", "LOST", "RETIRED", "Contents"]


class _Kind:
    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return self._name


ERASED = _Kind("erased")
"""Nothing but ones."""
LOST = _Kind("lost")
"""Garbage, that the code cannot correct."""
RETIRED = _Kind("retired")
"""Not to be had any more."""
Content = _Kind | list[int]
BLOCK, BANK, DIE, CHANNEL = 1, 2, 3, 4


class Contents:
    """The pages of a channel, all of them erased to begin with.

    Args:
        config: The flash section, with ``host``.

    Attributes:
        some_retired: Something is retired.
    """

    def __init__(self, config: Flash):
        assert config.host is not None
        self._config, self._pages_a_block = config, config.host.pages_a_block
        self._pages: dict[tuple[int, int], Content] = {}
        self._changes: dict[tuple[int, int], list[tuple[int, int, Content]]] = {}
        self._retirements: list[tuple[tuple[int, int], int, int, int]] = []
        self._blocks: set[tuple[int, int]] = set()
        self._banks: set[int] = set()
        self.some_retired = False

    def change(self, page: tuple[int, int], low: int, high: int, content: Content) -> None:
        """A page holds something else from some cycle between two on."""
        self._changes.setdefault(page, []).append((low, high, content))

    def change_block(self, name: tuple[int, int], low: int, high: int, content: Content) -> None:
        """All pages of a block do."""
        bank, number = name
        for place in range(self._pages_a_block):
            self.change((bank, number * self._pages_a_block + place), low, high, content)

    def permitted(self, page: tuple[int, int], low: int, high: int) -> list[Content]:
        """What whoever looks between two cycles may find."""
        options = [self._pages.get(page, ERASED)]
        for begins, ends, content in self._changes.get(page, ()):
            if ends < low:
                options = [content]
            elif begins <= high:
                options.append(content)
        if self.is_retired(*self.block(page)):
            options.append(RETIRED)
        return options

    def block(self, page: tuple[int, int]) -> tuple[int, int]:
        """The block of a page."""
        return page[0], page[1] // self._pages_a_block

    def settle(self) -> None:
        """Whatever changed has changed by now."""
        for page, changes in self._changes.items():
            self._pages[page] = changes[-1][2]
        self._changes.clear()
        self._retirements = [(name, kind, -1, -1) for name, kind, _, _ in self._retirements]

    def saved(self) -> tuple:
        """What is known, while nothing is changing."""
        return list(self._retirements), set(self._blocks), set(self._banks), self.some_retired

    def restore(self, saved: tuple) -> None:
        """Goes back to what was saved."""
        retirements, blocks, banks, self.some_retired = saved
        self._retirements, self._blocks, self._banks = list(retirements), set(blocks), set(banks)
        self._changes.clear()

    def retire(
        self, name: tuple[int, int], told: int, low: int, high: int, limit: int
    ) -> int | None:
        """A block is retired, and the host was told so.

        Returns:
            What it should have been told, if that is something else.
        """
        self.some_retired = True
        lost = sum(bank == name[0] for bank, _ in self._blocks)
        bank_before = name[0] in self._banks
        if name not in self._blocks and not bank_before:
            if lost == limit:
                self._banks.add(name[0])
            self._blocks.add(name)
        kind = BLOCK
        if name[0] in self._banks:
            size = self._config.banks_a_die
            die = name[0] // size
            kind = BANK
            if all(bank in self._banks for bank in range(die * size, (die + 1) * size)):
                kind = DIE
            if len(self._banks) == self._config.banks:
                kind = CHANNEL
        self._retirements.append((name, kind, low, high))
        return None if kind == told else kind

    def covers(self, name: tuple[int, int], kind: int, other: tuple[int, int]) -> bool:
        """Whether a block is among what was retired with another one."""
        size = self._config.banks_a_die
        return (
            name == other
            or (kind >= BANK and name[0] == other[0])
            or (kind >= DIE and name[0] // size == other[0] // size)
            or kind == CHANNEL
        )

    def retired(self, bank: int, number: int, low: int, high: int) -> tuple[bool, bool]:
        """Whether a block is retired, and whether it may be, for whoever looks between cycles."""
        certain = possible = False
        for name, kind, begins, ends in self._retirements:
            if begins <= high and self.covers(name, kind, (bank, number)):
                possible = True
                certain = certain or ends < low
        return certain, possible

    def is_retired(self, bank: int, number: int) -> bool:
        """Whether a block is retired, in the end."""
        return any(
            self.covers(name, kind, (bank, number)) for name, kind, _, _ in self._retirements
        )

    def channel_told(self) -> set[tuple[int, int]]:
        """The answer that the first command to a channel that is retired gets."""
        return (
            {(8, CHANNEL)} if any(kind == CHANNEL for _, kind, _, _ in self._retirements) else set()
        )
