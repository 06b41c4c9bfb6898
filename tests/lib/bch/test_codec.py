"""Encoder and decoder: every value and every cycle, by the scenario; galois beside it."""

from pathlib import Path

import numpy as np
import pytest

import neardecode.lib.bch
from neardecode.lib.bch import BchCode, BchDecoder, decode
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.bch import DecodeCodewords, EncodeCodewords, measure
from neardecode_testbench.scenarios.blocks.bch_codewords import (
    Damage,
    DecoderNumbers,
    make_decoder,
    make_encoder,
    miscorrected_share,
)
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing

SMALL = BchCode(16, 3, 4)
CODES = [SMALL, BchCode(64, 4, 8), BchCode(4, 1, 4), BchCode(6, 5, 2), BchCode(3, 2, 1)]
codes = pytest.mark.parametrize("code", CODES, ids=str)
CONTENTS = ("random", "zeros", "ones")


def counts(*errors: int) -> list[Damage]:
    return [Damage(count) for count in errors]


@pytest.mark.parametrize("code", CODES[:2], ids=str)
@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_encodes_as_galois_does_beat_after_beat(code, share, reference, coefficients, integer):
    damages = [Damage(contents=contents) for contents in CONTENTS] + [Damage()] * 9
    pacing = Pacing(code.t, share) if share else Pacing()
    for message, parity in play(make_encoder(code), EncodeCodewords(code, damages, 1, pacing)):
        codeword = reference(code).encode(coefficients(message, code.k))
        assert integer(codeword[code.k :]) == parity


@codes
@pytest.mark.parametrize("share", [0, 0.2, 0.8])
def test_beats_with_their_parity_come_in_their_cycles(code, share):
    pacing = Pacing(code.t, share) if share else Pacing()
    play(make_encoder(code), EncodeCodewords(code, [Damage()] * 20, 1, pacing))


@pytest.mark.parametrize("cycles", [3, 6, 9])
def test_an_encoder_s_reset_leaves_nothing_behind(cycles):
    scenario = EncodeCodewords(SMALL, [Damage()] * 4, 2)
    cut = CutOff(EncodeCodewords(SMALL, [Damage()] * 9), cycles)
    play_after_reset(make_encoder(SMALL), cut, scenario)


@codes
def test_corrects_up_to_t_errors_and_reports_more(code):
    numbers = DecoderNumbers(code)
    errors = [*range(code.t + 1), *range(code.t + 1, 2 * code.t + 1)] * 3
    run = play(make_decoder(numbers), DecodeCodewords(numbers, counts(*errors)))
    for count, corrected in zip(errors, run.corrected, strict=True):
        assert corrected == count or count > code.t
    more = sum(count > code.t for count in errors)
    assert run.uncorrectable + run.miscorrected == more


def test_miscorrections_are_as_rare_as_the_spheres_are_small():
    """With t = 2 one word in four far from all codewords is near another."""
    code = BchCode(3, 2, 1)
    numbers = DecoderNumbers(code, engines=4)
    run = play(make_decoder(numbers), DecodeCodewords(numbers, counts(*[3, 4, 5] * 60)))
    share = miscorrected_share(code)
    assert 0.5 * share < run.miscorrected / 180 < 1.3 * share + 0.1


@pytest.mark.parametrize("code", [BchCode(6, 5, 2), BchCode(64, 4, 8)], ids=str)
def test_corrects_errors_whose_first_syndrome_is_zero(code):
    """The locator's degree goes from 0 to 3 in one step."""
    numbers = DecoderNumbers(code)
    damages = [Damage(3, "root")] * 8
    assert play(make_decoder(numbers), DecodeCodewords(numbers, damages)).corrected == [3] * 8


