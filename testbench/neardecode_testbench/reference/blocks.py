"""Block-scaled integers: 32 elements share a power of two.

Source: OCP Microscaling Formats v1.0, MXINT8 and the E8M0 scale, here with any element width.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neardecode.config.formats import BLOCK_ELEMENTS

__all__ = ["EXPONENT_BIAS", "BlockVector", "dequantise", "quantise"]

EXPONENT_BIAS = 127
"""What E8M0 adds to an exponent."""
EXPONENT_MAX = 254
"""The largest E8M0 exponent as stored; 255 is not a number."""
ELEMENT_BITS = range(2, 25)
"""Widths whose elements, and the float32 values that become them, float64 holds exactly."""


@dataclass(frozen=True, eq=False)
class BlockVector:
    """Vectors in blocks of 32 elements.

    Element ``i`` of a block is worth ``elements[i] * 2^(exponent - 127 - (element_bits - 2))``.

    Raises:
        ValueError: if the shapes do not belong together or ``element_bits`` is out of range.
    """

    elements: NDArray[np.int32]  # (..., blocks, 32)
    exponents: NDArray[np.uint8]  # (..., blocks)
    element_bits: int
    """Bits of an element, with its sign."""

    def __post_init__(self) -> None:
        if self.element_bits not in ELEMENT_BITS:
            raise ValueError(f"element_bits must be 2 to 24, not {self.element_bits!r}")
        if self.elements.shape != (*self.exponents.shape, BLOCK_ELEMENTS):
            raise ValueError(
                f"elements must have shape {(*self.exponents.shape, BLOCK_ELEMENTS)},"
                f" not {self.elements.shape}"
            )

    def __getitem__(self, index: Any) -> "BlockVector":
        """The vectors at ``index`` of the leading axes, without a copy for slices."""
        return BlockVector(self.elements[index], self.exponents[index], self.element_bits)

    @property
    def blocks(self) -> int:
        """Blocks of one vector."""
        return self.exponents.shape[-1]


def quantise(values: ArrayLike, element_bits: int) -> BlockVector:
    """Round vectors to block-scaled integers.

    A block's exponent is floor(log2(largest magnitude)), its elements round to nearest even and
    are clamped to +-(2^(element_bits - 1) - 1). A block of zeros has exponent 0 as stored.

    Parameters:
        values: (..., n), padded with zeros to whole blocks.
        element_bits: bits of an element, with its sign; 8 gives MXINT8.

    Raises:
        ValueError: if a value is not finite or 2^128 and more, there is no axis, or
            ``element_bits`` is not 2 to 24.
    """
    if element_bits not in ELEMENT_BITS:
        raise ValueError(f"element_bits must be 2 to 24, not {element_bits!r}")
    values = np.asarray(values, np.float64)
    if values.ndim == 0:
        raise ValueError("values must have at least one axis")
    # Not-a-number fails the comparison too.
    if not (np.abs(values) < 2.0 ** (EXPONENT_MAX - EXPONENT_BIAS + 1)).all():
        raise ValueError("values must be finite and below 2^128")
    *lead, n = values.shape
    blocks = -(-n // BLOCK_ELEMENTS)
    padded = np.zeros((*lead, blocks * BLOCK_ELEMENTS))
    padded[..., :n] = values
    padded = padded.reshape(*lead, blocks, BLOCK_ELEMENTS)  # (..., blocks, 32)

    largest = np.abs(padded).max(axis=-1)  # (..., blocks)
    # frexp gives m * 2^e with m in [0.5, 1), so floor(log2) is e - 1, exactly.
    exponents = np.frexp(largest)[1] - 1
    exponents = np.clip(exponents, -EXPONENT_BIAS, EXPONENT_MAX - EXPONENT_BIAS)
    exponents[largest == 0] = -EXPONENT_BIAS
    limit = 2 ** (element_bits - 1) - 1
    scaled = np.ldexp(padded, (element_bits - 2) - exponents[..., np.newaxis])
    elements = np.rint(scaled).clip(-limit, limit).astype(np.int32)
    return BlockVector(elements, (exponents + EXPONENT_BIAS).astype(np.uint8), element_bits)


def dequantise(blocks: BlockVector) -> NDArray[np.float32]:
    """The values of ``blocks``, (..., blocks * 32), exact or rounded to nearest float32."""
    shift = blocks.exponents.astype(np.int32) - EXPONENT_BIAS - (blocks.element_bits - 2)
    values = np.ldexp(blocks.elements.astype(np.float64), shift[..., np.newaxis])
    return values.reshape(*blocks.exponents.shape[:-1], -1).astype(np.float32)
