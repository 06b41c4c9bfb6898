"""Pages on their way through the controller."""

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
        opened: When its first command was checked.
        beats: Beats of a page.
        promised: A bit a beat that a command brought or will bring.
        arrived: For each beat that came its cycle and its word.
        commands: Those that joined, but for torn ones.
        torn: Those that joined and were torn.
        begun: When a bank began to work for it.
        failed: When its program failed.
        ended: When its fate was known.
        fate: It, as status and information.
    """

    page: tuple[int, int]
    place: int
    opened: int
    beats: int
    promised: int = 0
    arrived: dict[int, tuple[int, int]] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    torn: list[Command] = field(default_factory=list)
    begun: int = NEVER
    failed: int = NEVER
    ended: int = NEVER
    fate: tuple[int, int] | None = None

    @property
    def accepted(self) -> int:
        """When the command that opened it was accepted."""
        return min(command.accepted for command in (*self.commands, *self.torn))

    @property
    def complete(self) -> int:
        """The cycle of its last beat."""
        if len(self.arrived) < self.beats:
            return NEVER
        return max(cycle for cycle, _ in self.arrived.values())

    def freed(self, last_read: int) -> int:
        """The cycle by which it is out of use, given when the last reader of it was answered."""
        commands = [*self.commands, *self.torn]
        arrived = max(command.arrived[-1] for command in commands)
        return max(self.ended, arrived, last_read) + SLACK