@codes
@pytest.mark.parametrize("contents", CONTENTS)
def test_bursts_parity_ends_and_left_over_bits(code, contents):
    numbers = DecoderNumbers(code, engines=2)
    damages = [
        Damage(count, where, contents, leftover)
        for where in ("burst", "parity", "data", "beat", "ends")
        for count in range(code.t + 1)
        for leftover in (False, True)
    ]
    run = play(make_decoder(numbers), DecodeCodewords(numbers, damages))
    assert run.corrected == [damage.errors for damage in damages]


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize(
    "numbers",
    [
        DecoderNumbers(SMALL, 1, 1, 1, 2),
        DecoderNumbers(SMALL, 2, 8, 2, 3),
        DecoderNumbers(SMALL, 3, 32, 4, 8),
        DecoderNumbers(SMALL, 4, 2, 1, 16),
        DecoderNumbers(BchCode(4, 1, 4), 2, 8, 1, 5),
        DecoderNumbers(BchCode(6, 5, 2), 1, 4, 2, 9),
    ],
    ids=repr,
)
def test_order_values_and_cycles_hold_under_random_stalls(numbers, share):
    random = np.random.default_rng(numbers.slots)
    errors = random.choice(2 * numbers.code.t + 1, 40) * (random.random(40) < 0.7)
    for free in ((), ("i",), ("o",)):
        pacing = Pacing(numbers.slots, share, free)
        play(make_decoder(numbers), DecodeCodewords(numbers, counts(*errors), 5, pacing))


def test_a_search_stops_while_its_patches_have_no_place():
    numbers = DecoderNumbers(SMALL, chien_parallel=1)
    pacing = Held(cycles={"o": range(600)})
    run = play(make_decoder(numbers), DecodeCodewords(numbers, counts(*[3] * 6), 1, pacing))
    assert run.left[0] == 600


@pytest.mark.parametrize("slots", [3, 8])
def test_clean_codewords_pass_at_the_rate_of_the_bus(slots):
    numbers = DecoderNumbers(SMALL, slots=slots)
    decoder = make_decoder(numbers)
    run = play(decoder, DecodeCodewords(numbers, counts(*[0] * 20)))
    assert run.taken == list(range(80))
    assert run.left == [3 + decoder.latency + beat for beat in range(80)]
    assert run.counts["BUSY"] == 80


def test_a_wrong_codeword_takes_the_engine_s_cycles_and_five():
    for errors in range(1, 4):
        numbers = DecoderNumbers(SMALL)
        decoder = make_decoder(numbers)
        scenario = DecodeCodewords(numbers, counts(errors), errors)
        run = play(decoder, scenario)
        random = np.random.default_rng(errors)
        message = int.from_bytes(random.bytes(SMALL.data_bytes), "little")
        word = message | SMALL.encode(message) << SMALL.k
        for position in Damage(errors).positions(SMALL, random):
            word ^= 1 << position
        result = decoder.model(SMALL.pack_beats(word & ((1 << SMALL.k) - 1), word >> SMALL.k))
        assert result.corrected == errors
        assert result.locator is not None
        assert result.found is not None
        assert run.left[0] == run.taken[-1] + (
            decoder.wrong_latency + result.locator.cycles + result.found.cycles
        )


def test_every_stall_of_the_input_has_its_cause():
    numbers = DecoderNumbers(SMALL, slots=2)
    run = play(make_decoder(numbers), DecodeCodewords(numbers, counts(*[2] * 12)))
    assert run.counts["CORRECTION"] > run.counts["OUTPUT"]
    pacing = Pacing(1, 0.9, ("i",))
    run = play(make_decoder(numbers), DecodeCodewords(numbers, counts(*[0] * 12), 1, pacing))
    assert run.counts["OUTPUT"] > 100
    assert run.counts["CORRECTION"] == 0


def test_the_waveform_of_the_readme():
    numbers = DecoderNumbers(SMALL, chien_parallel=32, slots=2)
    scenario = DecodeCodewords(numbers, counts(0, 2, 0, 0))
    play(make_decoder(numbers), scenario)
    readme = (Path(neardecode.lib.bch.__path__[0]) / "README.md").read_text()
    for line in scenario.recorder.waveform(40):
        assert f"    {line}\n" in readme


