"""The codes' numbers and encoding, against galois."""

import numpy as np
import pytest

from neardecode.lib.bch import BchCode

CODES = [
    BchCode(1024, 64),
    BchCode(64, 4, 8),
    BchCode(16, 8, 4),
    BchCode(16, 3, 4),
    BchCode(1, 1, 1),
    BchCode(3, 5, 3),
]


def test_the_code_of_a_flash_page():
    code = CODES[0]
    assert (code.n, code.k, code.t, code.m, code.parity_bits) == (9088, 8192, 64, 14, 896)
    assert (code.beats, code.data_beat_bits, code.side_bytes) == (16, 512, 7)


@pytest.mark.parametrize("code", CODES, ids=str)
def test_the_generator_equals_that_of_galois(code, reference):
    assert int(reference(code).generator_poly) == code.generator


@pytest.mark.parametrize("code", CODES, ids=str)
def test_the_parity_equals_that_of_galois(code, reference, coefficients, integer):
    random = np.random.default_rng(code.t)
    messages = [0, 1, 1 << code.k - 1, (1 << code.k) - 1]
    messages += [int.from_bytes(random.bytes(code.data_bytes), "little") for _ in range(5)]
    for message in messages:
        codeword = reference(code).encode(coefficients(message, code.k))
        assert len(codeword) == code.n
        assert integer(codeword[code.k :]) == code.encode(message)


def test_beats_hold_data_and_parity_from_the_first_on():
    code = BchCode(6, 2, 2, m=6)
    assert (code.parity_bits, code.side_bits, code.beats) == (12, 8, 3)
    beats = code.pack_beats(0x665544332211, 0xCBB)
    assert beats == [0xBB_2211, 0x0C_4433, 0x00_6655]
    beats[1] |= 0xF0 << 16
    beats[2] |= 0xFF << 16
    assert code.join_beats(beats) == (0x665544332211, 0xCBB)
    assert code.data_beats(0x665544332211) == [0x2211, 0x4433, 0x6655]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), "data_bytes must be a positive integer, not 0"),
        ((64, 4, 0), "beat_bytes must be a positive integer, not 0"),
        ((65, 4, 8), "data_bytes must be whole beats of 8, not 65"),
        ((64, 0), "t must be an integer from 1 to 64, not 0"),
        ((64, 65), "t must be an integer from 1 to 64, not 65"),
        ((64, 4, 8, 9), "m must be large enough for 512 bits of data and t = 4, not 9"),
        ((64, 4, 8, 17), "m must be an integer from 3 to 16, not 17"),
        ((8192, 64), "data_bytes must leave room in a field of at most 16 bits for t = 64"),
    ],
)
def test_refuses_numbers_without_a_code(arguments, message):
    with pytest.raises(ValueError, match=message):
        BchCode(*arguments)
