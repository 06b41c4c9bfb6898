"""A shortened binary BCH code: its numbers, shared by all parts, and its order of bits.

Source: S. Lin and D. J. Costello, "Error Control Coding", 2nd edition, chapter 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from amaranth.lib import data

from neardecode.lib.bch.field import GaloisField

__all__ = ["BchCode", "reversed_bits"]


@dataclass(frozen=True)
class BchCode:
    """A narrow-sense BCH code over bytes, systematic and shortened.

    The order of bits. A codeword is ``n`` coefficients: ``k`` of data, then ``parity_bits`` of
    parity. Coefficient ``i`` of the codeword belongs to x^(n - 1 - i), so the first data bit is the
    highest power. Data and parity are integers with coefficient ``i`` in bit ``i``: byte 0 holds
    the first eight coefficients, the first of them in its lowest bit. This is
    ``numpy.unpackbits(..., bitorder="little")``, and equal to the systematic, shortened encoding of
    ``galois.BCH``.

    A codeword moves in ``beats`` beats. Each holds ``beat_bytes`` of the data and
    ``side_bytes`` of the parity, from the first on; what is left over in the parity of the
    last beats is zero and no part of the code.

    Parameters:
        data_bytes: Data of a codeword.
        t: Errors that are corrected.
        beat_bytes: Data of a beat.
        m: Bits of a field element; by default the smallest that leaves room for the parity.

    Raises:
        ValueError: if a parameter is out of its range, or the codeword too long for the field.
    """

    data_bytes: int
    t: int
    beat_bytes: int = 64
    m: int = field(default=0)

    def __post_init__(self):
        for name in ("data_bytes", "beat_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.data_bytes % self.beat_bytes:
            raise ValueError(
                f"data_bytes must be whole beats of {self.beat_bytes}, not {self.data_bytes}"
            )
        if not isinstance(self.t, int) or not 1 <= self.t <= 64:
            raise ValueError(f"t must be an integer from 1 to 64, not {self.t!r}")
        if self.m == 0:
            fitting = [m for m in range(3, 17) if (1 << m) - 1 >= self.k + m * self.t]
            if not fitting:
                raise ValueError(
                    f"data_bytes must leave room in a field of at most 16 bits for t = {self.t},"
                    f" not {self.data_bytes}"
                )
            object.__setattr__(self, "m", fitting[0])
        elif not isinstance(self.m, int) or not 3 <= self.m <= 16:
            raise ValueError(f"m must be an integer from 3 to 16, not {self.m!r}")
        if (1 << self.m) - 1 < self.k + self.m * self.t:
            raise ValueError(
                f"m must be large enough for {self.k} bits of data and t = {self.t}, not {self.m}"
            )

    @property
    def k(self) -> int:
        """Bits of data."""
        return 8 * self.data_bytes

    @property
    def n(self) -> int:
        """Bits of a codeword."""
        return self.k + self.parity_bits

    @cached_property
    def field(self) -> GaloisField:
        """The field of the code's roots."""
        return GaloisField.of(self.m)

    @cached_property
    def generator(self) -> int:
        """The generator polynomial, bit i the coefficient of x^i.

        The product of the minimal polynomials of alpha, alpha^3, ... alpha^(2t - 1).
        """
        gf = self.field
        generator, done = 1, set()
        for power in range(1, 2 * self.t, 2):
            if power in done:
                continue
            conjugates = {power}
            while (following := 2 * power % gf.order) not in conjugates:
                conjugates.add(following)
                power = following
            done |= conjugates
            minimal = [1]
            for conjugate in conjugates:
                root = gf.alpha(conjugate)
                minimal = [
                    low ^ gf.multiply(root, high)
                    for low, high in zip([0, *minimal], [*minimal, 0], strict=True)
                ]
            generator = _product(generator, sum(bit << i for i, bit in enumerate(minimal)))
        return generator

    @cached_property
    def parity_bits(self) -> int:
        """Bits of parity: the generator polynomial's degree, at most ``m * t``."""
        return self.generator.bit_length() - 1

    @property
    def beats(self) -> int:
        """Beats of a codeword."""
        return self.data_bytes // self.beat_bytes

    @property
    def data_beat_bits(self) -> int:
        """Bits of data in a beat."""
        return 8 * self.beat_bytes

    @property
    def side_bytes(self) -> int:
        """Bytes of parity in a beat."""
        return -(-self.parity_bits // (8 * self.beats))

    @property
    def side_bits(self) -> int:
        """Bits of parity in a beat, those left over in the last beats included."""
        return 8 * self.side_bytes

    @cached_property
    def beat_layout(self) -> data.StructLayout:
        """A beat of a codeword: ``data``, ``parity``."""
        return data.StructLayout({"data": self.data_beat_bits, "parity": self.side_bits})

    def powers_after_data(self, count: int) -> list[int]:
        """x^(parity_bits + i) modulo the generator polynomial, for i from 0 to ``count - 1``."""
        top = 1 << self.parity_bits
        remainder = self.generator ^ top
        remainders = []
        for _ in range(count):
            remainders.append(remainder)
            remainder <<= 1
            if remainder & top:
                remainder ^= self.generator
        return remainders

    @cached_property
    def _byte_remainders(self) -> list[int]:
        """What a byte, its lowest bit the highest power, adds to the remainder."""
        steps = self.powers_after_data(8)[::-1]
        table = [0] * 256
        for byte in range(1, 256):
            low = byte & -byte
            table[byte] = table[byte ^ low] ^ steps[low.bit_length() - 1]
        return table

    def encode(self, message: int) -> int:
        """The parity of a codeword's data, both as integers in the order of bits above."""
        remainder, degree = 0, self.parity_bits
        mask, overlap = (1 << degree) - 1, min(8, degree)
        for byte in message.to_bytes(self.data_bytes, "little"):
            top = reversed_bits(remainder >> (degree - overlap), overlap)
            remainder = (remainder << 8 & mask) ^ self._byte_remainders[byte ^ top]
        return reversed_bits(remainder, degree)

    def pack_beats(self, message: int, parity: int) -> list[int]:
        """A codeword's beats as raw bits of `beat_layout`."""
        data_mask, parity_mask = (1 << self.data_beat_bits) - 1, (1 << self.side_bits) - 1
        return [
            (message >> beat * self.data_beat_bits & data_mask)
            | (parity >> beat * self.side_bits & parity_mask) << self.data_beat_bits
            for beat in range(self.beats)
        ]

    def join_beats(self, beats: Sequence[int]) -> tuple[int, int]:
        """The data and the parity of a codeword's beats; what is left over is dropped."""
        message = parity = 0
        for beat, bits in enumerate(beats):
            message |= (bits & ((1 << self.data_beat_bits) - 1)) << beat * self.data_beat_bits
            parity |= bits >> self.data_beat_bits << beat * self.side_bits
        return message, parity & ((1 << self.parity_bits) - 1)

    def data_beats(self, message: int) -> list[int]:
        """Data cut into beats."""
        mask = (1 << self.data_beat_bits) - 1
        return [message >> beat * self.data_beat_bits & mask for beat in range(self.beats)]


def _product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2)."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        b >>= 1
    return result


def reversed_bits(bits: int, width: int) -> int:
    """A number of ``width`` bits, read from its other end."""
    return int(f"{bits:0{width}b}"[::-1], 2)
