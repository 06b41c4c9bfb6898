"""The cycle of everything that happens in a BCH decoder, by recurrences over its handshakes."""

from collections.abc import Sequence

import numpy as np

from neardecode.lib.bch import DecoderCause
from neardecode_testbench.scenarios.blocks.bch_codewords import Codeword, DecoderNumbers
from neardecode_testbench.scenarios.blocks.edge import open_from

__all__ = ["DecoderCycles"]


class _Engine:
    """An engine's next free cycles, and what is in its queues."""

    def __init__(self):
        self.key_free = self.search_free = 0
        self.verdicts_read: list[int] = []
        self.patches_popped: list[int] = []
        self.patches_used: list[int] = []


class DecoderCycles:
    """The cycle of everything that happens, codeword after codeword.

    Args:
        numbers: The decoder's.
        words: What it is given.
        i_stalls, o_stalls: The streams' patterns.
        start: The first cycle.

    Attributes:
        accepted: When each beat is taken at the input.
        freed: When each codeword's slot is given back.
        stands, taken: When each beat stands at the output, and leaves.
    """

    def __init__(
        self,
        numbers: DecoderNumbers,
        words: Sequence[Codeword],
        i_stalls: np.ndarray | None,
        o_stalls: np.ndarray | None,
        start: int,
    ):
        self._numbers = numbers
        self._o_stalls = o_stalls
        self.accepted: list[int] = []
        self.freed: list[int] = []
        self.stands: list[int] = []
        self.taken: list[int] = []
        self._engines = [_Engine() for _ in range(numbers.engines)]
        self._pops: list[int] = []
        # Cycles in which the output is at work.
        self._output: set[int] = set()
        self._offered: list[int] = []
        free = start
        for number, word in enumerate(words):
            for beat in range(numbers.code.beats):
                self._offered.append(open_from(free, i_stalls))
                cycle = self._offered[-1]
                if beat == 0 and number >= numbers.slots:
                    cycle = max(cycle, self.freed[number - numbers.slots] + 1)
                self.accepted.append(cycle)
                free = cycle + 1
            known = self.accepted[-1] + 3
            if word.clean:
                self._read(word, known, None)
            else:
                engine = self._engines[len(self._pops) % numbers.engines]
                self._read(word, self._correct(word, engine, known), engine)

    def _correct(self, word: Codeword, engine: _Engine, queued: int) -> int:
        """When the verdict of a codeword is seen; ``queued``: when its syndromes are."""
        pop = max(queued, engine.key_free, self._pops[-1] + 1 if self._pops else 0)
        self._pops.append(pop)
        search = max(pop + word.key_cycles, engine.search_free)
        engine.key_free = search + 1
        delay, depth = 0, self._numbers.code.t
        for group, _ in word.search.patches:
            pushed = search + 2 + group + delay
            number = len(engine.patches_popped)
            if number >= depth:
                later = max(pushed, engine.patches_popped[number - depth] + 1)
                delay += later - pushed
                pushed = later
            before = engine.patches_used[number - 1] if number > 0 else 0
            # Patches of this codeword are used later; each moves up when the one before it is.
            engine.patches_popped.append(max(pushed + 1, before))
            engine.patches_used.append(0)
        verdict = search + word.search.cycles + delay
        if len(engine.verdicts_read) >= 2:
            verdict = max(verdict, engine.verdicts_read[-2] + 1)
        engine.search_free = verdict + 1
        return verdict + 1

    def _read(self, word: Codeword, known: int, engine: _Engine | None) -> None:
        """The codeword's beats out; ``known``: from when it may be read."""
        code = self._numbers.code
        groups = code.data_beat_bits // self._numbers.chien_parallel
        first_patch = len(engine.patches_used) - len(word.search.patches) if engine else 0
        begun = max(known, self.freed[-1] + 1) if self.freed else known
        for beat in range(code.beats):
            read = max(known, self.taken[-1]) if self.taken else known
            patches = [
                index
                for index, (group, _) in enumerate(word.search.patches)
                if group // groups == beat
            ]
            stand = read + 1 + max(0, len(patches) - 1)
            taken = open_from(stand, self._o_stalls)
            self.stands.append(stand)
            self.taken.append(taken)
            self._output.update(range(read + 1, taken + 1))
            if engine is not None:
                for place, index in enumerate(patches):
                    used = taken if index == patches[-1] else read + 1 + place
                    number = first_patch + index
                    engine.patches_used[number] = used
                    if number + 1 < len(engine.patches_popped):
                        engine.patches_popped[number + 1] = max(
                            engine.patches_popped[number + 1], used
                        )
            self._output.update(range(begun, read + 1))
            begun = read
        self.freed.append(begun)
        if engine is not None:
            engine.verdicts_read.append(begun)

    def counts(self, start: int, cycles: int) -> dict[str, int]:
        """The input's cycles by cause."""
        counts = dict.fromkeys((cause.name for cause in DecoderCause), 0)
        for offered, accepted in zip(self._offered, self.accepted, strict=True):
            counts["BUSY"] += 1
            for cycle in range(offered, accepted):
                counts["OUTPUT" if cycle in self._output else "CORRECTION"] += 1
        counts["IDLE"] = cycles - sum(counts.values())
        return counts
