"""Rows of weights in blocks, as memory holds them: integers and scales, nothing rounded.

Source: GGUF's Q4_0, Q4_1 and Q8_0 (ggml's block definitions); OCP Microscaling Formats v1.0 for
MXINT8, MXFP4 and E8M0; IEEE 754-2019 for binary16.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat
from neardecode_testbench.reference.blocks import EXPONENT_BIAS, BlockVector

__all__ = [
    "Factor",
    "WeightBlocks",
    "fp16_factor",
    "gguf_blocks",
    "key_blocks",
    "random_blocks",
]

TWICE_E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
"""Twice an E2M1 number, by its nibble."""

_RANGES = {
    BlockFormat.Q4_0: (-8, 7),
    BlockFormat.Q4_1: (0, 15),
    BlockFormat.Q8_0: (-128, 127),
    BlockFormat.MXINT8: (-128, 127),
    BlockFormat.MXFP4: (-12, 12),
}
"""The least and the largest integer of an element."""
_E8M0_POINT = {BlockFormat.MXINT8: 6, BlockFormat.MXFP4: 1}
"""Bits of an element's integer behind its binary point, in formats with an E8M0 scale."""


class Factor(NamedTuple):
    """Scales as integers: each is worth ``mantissa * 2^exponent``."""

    mantissa: NDArray[np.int64]  # (...), with its sign
    exponent: NDArray[np.int64]  # (...)
    invalid: NDArray[np.bool_]  # (...), an infinity or a NaN, whose mantissa is 0


class ExactScales(NamedTuple):
    """What blocks are multiplied by; float64 holds it exactly."""

    units: NDArray[np.float64]  # (..., blocks)
    minimums: NDArray[np.float64] | None  # (..., blocks)
    invalid: NDArray[np.bool_]  # (..., blocks), one of them is no number; it is 0 here


@dataclass(frozen=True, eq=False)
class WeightBlocks:
    """Blocks of 32 weights of one format.

    Element ``i`` of a block is worth ``elements[i] * scale + minimum``, with the integer of
    `lib.blockformat.UnpackElements`: q - 8 for Q4_0, q for Q4_1, Q8_0 and MXINT8 (worth q/64 of an
    E8M0 scale), twice the E2M1 number for MXFP4 (worth half of an E8M0 scale).

    Raises:
        ValueError: if the shapes or types do not belong together.
    """

    format: BlockFormat
    elements: NDArray[np.int8]  # (..., blocks, 32)
    scales: NDArray[Any]  # (..., blocks): the words as stored, uint16 of fp16 or uint8 of E8M0
    minimums: NDArray[np.uint16] | None = None  # (..., blocks), fp16; Q4_1 alone has them

    def __post_init__(self) -> None:
        if self.elements.dtype != np.int8:
            raise ValueError(f"elements must be int8, not {self.elements.dtype}")
        if self.elements.shape != (*self.scales.shape, BLOCK_ELEMENTS):
            raise ValueError(
                f"elements must have shape {(*self.scales.shape, BLOCK_ELEMENTS)},"
                f" not {self.elements.shape}"
            )
        word = np.dtype(np.uint8 if self.format in _E8M0_POINT else np.uint16)
        if self.scales.dtype != word:
            raise ValueError(
                f"scales of {self.format.name} must be {word}, not {self.scales.dtype}"
            )
        if (self.minimums is not None) != (self.format is BlockFormat.Q4_1):
            raise ValueError("minimums must be given for Q4_1 and for no other format")
        if self.minimums is not None and (
            self.minimums.shape != self.scales.shape or self.minimums.dtype != np.uint16
        ):
            raise ValueError(
                f"minimums must be uint16 of shape {self.scales.shape},"
                f" not {self.minimums.dtype} of {self.minimums.shape}"
            )

    def __getitem__(self, index: Any) -> "WeightBlocks":
        """The blocks at ``index`` of the leading axes, without a copy for slices."""
        minimums = None if self.minimums is None else self.minimums[index]
        return WeightBlocks(self.format, self.elements[index], self.scales[index], minimums)

    @property
    def blocks(self) -> int:
        """Blocks of one row."""
        return self.scales.shape[-1]

    def scale_factor(self) -> Factor:
        """The scales as integers, (..., blocks)."""
        if self.format not in _E8M0_POINT:
            return fp16_factor(self.scales)
        exponents = self.scales.astype(np.int64) - EXPONENT_BIAS - _E8M0_POINT[self.format]
        return Factor(np.ones_like(exponents), exponents, np.zeros(exponents.shape, np.bool_))

    @cached_property
    def exact(self) -> ExactScales:
        """Scales and minimums as floats, made once: words must not change after."""
        scale = self.scale_factor()
        if self.minimums is None:
            return ExactScales(_float(scale), None, scale.invalid)
        least = fp16_factor(self.minimums)
        return ExactScales(_float(scale), _float(least), scale.invalid | least.invalid)

    def values(self) -> NDArray[np.float64]:
        """The weights, (..., blocks, 32); float64 holds them exactly."""
        units, minimums, _ = self.exact
        values = self.elements * units[..., np.newaxis]
        if minimums is not None:
            values += minimums[..., np.newaxis]
        return values


