"""Syndromes, key equation and Chien search, each against its model and its formula."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from neardecode.lib.bch import BchCode, ChienSearch, KeyEquation, Syndromes
from neardecode.lib.bch.chien import patch_layout, verdict_layout
from neardecode.lib.bch.key_equation import Locator, find_locator, locator_layout
from neardecode.lib.bch.syndromes import syndromes_layout
from neardecode_testbench.benches.amaranth_sim import play
from neardecode_testbench.drive.stimulus import Outcome, Play, Sink, Source
from neardecode_testbench.scenarios.blocks.edge import Pacing, Recorder, check_sink
from neardecode_testbench.scenarios.packing import Packer

CODES = [BchCode(16, 3, 4), BchCode(3, 5, 1, m=6), BchCode(4, 1, 4, m=6), BchCode(32, 8, 8)]
codes = pytest.mark.parametrize("code", CODES, ids=str)


@dataclass
class Part:
    """Payloads through a part, none taken or given before its time."""

    payloads: list[int]
    sinks: dict[str, list[int]]
    pacing: Pacing = field(default_factory=Pacing)
    recorder: Recorder = field(default_factory=lambda: Recorder(("i", "o")))

    def __call__(self, step) -> Outcome:
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[Source("i", self.payloads, stalls("i"))],
                sinks=[
                    Sink(name, len(expected), expected, stalls(name))
                    for name, expected in self.sinks.items()
                ],
                limit=20_000,
                trailing=8,
            )
        )
        for name, log in outcome.sinks.items():
            check_sink(name, log)
        return outcome


def damaged(code: BchCode, count: int = 24) -> list[list[int]]:
    """The beats of codewords with 0, 1, ... errors, up to more than t."""
    random = np.random.default_rng(1)
    words = []
    for number in range(count):
        message = int.from_bytes(random.bytes(code.data_bytes), "little")
        word = message | code.encode(message) << code.k
        errors = number % (2 * code.t + 1)
        for position in random.choice(code.n, errors, replace=False).tolist():
            word ^= 1 << position
        words.append(code.pack_beats(word & ((1 << code.k) - 1), word >> code.k))
    return words


def located(code: BchCode, lanes: int) -> list[tuple[list[int], Locator]]:
    """Syndromes and their locators: of damaged codewords, and such that begin with zeros, by which
    the degree grows late, by more than one at once, and beyond t."""
    odds = [Syndromes(code).model(beats) for beats in damaged(code)]
    odds += [[0] * zeros + [1] * (code.t - zeros) for zeros in range(code.t)]
    return [(odd, find_locator(code, odd, lanes)) for odd in odds if any(odd)]


@codes
@pytest.mark.parametrize("share", [None, 0.3, 0.7])
def test_syndromes_equal_their_model_in_order(code, share):
    words = damaged(code)
    packer = Packer(syndromes_layout(code))
    model = Syndromes(code).model
    expected = [packer.pack({"odd": odd, "is_clean": not any(odd)}) for odd in map(model, words)]
    pacing = Pacing() if share is None else Pacing(3, share)
    part = Part([beat for word in words for beat in word], {"o": expected}, pacing)
    outcome = play(Syndromes(code), part)
    if share is None:
        assert outcome.sources["i"] == list(range(len(words) * code.beats))
        last = outcome.sources["i"][code.beats - 1 :: code.beats]
        assert outcome.sinks["o"].cycles == [cycle + Syndromes(code).latency for cycle in last]


@codes
def test_bits_left_over_in_the_last_beats_are_no_part_of_the_code(code):
    message = (1 << code.k) - 1
    parity = code.encode(message)
    whole = (1 << code.side_bits * code.beats) - (1 << code.parity_bits)
    clean = Packer(syndromes_layout(code)).pack({"is_clean": 1})
    play(Syndromes(code), Part(code.pack_beats(message, parity | whole), {"o": [clean]}))


@pytest.mark.parametrize("code", CODES[:2], ids=str)
def test_the_models_syndromes_are_the_codeword_at_the_roots(code, reference, coefficients):
    bch = reference(code)
    for beats in damaged(code, 3):
        message, parity = code.join_beats(beats)
        word = coefficients(message | parity << code.k, code.n)
        polynomial = bch.extension_field(word.astype(int))
        values = [_at(bch, polynomial, j) for j in range(1, 2 * code.t, 2)]
        assert Syndromes(code).model(beats) == values


def _at(bch, coefficients, power: int) -> int:
    alpha = bch.extension_field(2) ** power
    total = bch.extension_field(0)
    for coefficient in coefficients:
        total = total * alpha + coefficient
    return int(total)


def _locator(locator) -> dict[str, Any]:
    return {
        "coefficients": locator.coefficients,
        "degree": locator.degree,
        "failed": locator.failed,
    }


@codes
@pytest.mark.parametrize(("lanes", "share"), [(1, 0), (2, 0), (4, 0), (16, 0), (2, 0.6)])
def test_locators_equal_their_model_and_take_their_cycles(code, lanes, share):
    packer, into = Packer(locator_layout(code)), Packer(syndromes_layout(code))
    component = KeyEquation(code, lanes)
    found = located(code, lanes)
    pacing = Pacing(1, share) if share else Pacing()
    payloads = [into.pack({"odd": odd}) for odd, _ in found]
    outcome = play(component, Unchecked(Part(payloads, {"o": [0] * len(found)}, pacing)))
    out = outcome.sinks["o"]
    for (odd, locator), payload in zip(found, out.payloads, strict=True):
        assert locator == component.model(odd)
        # The rest of a failed one means nothing.
        failed = packer.field(payload, "failed")
        assert failed if locator.failed else payload == packer.pack(_locator(locator))
    assert any(locator.failed for _, locator in found) or code.t == 1
    if not share:
        cycle = 0
        for (_, locator), taken, given in zip(found, outcome.sources["i"], out.cycles, strict=True):
            assert taken == cycle
            assert given == taken + locator.cycles
            assert locator.cycles <= component.longest
            cycle = given + 1


@dataclass
class Unchecked:
    """A part whose payloads do not all mean something."""

    part: Part

    @property
    def recorder(self) -> Recorder:
        return self.part.recorder

    def __call__(self, step) -> Outcome:
        def unchecked(given):
            for sink in given.sinks:
                sink.expected = None
            return step(given)

        return self.part(unchecked)


@codes
@pytest.mark.parametrize(("parallel", "share"), [(1, 0), (2, 0), (8, 0), (2, 0.6), (8, 0.6)])
def test_errors_found_equal_the_model_and_take_its_cycles(code, parallel, share):
    into = Packer(locator_layout(code))
    patch, verdict = Packer(patch_layout(code, parallel)), Packer(verdict_layout(code))
    component = ChienSearch(code, parallel)
    locators = [locator for _, locator in located(code, 2)]
    found = [component.model(locator) for locator in locators]
    patches = [
        patch.pack({"group": group, "errors": errors})
        for one in found
        for group, errors in one.patches
    ]
    verdicts = [
        verdict.pack(
            {
                "corrected": len(one.positions),
                "patches": len(one.patches),
                "uncorrectable": one.uncorrectable,
            }
        )
        for one in found
    ]
    part = Part(
        [into.pack(_locator(locator)) for locator in locators],
        {"patches": patches, "verdicts": verdicts},
        Pacing(2, share) if share else Pacing(),
        Recorder(("i", "patches", "verdicts")),
    )
    outcome = play(component, part)
    if not share:
        cycle = 0
        for one, taken, given in zip(
            found, outcome.sources["i"], outcome.sinks["verdicts"].cycles, strict=True
        ):
            assert taken == cycle
            assert given == taken + one.cycles
            assert one.cycles <= component.longest
            cycle = given + 1
    assert any(one.uncorrectable for one in found)


@pytest.mark.parametrize("lanes", [0, 3, -2, 1.5])
def test_refuses_lanes_that_are_no_power_of_two(lanes):
    with pytest.raises(ValueError, match=f"lanes must be a power of two, not {lanes}"):
        KeyEquation(CODES[0], lanes)


@pytest.mark.parametrize("parallel", [0, 3, 64, 1.5])
def test_refuses_positions_that_do_not_divide_a_beat(parallel):
    with pytest.raises(ValueError, match="parallel must be a divisor of the 32 bits"):
        ChienSearch(CODES[0], parallel)
