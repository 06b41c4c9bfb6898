import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import pytest
from tokenizers import pre_tokenizers

from neardecode_testbench.cli import main
from neardecode_testbench.reference.random_model import random_model

SMALL = {
    "_name_or_path": "small",
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 256,
    "vocab_size": 256,
}
"""A model of Hugging Face's kind of metadata, small enough for `decoder-tiny`."""


@dataclass
class Result:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a refusal."""
        assert self.status != 0
        assert self.err.startswith("neardecode: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("neardecode: ").removesuffix("\n")


def run(*arguments: object) -> Result:
    """Runs the command in this process, as the installed script does."""
    out, err = io.StringIO(), io.StringIO()
    saved = sys.argv
    sys.argv = ["neardecode", *map(str, arguments)]
    status: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = saved
    if isinstance(status, str):
        # The interpreter prints it.
        err.write(f"{status}\n")
        status = 1
    assert status is None or isinstance(status, int)
    return Result(status or 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def neardecode():
    return run


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """An empty folder that commands run in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def write_gguf():
    """Writes a random Llama whose tokens are the bytes, in their byte-level spelling, and "ab"."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]

    def write(path: Path, vocabulary: int = 257, head_size: int = 32, context: int = 32) -> Path:
        shape, weights = random_model(
            5, layers=1, width=64, heads=2, kv_heads=1, head_size=head_size, ffn=96,
            vocabulary=vocabulary, context=context,
        )  # fmt: skip
        writer = gguf.GGUFWriter(path, "llama")
        for key, value in {
            "llama.block_count": shape.layers,
            "llama.context_length": shape.context,
            "llama.embedding_length": shape.width,
            "llama.feed_forward_length": shape.ffn,
            "llama.attention.head_count": shape.heads,
            "llama.attention.head_count_kv": shape.kv_heads,
            "llama.attention.key_length": shape.head_size,
            "llama.attention.value_length": shape.head_size,
            "llama.rope.dimension_count": shape.head_size,
            "tokenizer.ggml.bos_token_id": 0,
        }.items():
            writer.add_uint32(key, value)
        writer.add_float32("llama.attention.layer_norm_rms_epsilon", shape.rms_epsilon)
        writer.add_bool("tokenizer.ggml.add_bos_token", False)
        writer.add_string("tokenizer.ggml.model", "gpt2")
        writer.add_string("tokenizer.ggml.pre", "smollm")
        writer.add_array("tokenizer.ggml.tokens", tokens)
        writer.add_array("tokenizer.ggml.token_type", [1] * len(tokens))
        writer.add_array("tokenizer.ggml.merges", ["a b"])
        tensors: dict[str, np.ndarray] = {
            "token_embd.weight": weights.embedding,
            "output_norm.weight": weights.output_norm,
            "output.weight": weights.output,
        }
        layer = weights.layers[0]
        tensors |= {
            f"blk.0.{name}.weight": values
            for name, values in {
                "attn_norm": layer.attention_norm,
                "attn_q": layer.query,
                "attn_k": layer.key,
                "attn_v": layer.value,
                "attn_output": layer.attention_output,
                "ffn_norm": layer.ffn_norm,
                "ffn_gate": layer.gate,
                "ffn_up": layer.up,
                "ffn_down": layer.down,
            }.items()
        }
        for name, values in tensors.items():
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write