def fp16_factor(words: NDArray[np.uint16]) -> Factor:
    """fp16 words as integers: the mantissa below 2^11, the exponent -24 to 5.

    An infinity or a NaN is a zero, and invalid.
    """
    wide = words.astype(np.int64)
    negative, biased, fraction = wide >> 15, wide >> 10 & 31, wide & 1023
    normal = (biased > 0) & (biased < 31)
    mantissa = np.where(normal, fraction + 1024, np.where(biased == 0, fraction, 0))
    return Factor(
        np.where(negative == 1, -mantissa, mantissa),
        np.where(normal, biased - 25, -24),
        biased == 31,
    )


def _float(factor: Factor) -> NDArray[np.float64]:
    return np.ldexp(factor.mantissa.astype(np.float64), factor.exponent)


def key_blocks(keys: BlockVector) -> WeightBlocks:
    """Keys or values of the KV cache, 8-bit elements, as MXINT8 blocks.

    Raises:
        ValueError: if the elements are not of 8 bits.
    """
    if keys.element_bits != 8:
        raise ValueError(f"element_bits must be 8, not {keys.element_bits}")
    return WeightBlocks(BlockFormat.MXINT8, keys.elements.astype(np.int8), keys.exponents)


def gguf_blocks(block_format: BlockFormat, stored: NDArray[np.uint8]) -> WeightBlocks:
    """Blocks as a GGUF file stores them: the scale, the minimum, then the elements.

    In a block of nibbles, byte ``j`` holds element ``j`` below and element ``j + 16`` above.

    Parameters:
        block_format: Q4_0, Q4_1 or Q8_0.
        stored: (..., blocks, bytes of a block).

    Raises:
        ValueError: if GGUF has no such format here, or a block another number of bytes.
    """
    if block_format in _E8M0_POINT:
        raise ValueError(f"block_format must be Q4_0, Q4_1 or Q8_0, not {block_format.name}")
    size = block_format.scale_bytes + block_format.element_bytes
    if stored.dtype != np.uint8 or stored.shape[-1] != size:
        raise ValueError(
            f"stored must be bytes of shape (..., {size}), not {stored.dtype} of {stored.shape}"
        )
    words = np.ascontiguousarray(stored[..., : block_format.scale_bytes]).view("<u2")
    packed = stored[..., block_format.scale_bytes :]
    if block_format.element_bits == 4:
        nibbles = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.int8)
        elements = nibbles - np.int8(8) if block_format is BlockFormat.Q4_0 else nibbles
    else:
        elements = np.ascontiguousarray(packed).view(np.int8)
    minimums = words[..., 1] if block_format is BlockFormat.Q4_1 else None
    return WeightBlocks(block_format, elements, words[..., 0], minimums)


def random_blocks(
    block_format: BlockFormat, shape: tuple[int, ...], random: np.random.Generator
) -> WeightBlocks:
    """Blocks whose every element and scale is drawn from all that are finite.

    Parameters:
        block_format: any.
        shape: (..., blocks).
        random: where they come from.
    """
    least, largest = _RANGES[block_format]
    if block_format is BlockFormat.MXFP4:
        elements = TWICE_E2M1[random.integers(16, size=(*shape, BLOCK_ELEMENTS))]
    else:
        elements = random.integers(least, largest + 1, (*shape, BLOCK_ELEMENTS), np.int8)
    if block_format in _E8M0_POINT:
        return WeightBlocks(
            block_format, elements, random.integers(255, size=shape, dtype=np.uint8)
        )

    def halves() -> NDArray[np.uint16]:
        words = random.integers(31 << 10, size=shape, dtype=np.uint16)
        return words | random.integers(2, size=shape, dtype=np.uint16) << np.uint16(15)

    minimums = halves() if block_format is BlockFormat.Q4_1 else None
    return WeightBlocks(block_format, elements, halves(), minimums)
