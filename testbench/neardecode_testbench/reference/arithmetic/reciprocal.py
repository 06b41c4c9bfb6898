"""Reciprocals and reciprocal square roots of integers, by tables of straight lines."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neardecode.config.tables import reciprocal_root_table, reciprocal_table
from neardecode.config.vector import RECIPROCAL_BITS
from neardecode_testbench.reference.arithmetic.fixed import Integers, bit_length, evaluate_lines

__all__ = ["Reciprocal", "reciprocal", "reciprocal_root"]


class Reciprocal(NamedTuple):
    """``value * 2 ** -(RECIPROCAL_BITS + exponent)``, with the value about 1/2 to 1."""

    value: Integers
    exponent: Integers


def reciprocal(x: ArrayLike) -> Reciprocal:
    """``1 / x`` of integers of 1 to 2 ** 63 - 1.

    With x = z * 2 ** exponent and z in [1, 2): the 16 bits after z's top bit choose one of 64
    straight lines. The largest error is 2 ** -14 of the value.
    """
    x = np.asarray(x, np.int64)
    exponent = bit_length(x) - 1
    fraction = _leading(x, exponent)
    return Reciprocal(evaluate_lines(reciprocal_table(RECIPROCAL_BITS), fraction), exponent)


def reciprocal_root(x: ArrayLike) -> Reciprocal:
    """``x ** -0.5`` of positive integers of any size, given as objects where int64 is too narrow.

    With x = z * 4 ** exponent and z in [1, 4): the 16 bits after z's top bit choose one of 128
    straight lines. The largest error is 2 ** -14 of the value.
    """
    x = np.asarray(x)
    flat: list[int] = [int(number) for number in x.reshape(-1)]
    tops = [number.bit_length() - 1 for number in flat]
    arguments = [
        (top & 1) << RECIPROCAL_BITS
        | ((number << RECIPROCAL_BITS >> top) & ((1 << RECIPROCAL_BITS) - 1))
        for number, top in zip(flat, tops, strict=True)
    ]
    value = evaluate_lines(reciprocal_root_table(RECIPROCAL_BITS), np.array(arguments, np.int64))
    exponents: Any = np.array([top >> 1 for top in tops], np.int64)
    return Reciprocal(value.reshape(x.shape), exponents.reshape(x.shape))


def _leading(x: Integers, top: Integers) -> Integers:
    """The bits after the top one, `RECIPROCAL_BITS` of them, the rest dropped."""
    left = (RECIPROCAL_BITS - top).clip(0, None)
    right = (top - RECIPROCAL_BITS).clip(0, None)
    return (x << left >> right) & ((1 << RECIPROCAL_BITS) - 1)