@pytest.mark.parametrize("cycles", [2, 7, 30, 61, 100])
def test_a_decoder_s_reset_leaves_nothing_behind(cycles):
    numbers = DecoderNumbers(SMALL, engines=2)
    cut = CutOff(DecodeCodewords(numbers, counts(*[1, 4, 2, 0, 3] * 9)), cycles)
    after = DecodeCodewords(numbers, counts(1, 0, 3, 5, 2), 2)
    play_after_reset(make_decoder(numbers), cut, after)


@pytest.mark.parametrize("code", CODES[:2], ids=str)
def test_decodes_as_galois_does(code, reference, coefficients, integer):
    random = np.random.default_rng(3)
    for errors in range(2 * code.t + 1):
        message = int.from_bytes(random.bytes(code.data_bytes), "little")
        word = message | code.encode(message) << code.k
        for position in random.choice(code.n, errors, replace=False).tolist():
            word ^= 1 << position
        ours = decode(
            code,
            code.pack_beats(word & ((1 << code.k) - 1), word >> code.k),
            lanes=1,
            parallel=1,
        )
        theirs, count = reference(code).decode(coefficients(word, code.n), errors=True)
        assert ours.uncorrectable == (count == -1)
        if count >= 0:
            assert ours.corrected == count
            data = [beat & ((1 << code.data_beat_bits) - 1) for beat in ours.beats]
            assert data == code.data_beats(integer(theirs))


FLASH = DecoderNumbers(BchCode(1024, 64), engines=1, chien_parallel=4, lanes=4, slots=4)


def test_a_flash_codeword_of_64_errors_at_full_size():
    errors = [0, 0, 0, 0, 1, 64, 9, 0, 65, 0, 2, 128, 0]
    damages = [
        *counts(*errors),
        Damage(64, "burst", "ones"),
        Damage(64, "parity", "zeros"),
        Damage(64, "data", leftover=True),
        Damage(2, "ends"),
        Damage(0),
    ]

    for pacing in (Pacing(), Pacing(2, 0.5)):
        scenario = DecodeCodewords(FLASH, damages, 2, pacing)
        run = simulate(Design(make_decoder, (FLASH,)), scenario, "native")
        assert run.corrected == [d.errors if d.errors <= 64 else 0 for d in damages]
        assert (run.uncorrectable, run.miscorrected) == (2, 0)
    throughput = measure(FLASH.code, 1, 1e-3, 40, 1, "native", chien_parallel=4, slots=FLASH.slots)
    assert throughput.wrong == 40
    assert 0.9 < throughput.ratio <= 1


def test_icarus_finds_no_undefined_value_on_the_way():
    numbers = DecoderNumbers(SMALL, 2)
    decoding = DecodeCodewords(numbers, counts(0, 1, 2, 3, 4, 5, 0), 1, Pacing(1))
    run = simulate(Design(make_decoder, (numbers,)), decoding, "icarus")
    assert run.corrected[:4] == [0, 1, 2, 3]
    encoding = EncodeCodewords(SMALL, [Damage()] * 5, 1, Pacing(1))
    simulate(Design(make_encoder, (SMALL,)), encoding, "icarus")


@pytest.mark.parametrize(("rate", "least"), [(0, 0.9), (3e-3, 0.8), (3e-2, 0.8)])
def test_throughput_comes_near_its_bound(rate, least):
    run = measure(SMALL, 2, rate, 100, 1, "amaranth")
    assert least < run.ratio <= 1
    assert run.beats_a_cycle == pytest.approx(run.ratio * run.bound)
    assert run.bound == pytest.approx(run.expected_bound, rel=0.1)


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("engines", 0, 1), ("slots", 1, 2), ("engines", 1.5, 1)],
)
def test_refuses_numbers_out_of_range(name, value, least):
    with pytest.raises(ValueError, match=f"{name} must be an integer from {least}, not {value}"):
        BchDecoder(SMALL, **{"engines": 1, "chien_parallel": 8, name: value})
