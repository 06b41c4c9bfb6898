import json
from dataclasses import replace

import pytest

from neardecode.config import ConfigError
from neardecode_testbench.model.shapes import SHAPES, Shape, load_shape


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("smollm2-135m", 0.134),
        ("gpt2-xl", 1.555),
        ("llama-2-7b", 6.61),
        ("llama-2-13b", 12.85),
        ("llama-2-70b", 68.7),
        ("llama-3-8b", 7.50),
        ("llama-3-70b", 69.5),
    ],
)
def test_parameters_of_matrices_are_those_of_the_model(name, billions):
    """Those that a token is multiplied by: norms, and an embedding beside the output, are not."""
    assert SHAPES[name].parameters / 1e9 == pytest.approx(billions, rel=5e-3)


def test_reads_a_config_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "hidden_size": 2048,
                "num_hidden_layers": 16,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "intermediate_size": 8192,
                "vocab_size": 128256,
                "hidden_act": "silu",
            }
        )
    )
    assert load_shape(str(path)) == Shape(tmp_path.name, 16, 2048, 32, 8, 64, 8192, 128256)


def test_reads_a_config_json_of_gpt_2(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257}))
    shape = Shape(tmp_path.name, 12, 768, 12, 12, 64, 3072, 50257, gated=False)
    assert load_shape(str(path)) == shape


@pytest.mark.parametrize("text", ["{}", "not json", '{"hidden_size": 0}', "GGUF then nothing"])
def test_refuses_what_is_no_model_in_one_line(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_shape(str(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_refuses_a_name_that_nobody_knows():
    with pytest.raises(ConfigError, match="neither a model"):
        load_shape("llama-5")


@pytest.mark.parametrize(("name", "value"), [("layers", 0), ("heads", 5), ("kv_heads", 3)])
def test_refuses_sizes_that_cannot_be(name, value):
    good = Shape("good", 2, 128, 4, 2, 64, 256, 256)
    with pytest.raises(ValueError, match="must be"):
        replace(good, **{name: value})
