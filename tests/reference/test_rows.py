from fractions import Fraction
from math import floor

import gguf
import numpy as np
import pytest

from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.blocks import BlockVector, dequantise, quantise
from neardecode_testbench.reference.rows import integer_products
from neardecode_testbench.reference.scores import AccumulatorFormat, integer_scores
from neardecode_testbench.reference.weights import (
    WeightBlocks,
    fp16_factor,
    gguf_blocks,
    key_blocks,
    random_blocks,
)

FORMATS = list(BlockFormat)
WIDE = AccumulatorFormat(bits=64, fraction_bits=30, max_blocks=16)
GGUF = {
    BlockFormat.Q4_0: gguf.GGMLQuantizationType.Q4_0,
    BlockFormat.Q4_1: gguf.GGMLQuantizationType.Q4_1,
    BlockFormat.Q8_0: gguf.GGMLQuantizationType.Q8_0,
}


def activations(random, blocks, bits, near=127, spread=20):
    high = 1 << (bits - 1)
    return BlockVector(
        random.integers(-high, high, (blocks, 32)).astype(np.int32),
        np.clip(near + random.integers(-spread, spread + 1, blocks), 0, 255).astype(np.uint8),
        bits,
    )


def half_value(word):
    value = np.uint16(word).view(np.float16)
    return Fraction(float(value)) if np.isfinite(value) else Fraction(0)


def exact_row(blocks, vector, accumulator):
    """One row, (blocks,), in Python's fractions."""
    total, marked = 0, False
    bits = accumulator.term_bits - (blocks.format is BlockFormat.Q4_1)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    for block in range(blocks.blocks):
        if blocks.format in (BlockFormat.MXINT8, BlockFormat.MXFP4):
            point = 6 if blocks.format is BlockFormat.MXINT8 else 1
            scale = Fraction(2) ** (int(blocks.scales[block]) - 127 - point)
        else:
            scale = half_value(blocks.scales[block])
            marked |= not np.isfinite(blocks.scales[block : block + 1].view(np.float16)[0])
        weights = blocks.elements[block].tolist()
        inputs = vector.elements[block].tolist()
        unit = Fraction(2) ** (
            int(vector.exponents[block]) - 127 - (vector.element_bits - 2)
            + accumulator.fraction_bits
        )  # fmt: skip
        products = [scale * sum(w * a for w, a in zip(weights, inputs, strict=True))]
        if blocks.minimums is not None:
            products.append(half_value(blocks.minimums[block]) * sum(inputs))
            marked |= not np.isfinite(blocks.minimums[block : block + 1].view(np.float16)[0])
        for product in products:
            term = floor(product * unit)
            marked |= not low <= term <= high
            total += max(low, min(high, term))
    return total, marked


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
@pytest.mark.parametrize("block_format", FORMATS)
def test_equals_python_fractions(block_format, bits):
    random = np.random.default_rng(bits)
    seen = set()
    for accumulator in (WIDE, AccumulatorFormat(40, 20, 8), AccumulatorFormat(24, 0, 5)):
        for spread in (3, 30, 127):
            blocks = random_blocks(block_format, (6, 4), random)
            vector = activations(random, 4, bits, spread=spread)
            values, saturated = integer_products(blocks, vector, accumulator)
            for row in range(6):
                expected = exact_row(blocks[row], vector, accumulator)
                assert (int(values[row]), bool(saturated[row])) == expected
                seen.add(expected[1])
    assert seen == {False, True}


@pytest.mark.parametrize("block_format", FORMATS)
def test_is_close_to_the_product_of_the_values(block_format):
    random = np.random.default_rng(3)
    blocks = random_blocks(block_format, (8, 16), random)
    if block_format in (BlockFormat.MXINT8, BlockFormat.MXFP4):
        blocks.scales[:] = random.integers(120, 130, blocks.scales.shape)
    vector = quantise(random.standard_normal(512), 12)
    accumulator = AccumulatorFormat(64, 20, 16)
    values, saturated = integer_products(blocks, vector, accumulator)
    assert not saturated.any()
    exact = (blocks.values().reshape(8, -1) @ dequantise(vector).astype(np.float64)) * 2.0**20
    # Each term is rounded down by less than one.
    assert (values <= exact + 1e-3 + 1e-9 * abs(exact)).all()
    assert (values >= exact - 32 - 1e-9 * abs(exact)).all()


