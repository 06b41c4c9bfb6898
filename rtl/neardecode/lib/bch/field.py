"""GF(2^m): its numbers for elaboration, and its products in hardware.

An element is an integer or a signal of m bits, bit i the coefficient of x^i. The field's generator
``alpha`` is x, a root of the primitive polynomial.

Source: S. Lin and D. J. Costello, "Error Control Coding", 2nd edition, table 2.7 (the primitive
polynomials), section 2.7 (the arithmetic).
"""

from collections.abc import Sequence
from functools import cache, cached_property

from amaranth.hdl import Const, Module, Mux, Signal, Value

__all__ = ["PRIMITIVE_POLYNOMIALS", "GaloisField", "linear", "xor_tree"]

PRIMITIVE_POLYNOMIALS = {
    3: 0b1011,
    4: 0b10011,
    5: 0b100101,
    6: 0b1000011,
    7: 0b10001001,
    8: 0b100011101,
    9: 0b1000010001,
    10: 0b10000001001,
    11: 0b100000000101,
    12: 0b1000001010011,
    13: 0b10000000011011,
    14: 0b100010001000011,
    15: 0b1000000000000011,
    16: 0b10001000000001011,
}
"""A primitive polynomial for each m, bit i the coefficient of x^i."""


@cache
def _field(m: int) -> "GaloisField":
    return GaloisField(m)


class GaloisField:
    """The field of 2^m elements, with logarithms to the base ``alpha``.

    Parameters:
        m: Bits of an element, 3 to 16.

    Raises:
        ValueError: if there is no such field here.
    """

    def __init__(self, m: int):
        if m not in PRIMITIVE_POLYNOMIALS:
            raise ValueError(f"m must be an integer from 3 to 16, not {m!r}")
        self.m = m
        self.polynomial = PRIMITIVE_POLYNOMIALS[m]
        self.order = (1 << m) - 1

    @staticmethod
    def of(m: int) -> "GaloisField":
        """The field of 2^m elements; always the same object."""
        return _field(m)

    @cached_property
    def powers(self) -> list[int]:
        """``alpha`` to the powers 0 to 2^m - 2."""
        powers, value = [], 1
        for _ in range(self.order):
            powers.append(value)
            value <<= 1
            if value >> self.m:
                value ^= self.polynomial
        return powers

    @cached_property
    def logarithms(self) -> list[int]:
        """The power of ``alpha`` that an element is; that of zero means nothing."""
        logarithms = [0] * (1 << self.m)
        for power, value in enumerate(self.powers):
            logarithms[value] = power
        return logarithms

    def alpha(self, power: int) -> int:
        """``alpha`` to any integer power."""
        return self.powers[power % self.order]

    def multiply(self, a: int, b: int) -> int:
        """The product of two elements."""
        if a == 0 or b == 0:
            return 0
        return self.alpha(self.logarithms[a] + self.logarithms[b])

    def constant_columns(self, constant: int) -> list[int]:
        """Multiplication by a constant as a matrix: what each bit of the other factor adds."""
        return [self.multiply(constant, 1 << i) for i in range(self.m)]

    def square_columns(self) -> list[int]:
        """Squaring, which is linear, as a matrix: what each bit adds."""
        return [self.alpha(2 * i) for i in range(self.m)]

    def product(self, module: Module, a: Value, b: Value, name: str) -> Signal:
        """The product of two signals, combinational: m^2 ANDs, then XORs, then the reduction.

        Args:
            module: Where the product is made.
            a: A factor of m bits.
            b: The other.
            name: Of the product's signals, unique in the module.
        """
        m = self.m
        factor = Signal(m, name=f"{name}_factor")
        plain = Signal(2 * m - 1, name=f"{name}_plain")
        result = Signal(m, name=name)
        reduction = [self.alpha(i) for i in range(2 * m - 1)]
        module.d.comb += [
            factor.eq(a),
            plain.eq(xor_tree([(b & factor[i].replicate(m)) << i for i in range(m)])),
            result.eq(linear(reduction, plain, m)),
        ]
        return result


def linear(columns: Sequence[int], word: Value, width: int) -> Value:
    """A matrix over GF(2) times a word: the sum of the columns whose bit is set.

    Whole columns behind multiplexers, because tools keep them whole: masked words, and single XOR
    gates all the more, are taken apart into bits, a hundred thousand of them in a wide matrix,
    before a simulator sees them.

    Args:
        columns: For each bit of the word what it adds.
        word: The word.
        width: Of the result.
    """
    terms: list[Value] = [
        Mux(bit, Const(column, width), Const(0, width))
        for bit, column in zip(word, columns, strict=True)
    ]
    return xor_tree(terms)


def xor_tree(terms: Sequence[Value]) -> Value:
    """The sum of one or more values, in as few levels as there can be."""
    terms = list(terms)
    while len(terms) > 1:
        pairs = [a ^ b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(terms) & ~1 :]
    return terms[0]
