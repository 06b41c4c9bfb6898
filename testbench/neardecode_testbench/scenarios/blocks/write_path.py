"""Writes for a write path: a random host, and scripts."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from neardecode.config import Flash
from neardecode.flash.status import WriteStatus
from neardecode_testbench.drive.stimulus import Step
from neardecode_testbench.scenarios.blocks.edge import Recorder
from neardecode_testbench.scenarios.blocks.write_bench import STREAMS, WriteBench, WriteSettings
from neardecode_testbench.scenarios.blocks.write_model import Answer, Command, Page

__all__ = ["RandomHost", "RandomWrites", "WriteScript"]


class RandomHost:
    """A host that mostly writes pages, in pieces, and breaks every rule now and then.

    Args:
        bench: Where it writes.
        seed: Of what it does.
        pause: The share of times in which it stops for longer than the time limit.
    """

    def __init__(self, bench: WriteBench, seed: int, pause: float = 0.003):
        self.bench = bench
        self.random = random.Random(seed)
        self.pause = pause
        blocks = list(bench.model.blocks)
        self.blocks = self.random.sample(blocks, min(4, len(blocks)))
        self._sleeps = 0

    def __call__(self, cycles: int, halts: float = 0.0) -> None:
        """Writes for some cycles, with halts in a share of them."""
        bench = self.bench
        for _ in range(cycles):
            if self._sleeps:
                self._sleeps -= 1
            elif self.random.random() < self.pause:
                self._sleeps = self.random.randint(1, 2 * bench.settings.gather_cycles)
            bench.host_stalled = self._sleeps > 0 and self._sleeps % 2 == 1
            if self.random.random() < 0.01:
                bench.halt = int(self.random.random() < halts)
            if not bench.opens and not self._sleeps:
                command = self.command()
                if command is not None:
                    bench.write(command)
            bench.run(1)
        bench.halt = 0
        bench.host_stalled = False

    def command(self) -> Command | None:
        """The next command, or None while all entries are in use."""
        bench, config = self.bench, self.bench.config
        entries = bench.free_entries()
        if not entries:
            return None
        turn = self.random.random()
        gathering = [
            unit
            for unit in bench.model.units
            if unit.live and len(unit.promised) < config.page_beats
        ]
        refused = (0, 0)
        if turn < 0.75 and gathering:
            unit = self.random.choice(gathering)
            page = unit.page
            missing = set(range(config.page_beats)) - unit.promised
            first = self.random.choice(sorted(missing))
            beats = 1
            while first + beats in missing and self.random.random() < 0.8:
                beats += 1
        else:
            used = sum(unit.in_use for unit in bench.model.units)
            if used >= bench.limit and self.random.random() < 0.95:
                return None
            page = self._page(turn)
            first = self.random.choice((0, self.random.randrange(config.page_beats)))
            most = config.page_beats - first
            beats = self.random.choice((1, most, self.random.randint(1, most)))
            if turn > 0.97:
                refused = self.random.choice(
                    ((WriteStatus.INVALID_ADDRESS.value, 0), (WriteStatus.NOT_ENABLED.value, 5))
                )
        return self._fill(self.random.choice(entries), page, first, beats, refused)

    def _page(self, turn: float) -> Page:
        model = self.bench.model
        pages = model.pages_a_block
        block = self.random.choice(self.blocks)
        if turn > 0.95:
            return block[0], self.random.randrange(self.bench.config.pages_a_bank)
        page = model.blocks[block].next_page % pages if turn < 0.92 else 0
        return block[0], block[1] * pages + page

    def _fill(self, entry: int, page: Page, first: int, beats: int, refused) -> Command:
        sent = beats
        if self.random.random() < 0.02:
            sent = max(1, beats + self.random.choice((-1, 1, 3)))
        bits = 8 * self.bench.config.beat_bytes
        data = [self.random.getrandbits(bits) for _ in range(sent)]
        return Command(entry, page, first, beats, data, refused)


@dataclass(frozen=True)
class RandomWrites:
    """A script: a random host, and then an end.

    Attributes:
        seed: Of the host.
        cycles: How long it writes.
        halts: The share of them in which the device is halted.
    """

    seed: int
    cycles: int
    halts: float = 0.1

    def __call__(self, bench: WriteBench) -> tuple[int, list[tuple[int, Answer]]]:
        """Plays it; how many cycles it took, and the answers by entry."""
        RandomHost(bench, self.seed)(self.cycles, self.halts)
        bench.finish()
        return bench.cycle, [(command.entry, answer) for command, answer in bench.model.answers]


@dataclass
class WriteScript:
    """A scenario: what a script does with the bench around a write path.

    Attributes:
        config: The flash section.
        script: What happens.
        settings: How the surroundings behave.
        recorder: Watches the streams.
    """

    config: Flash
    script: Callable[[WriteBench], Any]
    settings: WriteSettings = field(default_factory=WriteSettings)
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> Any:
        """Plays it and returns what the script does."""
        return self.script(WriteBench(self.config, self.settings, step))
