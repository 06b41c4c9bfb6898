from fractions import Fraction
from math import floor

import numpy as np
import pytest

from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.sums import Probabilities, SumFormat, Sums, integer_sums
from neardecode_testbench.reference.weights import random_blocks

FORMAT = SumFormat(48, 20, 1024)


def probabilities(random, rows, vectors, bits=11, spread=20):
    return Probabilities(
        random.integers(1 << bits, size=(rows, vectors)),
        (127 + random.integers(-spread, spread + 1, (rows, vectors))).astype(np.uint8),
        bits,
    )


@pytest.mark.parametrize("spread", [4, 30, 120])
def test_equals_python_fractions(spread):
    random = np.random.default_rng(spread)
    rows = random_blocks(BlockFormat.MXINT8, (6, 2), random)
    rows.scales[:] = 127 + random.integers(-spread, spread + 1, rows.scales.shape)
    given = probabilities(random, 6, 2, spread=spread)
    kept = Sums(random.integers(-(1 << 40), 1 << 40, (2, 64)), np.array([True, False]), 7)
    shifts = np.array([0, 5])
    result = integer_sums(rows, given, FORMAT, kept, shifts)
    low, high = -(1 << 37), (1 << 37) - 1
    for vector in range(2):
        marked = bool(kept.saturated[vector])
        for element in range(64):
            block, lane = divmod(element, 32)
            total = int(kept.values[vector, element]) >> int(shifts[vector])
            for row in range(6):
                value = Fraction(int(rows.elements[row, block, lane])) * Fraction(2) ** (
                    int(rows.scales[row, block]) - 133
                )
                weight = Fraction(int(given.mantissas[row, vector])) * Fraction(2) ** (
                    int(given.exponents[row, vector]) - 127 - 11
                )
                term = floor(value * weight * 2**20)
                marked |= not low <= term <= high
                total += max(low, min(high, term))
            assert result.values[vector, element] == total
        assert bool(result.saturated[vector]) == marked
    assert result.rows == 13


def test_rows_in_two_runs_are_rows_in_one():
    random = np.random.default_rng(2)
    rows = random_blocks(BlockFormat.MXINT8, (9, 1), random)
    given = probabilities(random, 9, 3)
    whole = integer_sums(rows, given, FORMAT)
    first = integer_sums(
        rows[:4], Probabilities(given.mantissas[:4], given.exponents[:4], 11), FORMAT
    )
    second = integer_sums(
        rows[4:], Probabilities(given.mantissas[4:], given.exponents[4:], 11), FORMAT, first
    )
    assert (second.values == whole.values).all()
    assert second.rows == whole.rows == 9


def test_rows_beyond_the_most_add_nothing_and_say_so():
    random = np.random.default_rng(3)
    rows = random_blocks(BlockFormat.MXINT8, (9, 1), random)
    rows.scales[:] = 127
    given = probabilities(random, 9, 1)
    result = integer_sums(rows, given, SumFormat(48, 20, 4))
    expected = integer_sums(
        rows[:4], Probabilities(given.mantissas[:4], given.exponents[:4], 11), SumFormat(48, 20, 4)
    )
    assert (result.values == expected.values).all()
    assert (result.saturated.all(), expected.saturated.any(), result.rows) == (True, False, 4)


def test_other_formats_are_refused():
    random = np.random.default_rng(3)
    with pytest.raises(ValueError, match=r"^rows must be in MXINT8, not Q8_0"):
        integer_sums(
            random_blocks(BlockFormat.Q8_0, (1, 1), random), probabilities(random, 1, 1), FORMAT
        )
