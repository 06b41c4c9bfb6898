"""Checksums of words that travel as one: which polynomials, and what they are sure to detect.

Source: polynomials of CRC-16/IBM-SDLC, CRC-24/FLEXRAY and CRC-32/ISCSI, as
`amaranth.lib.crc.catalog` lists them; their Hamming distances as computed here.
"""

import numpy as np
from amaranth.lib.crc import Algorithm, Parameters

__all__ = ["CHECKED_BITS", "DISTANCES", "checksum", "hamming_distance"]

CHECKED_BITS = 1024
"""Most bits, the checksum included, for which `DISTANCES` holds."""

DISTANCES = {16: 4, 24: 6, 32: 6}
"""For each width of a checksum the least number of bits that turn one codeword into another."""

_POLYNOMIALS = {16: 0x1021, 24: 0x5D6DCB, 32: 0x1EDC6F41}


def checksum(width: int, data_bits: int) -> Parameters:
    """The checksum of a word: lowest bit first, inverted at both ends.

    The inversion makes words of zeros alone or ones alone wrong, as a dead channel gives them.

    Args:
        width: Bits of the checksum.
        data_bits: Bits that are summed: of the word, or to check it, of word and checksum.

    Raises:
        ValueError: if there is no such checksum, or the bits are more than `CHECKED_BITS`.
    """
    if width not in _POLYNOMIALS:
        raise ValueError(f"width must be one of {sorted(_POLYNOMIALS)}, not {width!r}")
    if not 0 < data_bits <= CHECKED_BITS:
        raise ValueError(f"data_bits must be from 1 to {CHECKED_BITS}, not {data_bits!r}")
    ones = (1 << width) - 1
    return Algorithm(
        crc_width=width,
        polynomial=_POLYNOMIALS[width],
        initial_crc=ones,
        reflect_input=True,
        reflect_output=True,
        xor_output=ones,
    )(data_width=data_bits)


def hamming_distance(width: int, bits: int) -> int:
    """The least number of flipped bits that a checksum may miss in a codeword of ``bits``.

    Looks for two, three, four and five bits whose remainders cancel; where there are none the
    answer is 6, which then is a lower bound.
    """
    remainders = _remainders(width, bits)
    # A pattern of errors may be moved down until its lowest bit is bit 0: that one is always hit.
    first, others = remainders[0], np.sort(remainders[1:])
    upper = np.triu_indices(bits - 1, 1)
    pairs = np.unique(others[upper[0]] ^ others[upper[1]])
    candidates = [
        (2, others, first),
        (3, pairs, first),
        (4, pairs, others ^ first),
        (5, pairs, pairs ^ first),
    ]
    for errors, sums, wanted in candidates:
        if np.isin(wanted, sums).any():
            return errors
    return 6


def _remainders(width: int, bits: int) -> np.ndarray:
    """Of a flip in each bit, as the polynomial leaves them."""
    remainders = []
    remainder = 1
    for _ in range(bits):
        remainders.append(remainder)
        remainder <<= 1
        if remainder >> width:
            remainder ^= 1 << width | _POLYNOMIALS[width]
    return np.array(remainders, np.int64)
