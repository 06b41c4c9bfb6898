import numpy as np
import pytest

from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.blocks import BlockVector, quantise
from neardecode_testbench.reference.integer import products as module
from neardecode_testbench.reference.integer.products import products
from neardecode_testbench.reference.rows import integer_products
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.reference.weights import WeightBlocks, random_blocks

ACCUMULATOR = AccumulatorFormat(48, 20, 1024)


def vectors(random, count, blocks, bits, spread=8.0):
    sizes = np.exp(spread * random.standard_normal((count, 1)))
    return quantise(random.standard_normal((count, 32 * blocks)) * sizes, bits)


def assert_same(blocks, activations, accumulator=ACCUMULATOR):
    found = products(blocks, activations, accumulator)
    expected = integer_products(blocks, activations, accumulator)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.saturated, expected.saturated)
    return expected


@pytest.mark.parametrize("block_format", list(BlockFormat))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_equals_the_products_of_one_vector_at_a_time(block_format, bits):
    random = np.random.default_rng(bits)
    blocks = random_blocks(block_format, (70, 5), random)
    saturated = assert_same(blocks, vectors(random, 9, 5, bits)).saturated
    assert saturated.any()
    if block_format not in (BlockFormat.MXINT8, BlockFormat.MXFP4):
        assert not saturated.all()


@pytest.mark.parametrize("block_format", [BlockFormat.Q4_1, BlockFormat.Q8_0])
def test_values_of_usual_size_do_not_saturate_and_are_near_the_real_ones(block_format):
    random = np.random.default_rng(2)
    blocks = random_blocks(block_format, (40, 6), random)
    small = (0.02 * random.standard_normal((40, 6))).astype(np.float16).view(np.uint16)
    minimums = None if blocks.minimums is None else small[::-1].copy()
    blocks = WeightBlocks(block_format, blocks.elements, small, minimums)
    activations = vectors(random, 4, 6, 12, spread=0.0)
    found = assert_same(blocks, activations)
    assert not found.saturated.any()
    shifts = activations.exponents.astype(int) - 127 - 10
    real = activations.elements * 2.0 ** shifts[..., np.newaxis]
    exact = np.einsum("rbe,vbe->vr", blocks.values(), real)
    # Each of 12 terms at most is rounded down by less than one unit.
    difference = exact - found.values * 2.0**-20
    assert difference.min() >= 0
    assert 0 < difference.max() < 12 * 2.0**-20


def test_chunks_of_rows_and_vectors_change_nothing(monkeypatch):
    random = np.random.default_rng(3)
    blocks = random_blocks(BlockFormat.Q4_1, (37, 3), random)
    activations = vectors(random, 11, 3, 12)
    monkeypatch.setattr(module, "CHUNK_VECTORS", 4)
    monkeypatch.setattr(module, "CHUNK_TERMS", 20)
    assert_same(blocks, activations)


def test_leading_axes_are_kept():
    random = np.random.default_rng(4)
    blocks = random_blocks(BlockFormat.Q8_0, (6, 2), random)
    flat = vectors(random, 12, 2, 12)
    shaped = BlockVector(
        flat.elements.reshape(3, 4, 2, 32), flat.exponents.reshape(3, 4, 2), flat.element_bits
    )
    found = products(blocks, shaped, ACCUMULATOR)
    assert found.values.shape == found.saturated.shape == (3, 4, 6)
    np.testing.assert_array_equal(
        found.values.reshape(12, 6), products(blocks, flat, ACCUMULATOR).values
    )


@pytest.mark.parametrize("words", ["scales", "minimums"])
def test_a_scale_or_minimum_that_is_no_number_marks_its_row_alone(words):
    random = np.random.default_rng(5)
    blocks = random_blocks(BlockFormat.Q4_1, (5, 2), random)
    blocks.scales[:] = np.float16(0.01).view(np.uint16)
    blocks.minimums[:] = np.float16(-0.05).view(np.uint16)
    getattr(blocks, words)[3, 1] = 0x7C00
    saturated = assert_same(blocks, vectors(random, 2, 2, 12, spread=0.0)).saturated
    assert saturated.tolist() == [[False, False, False, True, False]] * 2


def test_a_term_at_the_limit_does_not_saturate_and_one_above_does():
    accumulator = AccumulatorFormat(24, 0, 16)  # terms of 20 bits
    elements = np.zeros((2, 1, 32), np.int8)
    elements[:, 0, 0] = 1
    blocks = WeightBlocks(BlockFormat.MXINT8, elements, np.full((2, 1), 133, np.uint8))
    limit = 2**19 - 1
    values = np.zeros((4, 1, 32), np.int32)
    values[:, 0, 0] = [limit, limit, -limit, -limit]
    exponents = np.array([[127 + 14], [128 + 14], [127 + 14], [128 + 14]], np.uint8)
    # 20 bits are more than an activation has: what is tested is the scale, by 16 bits of it.
    values >>= 4
    exponents += 4
    values[:, 0, 1] = 0
    found = assert_same(blocks, BlockVector(values, exponents, 16), accumulator)
    assert found.saturated[:, 0].tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("blocks", "activations", "accumulator", "message"),
    [
        ((2, 3), (4, 2), ACCUMULATOR, "activations must have 3 blocks as the rows, not 2"),
        ((2, 3), (4, 3), AccumulatorFormat(48, 20, 2), "blocks must be at most 2, not 3"),
        ((2, 3), (4, 3), AccumulatorFormat(54, 20, 8), "accumulator bits must be at most 53"),
        ((1, 2, 3), (4, 3), ACCUMULATOR, r"blocks must be \(rows, blocks\)"),
    ],
)
def test_refuses_what_does_not_belong_together(blocks, activations, accumulator, message):
    random = np.random.default_rng(6)
    with pytest.raises(ValueError, match=message):
        products(
            random_blocks(BlockFormat.Q8_0, blocks, random),
            vectors(random, activations[0], activations[1], 12),
            accumulator,
        )


def test_refuses_activations_that_float64_cannot_multiply_exactly():
    random = np.random.default_rng(7)
    with pytest.raises(ValueError, match="element_bits must be at most 16, not 17"):
        products(
            random_blocks(BlockFormat.Q8_0, (2, 1), random), vectors(random, 1, 1, 17), ACCUMULATOR
        )
