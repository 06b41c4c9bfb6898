from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import quantize

from neardecode_testbench.reference.gguf_model import ModelShape, Weights
from neardecode_testbench.reference.random_model import random_model

GgufWriter = Callable[..., Path]

LAYER_TENSORS = {
    "attn_norm": "attention_norm",
    "attn_q": "query",
    "attn_k": "key",
    "attn_v": "value",
    "attn_output": "attention_output",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}


@pytest.fixture(scope="session")
def small_model() -> tuple[ModelShape, Weights]:
    return random_model(
        3, layers=2, width=64, heads=2, kv_heads=1, head_size=32, ffn=96, vocabulary=40, context=16
    )


def model_tensors(shape: ModelShape, weights: Weights) -> dict[str, np.ndarray]:
    tensors = {
        "token_embd.weight": weights.embedding,
        "output_norm.weight": weights.output_norm,
        "output.weight": weights.output,
    }
    for number, layer in enumerate(weights.layers):
        for name, field in LAYER_TENSORS.items():
            tensors[f"blk.{number}.{name}.weight"] = getattr(layer, field)
    return tensors


def model_metadata(shape: ModelShape) -> dict[str, Any]:
    return {
        "llama.block_count": shape.layers,
        "llama.context_length": shape.context,
        "llama.embedding_length": shape.width,
        "llama.feed_forward_length": shape.ffn,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.rope.freq_base": shape.rope_base,
        "llama.attention.layer_norm_rms_epsilon": shape.rms_epsilon,
        "llama.vocab_size": shape.vocabulary,
        "llama.rope.dimension_count": shape.head_size,
    }


@pytest.fixture
def write_gguf(tmp_path: Path, small_model: tuple[ModelShape, Weights]) -> GgufWriter:
    """Writes the small model as GGUF; ``None`` takes a key or a tensor out."""

    def write(
        metadata: dict[str, Any] | None = None,
        tensors: dict[str, np.ndarray | None] | None = None,
        types: dict[str, GGMLQuantizationType] | None = None,
        architecture: str = "llama",
    ) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        for key, value in (model_metadata(small_model[0]) | (metadata or {})).items():
            match value:
                case bool():
                    writer.add_bool(key, value)
                case int():
                    writer.add_uint32(key, value)
                case float():
                    writer.add_float32(key, value)
                case str():
                    writer.add_string(key, value)
                case list():
                    writer.add_array(key, value)
        for name, values in (model_tensors(*small_model) | (tensors or {})).items():
            if values is None:
                continue
            kind = (types or {}).get(name, GGMLQuantizationType.F32)
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write
