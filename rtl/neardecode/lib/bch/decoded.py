"""What becomes of a codeword, as beats at the decoder's output and as a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.lib import data

from neardecode.lib.bch.chien import Found, find_errors
from neardecode.lib.bch.code import BchCode
from neardecode.lib.bch.key_equation import Locator, find_locator
from neardecode.lib.bch.syndromes import odd_syndromes

__all__ = ["Decoded", "decode", "decoded_layout"]


def decoded_layout(code: BchCode) -> data.StructLayout:
    """``data`` of a beat; ``last`` of its codeword; and in every beat the codeword's verdict.

    ``corrected`` counts the wrong bits, those in the parity too. The data of a codeword that is
    ``uncorrectable`` is what came in, and ``corrected`` is zero.
    """
    return data.StructLayout(
        {
            "data": code.data_beat_bits,
            "last": 1,
            "corrected": range(code.t + 1),
            "uncorrectable": 1,
        }
    )


@dataclass(frozen=True)
class Decoded:
    """What becomes of a codeword.

    Attributes:
        beats: At the output, raw bits of `decoded_layout`.
        corrected: Bits that were wrong; zero if there were too many.
        uncorrectable: There were too many.
        locator, found: What an engine made of it; None if it is clean.
    """

    beats: list[int]
    corrected: int
    uncorrectable: bool
    locator: Locator | None
    found: Found | None


def decode(code: BchCode, beats: Sequence[int], *, lanes: int, parallel: int) -> Decoded:
    """What `BchDecoder` makes of a codeword.

    Args:
        code: The code.
        beats: Raw bits of ``code.beat_layout``.
        lanes, parallel: Of the engines; they decide the cycles and nothing else.
    """
    message, _ = code.join_beats(beats)
    odd = odd_syndromes(code, beats)
    locator = found = None
    corrected, uncorrectable = 0, False
    if any(odd):
        locator = find_locator(code, odd, lanes)
        found = find_errors(code, locator, parallel)
        uncorrectable = found.uncorrectable
        if not uncorrectable:
            corrected = len(found.positions)
            for position in found.positions:
                if position < code.k:
                    message ^= 1 << position
    layout = decoded_layout(code)
    last, count, failed = (layout[name].offset for name in ("last", "corrected", "uncorrectable"))
    rows = [
        bits | corrected << count | int(uncorrectable) << failed
        for bits in code.data_beats(message)
    ]
    rows[-1] |= 1 << last
    return Decoded(rows, corrected, uncorrectable, locator, found)