def test_keys_give_their_scores():
    random = np.random.default_rng(5)
    keys = quantise(random.standard_normal((20, 96)), 8)
    query = quantise(random.standard_normal((3, 96)), 12)
    accumulator = AccumulatorFormat(48, 20, 8)
    values, saturated = integer_products(key_blocks(keys), query, accumulator)
    expected = integer_scores(keys, query, accumulator)
    assert (values == expected.values).all()
    assert (saturated == expected.saturated).all()
    assert values.shape == (3, 20)


def test_many_rows_are_cut_into_parts_without_a_seam(monkeypatch):
    random = np.random.default_rng(6)
    blocks = random_blocks(BlockFormat.Q4_1, (23, 4), random)
    vector = activations(random, 4, 12)
    whole = integer_products(blocks, vector, WIDE)
    monkeypatch.setattr("neardecode_testbench.reference.rows.CHUNK_ELEMENTS", 5 * 4 * 32)
    parts = integer_products(blocks, vector, WIDE)
    assert (whole.values == parts.values).all()


@pytest.mark.parametrize("block_format", GGUF)
def test_gguf_blocks_have_the_values_of_the_gguf_package(block_format):
    random = np.random.default_rng(7)
    size = block_format.scale_bytes + block_format.element_bytes
    stored = random.integers(256, size=(5, 3, size), dtype=np.uint8)
    # No infinity, no NaN.
    for byte in range(1, block_format.scale_bytes, 2):
        stored[..., byte] &= 0xBB
    blocks = gguf_blocks(block_format, stored)
    expected = gguf.dequantize(stored.reshape(5, -1), GGUF[block_format])
    assert np.allclose(blocks.values().reshape(5, -1), expected, rtol=1e-6, atol=1e-9)
    if block_format is not BlockFormat.Q4_1:
        assert (blocks.values().reshape(5, -1) == expected).all()


def test_every_fp16_word_is_its_mantissa_and_exponent():
    words = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    factor = fp16_factor(words)
    values = words.view(np.float16).astype(np.float64)
    finite = np.isfinite(values)
    assert (factor.invalid == ~finite).all()
    assert (np.ldexp(factor.mantissa.astype(np.float64), factor.exponent) == values)[finite].all()
    assert (factor.mantissa[~finite] == 0).all()
    assert abs(factor.mantissa).max() < 1 << 11


def test_refuses_what_does_not_belong_together():
    random = np.random.default_rng(8)
    blocks = random_blocks(BlockFormat.Q4_1, (2, 3), random)
    vector = activations(random, 3, 12)
    with pytest.raises(ValueError, match=r"^activations must have 3 blocks as the rows, not 2"):
        integer_products(blocks, vector[:2], WIDE)
    with pytest.raises(ValueError, match=r"^blocks must be at most 2, not 3"):
        integer_products(blocks, vector, AccumulatorFormat(40, 20, 2))
    with pytest.raises(ValueError, match=r"^blocks must be \(rows, blocks\), not \(3,\)"):
        integer_products(blocks[0], vector, WIDE)
    with pytest.raises(ValueError, match=r"^minimums must be given for Q4_1"):
        WeightBlocks(BlockFormat.Q4_0, blocks.elements, blocks.scales, blocks.minimums)
    with pytest.raises(ValueError, match=r"^minimums must be given for Q4_1"):
        WeightBlocks(BlockFormat.Q4_1, blocks.elements, blocks.scales)
    with pytest.raises(ValueError, match=r"^minimums must be uint16 of shape \(2, 3\)"):
        WeightBlocks(BlockFormat.Q4_1, blocks.elements, blocks.scales, blocks.scales[:1])
    with pytest.raises(ValueError, match=r"^scales of MXFP4 must be uint8, not uint16"):
        WeightBlocks(BlockFormat.MXFP4, blocks.elements, blocks.scales)
    with pytest.raises(ValueError, match=r"^elements must have shape \(2, 2, 32\)"):
        WeightBlocks(BlockFormat.Q8_0, blocks.elements, blocks.scales[:, :2])
    with pytest.raises(ValueError, match=r"^elements must be int8"):
        WeightBlocks(BlockFormat.Q8_0, blocks.elements.astype(np.int32), blocks.scales)
    with pytest.raises(ValueError, match=r"^block_format must be Q4_0, Q4_1 or Q8_0, not MXINT8"):
        gguf_blocks(BlockFormat.MXINT8, np.zeros((1, 33), np.uint8))
    with pytest.raises(ValueError, match=r"^stored must be bytes of shape \(..., 20\)"):
        gguf_blocks(BlockFormat.Q4_1, np.zeros((1, 18), np.uint8))
    with pytest.raises(ValueError, match=r"^element_bits must be 8, not 10"):
        key_blocks(quantise(np.zeros(32), 10))
