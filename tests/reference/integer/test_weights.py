from dataclasses import replace

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.gguf_model import GgufFile, read_shape, read_weights
from neardecode_testbench.reference.integer.weights import (
    float_weights,
    integer_weights,
    read_integer_weights,
)
from neardecode_testbench.reference.random_model import random_model

GGUF_FORMATS = (BlockFormat.Q4_0, BlockFormat.Q4_1, BlockFormat.Q8_0, BlockFormat.MXFP4)
MATRICES = ("query", "key", "value", "attention_output", "gate", "up", "down")


@pytest.mark.parametrize("block_format", GGUF_FORMATS)
def test_blocks_of_a_file_are_worth_what_the_float_decoder_reads(write_gguf, block_format):
    kind = GGMLQuantizationType[block_format.name]
    types = {"token_embd.weight": kind, "output.weight": kind}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        types |= {f"blk.{layer}.{name}.weight": kind for layer in range(2)}
    file = GgufFile(write_gguf(types=types))
    shape = read_shape(file)
    stored = read_integer_weights(file, shape)
    expected, found = read_weights(file, shape), float_weights(stored)
    assert stored.embedding.format is block_format
    np.testing.assert_array_equal(found.embedding, expected.embedding)
    np.testing.assert_array_equal(found.output, expected.output)
    for layer, (one, other) in enumerate(zip(found.layers, expected.layers, strict=True)):
        np.testing.assert_array_equal(one.attention_norm, other.attention_norm)
        for name in MATRICES:
            assert getattr(stored.layers[layer], name).format is block_format
            # A file's reader rounds q * d before it adds m.
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-7)


@pytest.mark.parametrize("block_format", GGUF_FORMATS)
def test_rounding_to_a_format_stays_near(small_model, block_format):
    _, weights = small_model
    found = float_weights(integer_weights(weights, block_format))
    for name in MATRICES:
        before, after = getattr(weights.layers[1], name), getattr(found.layers[1], name)
        error = np.abs(after - before).max() / np.abs(before).max()
        assert 0 < error < (0.01 if block_format is BlockFormat.Q8_0 else 0.26)


def test_mxfp4_is_worth_what_gguf_says():
    matrix = np.random.default_rng(8).standard_normal((6, 96)).astype(np.float32)
    stored = quantize(matrix, GGMLQuantizationType.MXFP4)
    _, weights = random_model(
        1, layers=1, width=96, heads=1, kv_heads=1, head_size=96, ffn=96, vocabulary=6
    )
    found = integer_weights(replace(weights, embedding=matrix), BlockFormat.MXFP4)
    np.testing.assert_array_equal(
        float_weights(found).embedding, dequantize(stored, GGMLQuantizationType.MXFP4)
    )


def test_a_matrix_of_floats_becomes_q8_0(write_gguf, small_model):
    file = GgufFile(write_gguf())
    stored = read_integer_weights(file, read_shape(file))
    assert stored.layers[0].query.format is BlockFormat.Q8_0
    expected = integer_weights(small_model[1], BlockFormat.Q8_0)
    np.testing.assert_array_equal(stored.layers[0].down.elements, expected.layers[0].down.elements)


def test_tied_matrices_are_held_once(small_model):
    _, weights = small_model
    tied = integer_weights(replace(weights, output=weights.embedding), BlockFormat.Q8_0)
    assert tied.output is tied.embedding
    real = float_weights(tied)
    assert real.output is real.embedding


def test_refuses_a_format_that_gguf_has_not(small_model):
    with pytest.raises(ValueError, match="block_format must be one of GGUF, not MXINT8"):
        integer_weights(small_model[1], BlockFormat.MXINT8)
