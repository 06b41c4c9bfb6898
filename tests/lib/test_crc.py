"""Checksums: the distances that are stated, and words that a dead channel would give."""

import numpy as np
import pytest
from amaranth.lib.crc.catalog import CRC16_IBM_SDLC, CRC32_ISCSI

from neardecode.lib.crc import CHECKED_BITS, DISTANCES, checksum, hamming_distance


@pytest.mark.parametrize("bits", [100, 160, 300, CHECKED_BITS])
@pytest.mark.parametrize("width", sorted(DISTANCES))
def test_no_fewer_flips_than_stated_go_unseen(width, bits):
    assert hamming_distance(width, bits) >= DISTANCES[width]


def test_the_distance_is_that_of_the_codewords_themselves():
    # A polynomial of 16 bits, its codewords looked for one flip pattern after another.
    parameters = checksum(16, 40)
    zero = parameters.compute([0])
    bit = [parameters.compute([1 << place]) ^ zero for place in range(40)]
    fewest = min(bin(bit[a] ^ bit[b]).count("1") + 2 for a in range(40) for b in range(a))
    assert fewest >= hamming_distance(16, 56) == 4


@pytest.mark.parametrize(("width", "standard"), [(16, CRC16_IBM_SDLC), (32, CRC32_ISCSI)])
def test_a_checksum_is_the_standard_s(width, standard):
    random = np.random.default_rng(1)
    word = int.from_bytes(random.bytes(20), "little")
    assert checksum(width, 160).compute([word]) == standard(data_width=160).compute([word])


@pytest.mark.parametrize("data_bits", [1, 77, 130, 600])
@pytest.mark.parametrize("width", sorted(DISTANCES))
def test_zeros_alone_and_ones_alone_are_wrong(width, data_bits):
    parameters = checksum(width, data_bits)
    assert parameters.compute([0]) != 0
    assert parameters.compute([(1 << data_bits) - 1]) != (1 << width) - 1


@pytest.mark.parametrize("width", [0, 8, 31, None])
def test_refuses_a_width_without_a_polynomial(width):
    with pytest.raises(ValueError, match=r"width must be one of \[16, 24, 32\], not"):
        checksum(width, 64)


@pytest.mark.parametrize("bits", [0, -1, CHECKED_BITS + 1])
def test_refuses_words_that_are_too_long(bits):
    with pytest.raises(ValueError, match=f"data_bits must be from 1 to {CHECKED_BITS}, not"):
        checksum(32, bits)
