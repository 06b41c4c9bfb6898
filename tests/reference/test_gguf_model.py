import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from gguf import GGMLQuantizationType

from neardecode_testbench.reference.gguf_model import (
    GgufFile,
    ModelError,
    ModelShape,
    load_model,
    read_shape,
    read_weights,
)

QUERY = "blk.0.attn_q.weight"


def refusal(path) -> str:
    """The one line that loading ``path`` raises, which names it."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_reads_shape_and_weights_back(write_gguf, small_model):
    shape, weights = load_model(write_gguf())
    expected_shape, expected = small_model
    assert shape == replace(expected_shape, rms_epsilon=float(np.float32(1e-5)))
    assert len(weights.layers) == 2
    for name in ("embedding", "output_norm", "output"):
        np.testing.assert_array_equal(getattr(weights, name), getattr(expected, name))
    for layer, expected_layer in zip(weights.layers, expected.layers, strict=True):
        for name, values in vars(expected_layer).items():
            np.testing.assert_array_equal(getattr(layer, name), values)
            assert getattr(layer, name).dtype == np.float32


def test_ties_output_to_embedding_where_the_file_has_none(write_gguf):
    shape, weights = load_model(write_gguf(tensors={"output.weight": None}))
    assert shape.tied
    assert weights.output is weights.embedding


def test_takes_as_many_kv_heads_as_heads_where_the_file_does_not_say(write_gguf):
    path = write_gguf(metadata={"llama.attention.head_count_kv": None})
    assert read_shape(GgufFile(path)).kv_heads == 2


def test_takes_head_size_from_width_where_the_file_does_not_say(write_gguf):
    path = write_gguf(metadata={"llama.rope.dimension_count": None})
    assert read_shape(GgufFile(path)).head_size == 32


def test_takes_head_size_from_key_length(write_gguf, small_model):
    shape = small_model[0]
    queries = np.zeros((2 * 16, shape.width), np.float32)
    keys = np.zeros((16, shape.width), np.float32)
    tensors = {}
    for layer in range(shape.layers):
        tensors |= {
            f"blk.{layer}.attn_q.weight": queries,
            f"blk.{layer}.attn_k.weight": keys,
            f"blk.{layer}.attn_v.weight": keys,
            f"blk.{layer}.attn_output.weight": queries.T.copy(),
        }
    metadata = {
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 16,
        "llama.rope.dimension_count": 16,
    }
    assert load_model(write_gguf(metadata, tensors))[0].head_size == 16


def test_rope_base_is_ten_thousand_where_the_file_does_not_say(write_gguf):
    path = write_gguf(metadata={"llama.rope.freq_base": None})
    assert read_shape(GgufFile(path)).rope_base == 10000.0


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 1e-2), ("Q4_0", 0.15), ("Q4_1", 0.15)],
)
def test_dequantises_every_supported_type(write_gguf, small_model, kind, tolerance):
    path = write_gguf(types={QUERY: GGMLQuantizationType[kind]})
    expected = small_model[1].layers[0].query
    query = load_model(path)[1].layers[0].query
    assert query.dtype == np.float32
    assert 0 < np.abs(query - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    ("kind", "scales", "elements", "value"),
    [
        ("Q8_0", struct.pack("<e", 0.5), bytes(range(32)), lambda i: 0.5 * i),
        (
            "Q4_0",
            struct.pack("<e", -0.25),
            bytes((j % 16) | ((15 - j % 16) << 4) for j in range(16)),
            lambda i: -0.25 * ((i if i < 16 else 31 - i) - 8),
        ),
        (
            "Q4_1",
            struct.pack("<ee", 2.0, -3.0),
            bytes((j % 16) | ((15 - j % 16) << 4) for j in range(16)),
            lambda i: 2.0 * (i if i < 16 else 31 - i) - 3.0,
        ),
    ],
)
def test_reads_a_block_as_the_format_says(write_gguf, kind, scales, elements, value):
    path = write_gguf(types={QUERY: GGMLQuantizationType[kind]})
    stored = GgufFile(path).tensors[QUERY]
    image = bytearray(path.read_bytes())
    block = scales + elements
    image[stored.data_offset : stored.data_offset + len(block)] = block
    path.write_bytes(image)
    query = load_model(path)[1].layers[0].query
    np.testing.assert_array_equal(query[0, :32], [value(i) for i in range(32)])


def test_refuses_other_tensor_types_by_tensor_name(write_gguf):
    line = refusal(write_gguf(types={QUERY: GGMLQuantizationType.Q5_0}))
    assert line.startswith(f"tensor {QUERY} is of type Q5_0, supported are F32")


def test_refuses_another_architecture(write_gguf):
    line = refusal(write_gguf(architecture="mamba"))
    assert line == "the architecture is 'mamba', supported is 'llama'"


@pytest.mark.parametrize(
    "key",
    [
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
    ],
)
def test_names_missing_metadata(write_gguf, key):
    assert refusal(write_gguf(metadata={key: None})) == f"metadata {key} is missing"


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ({"llama.rope.scaling.type": "linear"}, "RoPE scaling 'linear' is not supported"),
        (
            {"llama.rope.scaling.factor": 4.0},
            "RoPE scaling is not supported (llama.rope.scaling.factor is 4)",
        ),
        (
            {"llama.rope.scale_linear": 2.0},
            "RoPE scaling is not supported (llama.rope.scale_linear is 2)",
        ),
        ({"llama.expert_count": 8}, "a mixture of experts is not supported"),
        (
            {"llama.rope.dimension_count": 16},
            "RoPE turns 16 of a head's 32 elements: must be all",
        ),
        (
            {"llama.attention.value_length": 16},
            "keys have 32 elements and values 16: must be equal",
        ),
        (
            {"llama.attention.head_count": 5},
            "the width 64 is not a multiple of the 5 heads",
        ),
        (
            {"llama.attention.head_count_kv": 3},
            "heads must be a multiple of kv_heads 3, not 2",
        ),
        ({"llama.block_count": 0}, "layers must be positive, not 0"),
        ({"llama.block_count": 1.5}, "llama.block_count must be one whole number, not 1.5"),
        ({"llama.block_count": True}, "llama.block_count must be one whole number, not True"),
        (
            {"llama.attention.head_count": [2, 2]},
            "llama.attention.head_count must be one whole number, not an array of 2",
        ),
        (
            {"llama.rope.freq_base": "big"},
            "llama.rope.freq_base must be one number, not 'big'",
        ),
        (
            {"llama.rope.scaling.type": 1},
            "llama.rope.scaling.type must be text, not 1",
        ),
        (
            {"llama.block_count": 1},
            "tensor blk.1.attn_norm.weight has no place in a Llama model of this shape",
        ),
        ({"llama.block_count": 3}, "tensor blk.2.attn_norm.weight is missing"),
        (
            {"llama.vocab_size": 41},
            "tensor token_embd.weight must have shape (41, 64), not (40, 64)",
        ),
        (
            {"llama.feed_forward_length": 64},
            "tensor blk.0.ffn_gate.weight must have shape (64, 64), not (96, 64)",
        ),
    ],
)
def test_refuses_metadata_that_does_not_fit(write_gguf, metadata, line):
    assert refusal(write_gguf(metadata=metadata)) == line


def test_accepts_rope_scaling_that_does_nothing(write_gguf):
    load_model(
        write_gguf(metadata={"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 1.0})
    )


@pytest.mark.parametrize(
    ("tensors", "line"),
    [
        ({"token_embd.weight": None}, "tensor token_embd.weight is missing"),
        ({QUERY: None}, f"tensor {QUERY} is missing"),
        (
            {QUERY: np.zeros((64, 32), np.float32)},
            f"tensor {QUERY} must have shape (64, 64), not (64, 32)",
        ),
        (
            {"rope_freqs.weight": np.ones(16, np.float32)},
            "RoPE scaling is not supported (tensor rope_freqs.weight)",
        ),
        (
            {"blk.0.attn_q.bias": np.ones(64, np.float32)},
            "tensor blk.0.attn_q.bias has no place in a Llama model of this shape",
        ),
        (
            {QUERY: np.full((64, 64), np.nan, np.float32)},
            f"tensor {QUERY} holds a value that is not finite",
        ),
    ],
)
def test_refuses_tensors_that_do_not_fit(write_gguf, tensors, line):
    assert refusal(write_gguf(tensors=tensors)) == line


def test_refuses_an_empty_file(tmp_path):
    path = tmp_path / "empty.gguf"
    path.touch()
    assert refusal(path) == "is empty"


def test_refuses_a_missing_file_and_a_folder(tmp_path):
    assert refusal(tmp_path / "none.gguf").startswith("cannot be read: ")
    assert refusal(tmp_path).startswith("cannot be read: ")


def test_refuses_another_magic(tmp_path):
    path = tmp_path / "zip.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    assert refusal(path) == "is not a GGUF file: it starts with b'PK\\x03\\x04', not b'GGUF'"


def test_refuses_another_version(write_gguf):
    path = write_gguf()
    image = bytearray(path.read_bytes())
    image[4] = 77
    path.write_bytes(image)
    assert "version 77" in refusal(path)


def test_refuses_the_other_byte_order(tmp_path):
    path = tmp_path / "big.gguf"
    path.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(64))
    assert refusal(path) == "has the other byte order, which is not supported"


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99999])
def test_refuses_tensor_data_cut_short(write_gguf, share):
    path = write_gguf()
    image = path.read_bytes()
    size = int(len(image) * share)
    path.write_bytes(image[:size])
    line = refusal(path)
    assert line.startswith(f"is cut short or damaged: it has {size} bytes and asks for byte ")


def test_refuses_every_cut_of_header_and_metadata(write_gguf):
    path = write_gguf()
    image = path.read_bytes()
    start = min(tensor.data_offset for tensor in GgufFile(path).tensors.values())
    for size in range(1, start, 5):
        path.write_bytes(image[:size])
        assert "cut short" in refusal(path)


def test_refuses_or_reads_a_file_with_one_bit_turned(write_gguf):
    path = write_gguf()
    image = path.read_bytes()
    start = min(tensor.data_offset for tensor in GgufFile(path).tensors.values())
    chance = random.Random(1)
    lines = []
    for _ in range(150):
        damaged = bytearray(image)
        damaged[chance.randrange(start)] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            load_model(path)
        except ModelError as error:
            lines.append(str(error))
    assert 20 < len(lines) < 150
    assert not any("\n" in line for line in lines)


def test_names_text_that_is_not_utf8(write_gguf):
    path = write_gguf(metadata={"general.name": "abcdefgh"})
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abcd\xff\xfe\xfd\xfc"))
    with pytest.raises(ModelError, match=r"general\.name is not UTF-8$"):
        GgufFile(path).text("general.name")


def test_weights_outlive_the_file(write_gguf):
    path = write_gguf()
    weights = load_model(path)[1]
    kept = weights.output_norm.copy()
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    np.testing.assert_array_equal(weights.output_norm, kept)


def test_reading_weights_leaves_the_stored_blocks_reachable(write_gguf):
    file = GgufFile(write_gguf(types={QUERY: GGMLQuantizationType.Q4_1}))
    read_weights(file, read_shape(file))
    assert file.tensors[QUERY].data.shape == (64, 64 // 32 * 20)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("width", 0, "width must be positive, not 0"),
        ("rms_epsilon", float("nan"), "rms_epsilon must be positive, not nan"),
        ("kv_heads", 3, "heads must be a multiple of kv_heads 3, not 2"),
        ("head_size", 33, "head_size must be even, not 33"),
    ],
)
def test_shape_refuses_wrong_values(small_model, field, value, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        replace(small_model[0], **{field: value})


def test_shape_gives_queries_a_kv_head(small_model):
    assert isinstance(small_model[0], ModelShape)
    assert small_model[0].group == 2
