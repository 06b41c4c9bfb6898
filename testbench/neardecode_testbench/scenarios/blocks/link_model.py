"""A protected link in Python, cycle by cycle, with plain numbers that never wrap.

In every cycle each end makes a frame; it is with the other end ``latency + 3`` cycles later,
unless its bits were flipped on arrival, one cycle before it is checked.
"""

from collections import Counter, deque
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from neardecode.config import Protection

__all__ = ["EndLog", "LinkModel"]


@dataclass
class EndLog:
    """What an end of the model did."""

    sent: list[int] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    delivered: list[tuple[int, int]] = field(default_factory=list)
    causes: Counter = field(default_factory=Counter)
    events: Counter = field(default_factory=Counter)


@dataclass
class _Frame:
    sequence: int
    unit: int | None
    expected: int
    behind: bool
    released: int


class _End:
    """One end, one channel."""

    def __init__(self, protection: Protection, units: Sequence[int], stalls, out_stalls):
        self.protection = protection
        self.units = units
        self.stalls, self.out_stalls = stalls, out_stalls
        self.log = EndLog()
        self.offering = False
        # Sender. `oldest` is the far end's word for what it expects.
        self.oldest = self.next_sent = self.furthest = 0
        self.released = 0
        self.settling = 0
        self.chosen: tuple[int, int | None] = (0, None)
        # Receiver.
        self.expected = self.due = self.waited = self.left = 0
        self.behind = self.was_overdue = False
        self.history: deque[int] = deque(maxlen=protection.period)
        self.buffer: deque[tuple[int, int, int]] = deque()
        self.standing = False

    def frame(self) -> _Frame:
        sequence, unit = self.chosen
        return _Frame(sequence, unit, self.expected, self.behind, self.left)

    def cycle(self, cycle: int, running: bool, frame: _Frame | None) -> None:
        """One clock cycle; ``frame`` is what was received, or None if it was damaged."""
        if running and frame is None:
            self.log.events["ERRORS"] += 1
        self._give(cycle)
        self._receive(cycle, frame)
        self._send(cycle, running, frame)

    def _send(self, cycle: int, running: bool, frame: _Frame | None) -> None:
        log, protection = self.log, self.protection
        taken = len(log.sent)
        stalled = self.stalls is not None and self.stalls[cycle % len(self.stalls)]
        if not self.offering and taken < len(self.units):
            self.offering = not stalled
        room = taken - self.released < protection.buffer_units
        window = taken - self.oldest < protection.window
        takes = running and self.offering and room and window
        last = taken + takes
        sends = self.next_sent < last
        replays = frame is not None and frame.behind and self.settling == 0
        if sends and self.next_sent == self.furthest:
            cause = "BUSY"
        elif sends:
            cause = "REPLAY"
        elif not running:
            cause = "TRAINING"
        elif self.offering and room:
            cause = "WINDOW"
        else:
            cause = "CREDIT" if self.offering else "IDLE"
        log.causes[cause] += 1
        log.events["REPLAYS"] += replays
        if takes:
            log.sent.append(cycle)
            self.offering = False
        self.chosen = (self.next_sent, self.units[self.next_sent] if sends else None)
        after = self.next_sent + sends
        self.furthest = max(self.furthest, after)
        self.next_sent = after
        self.settling = max(self.settling - 1, 0)
        if frame is not None:
            self.oldest, self.released = frame.expected, frame.released
            self.next_sent = frame.expected if replays else after
        if replays:
            self.settling = 2 * protection.latency + 8

    def _receive(self, cycle: int, frame: _Frame | None) -> None:
        protection, events = self.protection, self.log.events
        due = self.due
        accepts = False
        if frame is not None:
            duplicate = frame.unit is not None and frame.sequence < self.expected
            accepts = frame.unit is not None and frame.sequence == self.expected
            events["DUPLICATES"] += duplicate
            self.behind = frame.sequence > self.expected
            if not duplicate:
                due = max(due, frame.sequence + (frame.unit is not None) - self.expected)
        overdue = self.waited == protection.timeout
        substitutes = (
            protection.policy == "substitute"
            and overdue
            and not accepts
            and self.due > 0
            and len(self.history) == protection.period
        )
        if protection.policy == "retry":
            events["TIMEOUTS"] += overdue
        else:
            events["TIMEOUTS"] += overdue and not self.was_overdue
        self.was_overdue = overdue
        events["SUBSTITUTES"] += substitutes
        if accepts or substitutes:
            unit = self.history[0] if substitutes else frame.unit  # pyright: ignore
            self.history.append(unit)  # pyright: ignore
            self.buffer.append((cycle + 2, unit, int(substitutes)))  # pyright: ignore
        valid = accepts or substitutes
        if accepts or due == valid or (overdue and protection.policy == "retry"):
            self.waited = 0
        elif not overdue:
            self.waited += 1
        self.expected += valid
        self.due = due - valid

    def _give(self, cycle: int) -> None:
        if not self.buffer or self.buffer[0][0] > cycle:
            return
        if not self.standing:
            self.log.offered.append(cycle)
            self.standing = True
        if self.out_stalls is None or not self.out_stalls[cycle % len(self.out_stalls)]:
            _, unit, substitute = self.buffer.popleft()
            self.log.taken.append(cycle)
            self.log.delivered.append((unit, substitute))
            self.standing = False
            # Counted from the next cycle on: this cycle's frame was made before.
            self.left += 1


class LinkModel:
    """Two ends and the lanes between them.

    Args:
        protection: The link; one channel.
        units: For each end what it sends.
        stalls: For each end the stalls of its source and of its sink.
        hits: For each end the cycles in which what it sent is damaged on arrival.
        training_cycles: Cycles until frames count.
    """

    def __init__(
        self,
        protection: Protection,
        units: Sequence[Sequence[int]],
        stalls: Sequence[tuple[np.ndarray | None, np.ndarray | None]],
        hits: Sequence[Set[int]],
        training_cycles: int,
    ):
        self._ends = [
            _End(protection, mine, *held) for mine, held in zip(units, stalls, strict=True)
        ]
        self._hits = hits
        self._training = training_cycles
        self._delay = protection.latency + 3
        self._frames: list[list[_Frame]] = [[], []]
        self._cycle = 0

    def run(self, cycles: int) -> list[EndLog]:
        """Goes on for so many cycles and gives what each end did since reset."""
        for cycle in range(self._cycle, self._cycle + cycles):
            running = cycle >= self._training
            for end, frames in zip(self._ends, self._frames, strict=True):
                frames.append(end.frame())
            for index, end in enumerate(self._ends):
                sender = 1 - index
                frame = None
                if running and cycle - 2 not in self._hits[sender]:
                    frame = self._frames[sender][cycle - self._delay]
                end.cycle(cycle, running, frame)
        self._cycle += cycles
        return [end.log for end in self._ends]
