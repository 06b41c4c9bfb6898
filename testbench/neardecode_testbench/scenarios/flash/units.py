"""Pages on their way through the controller, as their writes' answers and cycles show them."""

from dataclasses import dataclass, field

from neardecode_testbench.scenarios.flash.traffic import Command

__all__ = ["NEVER", "SLACK", "Timing", "Unit"]

NEVER = 1 << 62
SLACK = 160
"""Cycles by which an event inside may be later than what caused it: laps of the units, checks and
replacements between them, and the answers of other units."""


@dataclass(frozen=True)
class Timing:
    """The times of a channel, in cycles.

    Attributes:
        gather: How long a page may take to be written.
        program, erase: tPROG, tBERS.
    """

    gather: int
    program: int
    erase: int


@dataclass(eq=False, slots=True)
class Unit:
    """A page that gathers or is programmed.

    Attributes:
        page: Bank and logical row.
        place: The page within its block.
        accepted: When the command that opened it was accepted.
        first, last: The cycles between which it was opened.
        beats: Beats of a page.
        promised: A bit a beat that a command brought or will bring.
        arrived: For each beat that came its cycle and its word.
        commands: Those that joined, but for torn ones.
        torn: Those that joined and were torn.
        root: The unit whose failure was its end too.
        floor, cap: What else is known of when it ended.
        applied: Its end lies behind.
    """

    page: tuple[int, int]
    place: int
    accepted: int
    first: int
    last: int
    beats: int
    promised: int = 0
    arrived: dict[int, tuple[int, int]] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    torn: list[Command] = field(default_factory=list)
    root: "Unit | None" = None
    floor: int = -1
    cap: int = NEVER
    applied: bool = False

    @property
    def fate(self) -> tuple[int, int] | None:
        """How its commands ended; None while all of them were torn."""
        return (self.commands[0].status, self.commands[0].info) if self.commands else None

    @property
    def complete(self) -> int:
        """The cycle of its last beat."""
        if len(self.arrived) < self.beats:
            return NEVER
        return max(cycle for cycle, _ in self.arrived.values())

    def window(self, timing: Timing, halts: list[tuple[int, int]]) -> tuple[int, int]:
        """The cycles between which its fate was known."""
        if self.root is not None:
            return self.root.window(timing, halts)
        fate = self.fate
        low, high = self.first + timing.gather, self.last + timing.gather + SLACK
        if fate is not None:
            status = fate[0]
            answered = min(command.answered[0] for command in self.commands) - 1
            if status in (0, 7):
                low = self.complete
                if low != NEVER:
                    low += self.beats + timing.program + (self.place == 0) * timing.erase
                high = answered
            elif status == 8:
                low, high = self.complete, answered
            elif status == 9:
                low = NEVER
                high = answered
                for start, end in halts:
                    if end >= self.first:
                        low = max(start, self.first)
                        high = min(answered, max(start, self.last) + SLACK)
                        break
            else:
                high = min(answered, high)
        else:
            for start, end in halts:
                if end >= self.first and start <= high:
                    low = min(low, max(start, self.first))
        if low != NEVER:
            high = max(low, high) if fate is None else high
        return max(low, self.floor), min(high, self.cap)

    def freed(self, high: int, last_read: int) -> int:
        """The cycle by which it is out of use, given when its fate was known."""
        if high == NEVER:
            return NEVER
        commands = [*self.commands, *self.torn]
        arrived = max(command.arrived[-1] for command in commands)
        answered = max(command.answered[0] for command in commands)
        return min(max(high, arrived, last_read) + SLACK, max(answered, last_read, high) + SLACK)
