"""Codewords for the BCH codec: written, damaged, and what must become of them."""

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from neardecode.lib.bch import BchCode, BchDecoder, BchEncoder, decode
from neardecode.lib.bch.chien import Found
from neardecode.lib.bch.decoded import decoded_layout
from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.packing import Packer

__all__ = [
    "Codeword",
    "Damage",
    "DecoderNumbers",
    "draw_message",
    "make_codeword",
    "make_decoder",
    "make_encoder",
    "miscorrected_share",
]


@dataclass(frozen=True)
class DecoderNumbers:
    """What a decoder is made with."""

    code: BchCode
    engines: int = 1
    chien_parallel: int = 8
    lanes: int = 4
    slots: int = 4


def make_decoder(numbers: DecoderNumbers) -> BchDecoder:
    """A decoder, as simulators ask for it."""
    return BchDecoder(
        numbers.code,
        engines=numbers.engines,
        chien_parallel=numbers.chien_parallel,
        lanes=numbers.lanes,
        slots=numbers.slots,
    )


def make_encoder(code: BchCode) -> BchEncoder:
    """An encoder, as simulators ask for it."""
    return BchEncoder(code)


@dataclass(frozen=True)
class Damage:
    """One codeword and what is wrong with it.

    Attributes:
        errors: Wrong bits.
        where: Drawn from the whole codeword, its data, its first beat's data, its parity, or side
            by side from a drawn bit on; ``ends`` begins with the first bit, then the last; ``root``
            are the terms of the field's polynomial, moved, so that S_1 is zero, and ``errors`` is
            their number.
        contents: Of the data.
        leftover: Wrong too are all bits of the last beats that are no part of the code.
    """

    errors: int = 0
    where: Literal["anywhere", "data", "beat", "parity", "burst", "ends", "root"] = "anywhere"
    contents: Literal["random", "zeros", "ones"] = "random"
    leftover: bool = False

    def positions(self, code: BchCode, random: np.random.Generator) -> list[int]:
        """The wrong coefficients' indices."""
        if self.where == "burst":
            first = int(random.integers(code.n - self.errors + 1))
            return list(range(first, first + self.errors))
        if self.where == "root":
            terms = f"{code.field.polynomial:b}"
            first = int(random.integers(code.n - code.m))
            return [first + place for place, term in enumerate(terms) if term == "1"]
        if self.where == "ends":
            return [0, code.n - 1, *range(1, code.n)][: self.errors]
        low, high = {
            "anywhere": (0, code.n),
            "data": (0, code.k),
            "parity": (code.k, code.n),
            "beat": (0, code.data_beat_bits),
        }[self.where]
        return sorted((low + random.choice(high - low, self.errors, replace=False)).tolist())


@dataclass(frozen=True)
class Codeword:
    """A codeword: as it was written, as it is read, and what must become of it."""

    message: int
    wrong: list[int]
    beats: list[int]
    decoded: list[int]
    clean: bool
    corrected: int
    uncorrectable: bool
    key_cycles: int
    search: Found


def draw_message(damage: Damage, code: BchCode, random: np.random.Generator) -> int:
    """Data of the damage's contents."""
    if damage.contents == "random":
        return int.from_bytes(random.bytes(code.data_bytes), "little")
    return (1 << code.k) - 1 if damage.contents == "ones" else 0


def make_codeword(numbers: DecoderNumbers, damage: Damage, random: np.random.Generator) -> Codeword:
    """Encodes, damages, and asks the models.

    Raises:
        CheckError: if the model does not give back what was encoded, with at most t bits wrong.
    """
    code = numbers.code
    message = draw_message(damage, code, random)
    word = message | code.encode(message) << code.k
    wrong = damage.positions(code, random)
    for position in wrong:
        word ^= 1 << position
    parity = word >> code.k
    if damage.leftover:
        whole = (1 << code.side_bits * code.beats) - 1
        parity |= whole ^ ((1 << code.parity_bits) - 1)
    beats = code.pack_beats(word & ((1 << code.k) - 1), parity)
    decoded = decode(code, beats, lanes=numbers.lanes, parallel=numbers.chien_parallel)
    if len(wrong) <= code.t:
        packer = Packer(decoded_layout(code))
        expected = [
            packer.pack({"data": data, "last": beat == code.beats - 1, "corrected": len(wrong)})
            for beat, data in enumerate(code.data_beats(message))
        ]
        if decoded.beats != expected:
            raise CheckError(f"the model does not correct {len(wrong)} errors at {wrong}")
    return Codeword(
        message,
        wrong,
        beats,
        decoded.beats,
        decoded.locator is None,
        decoded.corrected,
        decoded.uncorrectable,
        decoded.locator.cycles if decoded.locator else 0,
        decoded.found or Found((), (), False, 0),
    )


def miscorrected_share(code: BchCode) -> float:
    """The share of words far from every codeword that are within t of some codeword.

    That of all words: spheres of radius t around 2^k codewords, over 2^n words.
    """
    return sum(comb(code.n, errors) for errors in range(code.t + 1)) / 2**code.parity_bits
