"""Merging parts of a softmax: sums against the integer reference, cycles against their latency."""

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pytest

from neardecode.config import Config
from neardecode.vector.merge import Maximum, PartElements, SoftmaxMerge
from neardecode.vector.stages import Elements
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.stimulus import Play, Sink, Source
from neardecode_testbench.reference.arithmetic import Partial, merge
from neardecode_testbench.scenarios.blocks.edge import (
    CutOff,
    Pacing,
    Recorder,
    check_cycles,
    check_recorded,
    check_sink,
    open_from,
)
from neardecode_testbench.scenarios.packing import Packer

CONFIG = Config()
STREAMS = ("maxima", "i", "o")


@dataclass
class Parts:
    """Rows of parts and elements, of seeded numbers."""

    shapes: list[tuple[int, int]]
    lanes: int = 1
    seed: int = 1
    pacing: Pacing = field(default_factory=Pacing)
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step):
        random = np.random.default_rng(self.seed)
        bits = SoftmaxMerge(CONFIG, 4).bits
        maximum, elements = Packer(Maximum(CONFIG)), Packer(PartElements(bits, self.lanes))
        result = Packer(Elements(bits, self.lanes))
        maxima, inputs, outputs = [], [], []
        for number, (parts, places) in enumerate(self.shapes):
            spread = (1, 20, 511)[number % 3]
            largest = random.integers(-spread, spread + 1, parts)
            totals = random.integers(1 << 23, 1 << 34, parts)
            sums = random.integers(-(1 << 44), 1 << 44, (parts, places, self.lanes))
            merged = merge(
                [Partial(one, total) for one, total in zip(largest, totals, strict=True)]
            )
            # The first place is the sum of weights.
            sums[:, 0, 0] = totals
            moved = (sums >> merged.shifts[:, np.newaxis, np.newaxis]).sum(axis=0)
            assert moved[0, 0] == merged.partial.total
            maxima.append(
                [
                    maximum.pack({"maximum": one, "last": part == parts - 1})
                    for part, one in enumerate(largest)
                ]
            )
            inputs.append(
                [
                    elements.pack(
                        {
                            "values": sums[part, place],
                            "part_last": part == parts - 1,
                            # Of a part that is not the last it is noise.
                            "last": (place == places - 1) == (part == parts - 1),
                        }
                    )
                    for place in range(places)
                    for part in range(parts)
                ]
            )
            outputs.append(
                [
                    result.pack({"values": moved[place], "last": place == places - 1})
                    for place in range(places)
                ]
            )
        stalls = self.pacing.stalls
        expected = [payload for row in outputs for payload in row]
        outcome = step(
            Play(
                sources=[
                    Source("maxima", list(chain(*maxima)), stalls("maxima")),
                    Source("i", list(chain(*inputs)), stalls("i")),
                ],
                sinks=[Sink("o", len(expected), expected, stalls("o"))],
                limit=20_000,
                trailing=6,
            )
        )
        check_sink("o", outcome.sinks["o"])
        self._check_cycles(outcome)
        return outcome

    def _check_cycles(self, outcome):
        stalls, start = self.pacing.stalls, outcome.start
        held = set()

        def moves_from(cycle):
            while cycle in held:
                cycle += 1
            return cycle

        maxima, inputs, stands, taken = [], [], [], []
        maximum_offered = offered = free = start
        for parts, places in self.shapes:
            for _ in range(parts):
                maxima.append(max(open_from(maximum_offered, stalls("maxima")), free))
                maximum_offered = maxima[-1] + 1
            known = maxima[-1] + 1
            for _ in range(places):
                for _ in range(parts):
                    inputs.append(moves_from(max(open_from(offered, stalls("i")), known)))
                    offered = inputs[-1] + 1
                stands.append(moves_from(inputs[-1] + 1) + 1)
                taken.append(open_from(stands[-1], stalls("o")))
                held.update(range(stands[-1], taken[-1]))
            free = offered
        check_cycles("maximum", outcome.sources["maxima"], maxima)
        check_cycles("input", outcome.sources["i"], inputs)
        check_cycles("output", outcome.sinks["o"].cycles, taken)
        check_recorded(self.recorder, "o", outcome, stands)


SHAPES = [(2, 5), (4, 3), (3, 1), (2, 1), (4, 6), (3, 4), (2, 2), (4, 4), (1, 3)]


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("share", [None, 0.3, 0.7])
def test_sums_and_cycles_are_the_reference_s(lanes, share):
    pacing = Pacing() if share is None else Pacing(3, share)
    play(SoftmaxMerge(CONFIG, 4, lanes), Parts(SHAPES, lanes, lanes, pacing))


def test_a_sum_stands_two_cycles_after_its_last_part():
    outcome = play(SoftmaxMerge(CONFIG, 4), Parts([(3, 4)]))
    assert SoftmaxMerge.latency == 2
    assert outcome.sources["maxima"] == [0, 1, 2]
    assert outcome.sources["i"] == list(range(3, 15))
    assert outcome.sinks["o"].cycles == [5 + 2, 8 + 2, 11 + 2, 14 + 2]


def test_a_reset_in_the_middle_leaves_nothing_behind():
    for cycles in (1, 4, 9):
        cut = CutOff(Parts(SHAPES), cycles)
        play_after_reset(SoftmaxMerge(CONFIG, 4), cut, Parts(SHAPES, seed=2))


@pytest.mark.parametrize("parts", [1, 0, 2.5])
def test_refuses_fewer_parts_than_two(parts):
    with pytest.raises(ValueError, match="parts must be an integer of at least 2"):
        SoftmaxMerge(CONFIG, parts)
