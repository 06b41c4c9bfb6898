"""The reference: galois, which shares nothing with the hardware.

It is imported where it is needed: it brings a compiler with it.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest


@cache
def _bch(m: int, t: int) -> Any:
    import galois

    return galois.BCH(2**m - 1, d=2 * t + 1)


@pytest.fixture
def reference():
    """The unshortened code of galois that a code of ours is cut from."""
    return lambda code: _bch(code.m, code.t)


@pytest.fixture
def coefficients():
    """The lowest bits of an integer, as galois takes them."""

    def unpack(bits: int, count: int) -> np.ndarray:
        data = bits.to_bytes(-(-count // 8), "little")
        return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")

    return unpack


@pytest.fixture
def integer():
    """The opposite of ``coefficients``."""

    def pack(bits: np.ndarray) -> int:
        data = np.packbits(np.asarray(bits, np.uint8), bitorder="little")
        return int.from_bytes(data.tobytes(), "little")

    return pack
