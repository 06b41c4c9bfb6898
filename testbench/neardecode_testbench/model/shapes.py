"""The shape of a model: all that decides how many bytes and products a token takes.

Sources: the config.json of each model as its authors published it (hidden_size,
num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim, intermediate_size,
vocab_size, tie_word_embeddings); GPT-2's n_embd, n_layer, n_head.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neardecode.config import BlockFormat, ConfigError

__all__ = ["SHAPES", "Shape", "load_shape"]


@dataclass(frozen=True)
class Shape:
    """What a decoder-only model is made of.

    Attributes:
        name: What it is called.
        layers: Layers.
        width: Elements of the residual stream.
        heads, kv_heads: Of queries; of keys and values, each shared by a group of queries.
        head_size: Elements of a head.
        ffn: Elements between the halves of the feed-forward network.
        vocabulary: Tokens.
        gated: The feed-forward network has a gate beside its first matrix.
        layer_format, output_format: Blocks of the layers' matrices and of the last one; None where
            the configuration decides.

    Raises:
        ValueError: if a size is not positive, or heads do not share KV heads evenly.
    """

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    ffn: int
    vocabulary: int
    gated: bool = True
    layer_format: BlockFormat | None = None
    output_format: BlockFormat | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "kv_heads", "head_size", "ffn", "vocabulary"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of the {self.kv_heads} KV heads, not {self.heads}"
            )

    @property
    def group(self) -> int:
        """Query heads that share a KV head."""
        return self.heads // self.kv_heads

    @property
    def layer_parameters(self) -> int:
        """Parameters of a layer's matrices."""
        attention = (2 * self.heads + 2 * self.kv_heads) * self.head_size * self.width
        return attention + (3 if self.gated else 2) * self.ffn * self.width

    @property
    def parameters(self) -> int:
        """Parameters of all matrices that a token is multiplied by."""
        return self.layers * self.layer_parameters + self.vocabulary * self.width


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152),
        Shape("smollm2-360m", 32, 960, 15, 5, 64, 2560, 49152),
        Shape("smollm2-1.7b", 24, 2048, 32, 32, 64, 8192, 49152),
        Shape("gpt2-xl", 48, 1600, 25, 25, 64, 6400, 50257, gated=False),
        Shape("llama-2-7b", 32, 4096, 32, 32, 128, 11008, 32000),
        Shape("llama-2-13b", 40, 5120, 40, 40, 128, 13824, 32000),
        Shape("llama-2-70b", 80, 8192, 64, 8, 128, 28672, 32000),
        Shape("llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128256),
        Shape("llama-3-70b", 80, 8192, 64, 8, 128, 28672, 128256),
    )
}
"""Models by name; the configuration decides in which blocks they are kept."""


def load_shape(model: str) -> Shape:
    """A shape by its name, from a GGUF file's metadata or from a Hugging Face ``config.json``.

    Raises:
        ConfigError: in one line.
    """
    if model in SHAPES:
        return SHAPES[model]
    path = Path(model)
    if not path.is_file():
        raise ConfigError(
            f"{model}: neither a model ({', '.join(SHAPES)}) nor a GGUF or config.json file"
        )
    try:
        with path.open("rb") as file:
            is_gguf = file.read(4) == b"GGUF"
        return _of_gguf(path) if is_gguf else _of_config(path)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{model}: {_told(error)}") from None


def _told(error: Exception) -> str:
    return f"has no {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _of_config(path: Path) -> Shape:
    """What ``config.json`` says."""
    fields: dict[str, Any] = json.loads(path.read_text())
    name = str(fields.get("_name_or_path") or path.parent.name or path.stem)
    if "n_embd" in fields:
        width, heads = fields["n_embd"], fields["n_head"]
        ffn = fields.get("n_inner") or 4 * width
        size = width // heads
        layers, vocabulary = fields["n_layer"], fields["vocab_size"]
        return Shape(name, layers, width, heads, heads, size, ffn, vocabulary, gated=False)
    width, heads = fields["hidden_size"], fields["num_attention_heads"]
    return Shape(
        name,
        fields["num_hidden_layers"],
        width,
        heads,
        fields.get("num_key_value_heads") or heads,
        fields.get("head_dim") or width // heads,
        fields["intermediate_size"],
        fields["vocab_size"],
        gated=fields.get("hidden_act", "silu") in ("silu", "swish"),
    )


def _of_gguf(path: Path) -> Shape:
    """What the metadata and the tensors' types say."""
    from gguf import GGUFReader

    reader = GGUFReader(path)

    def field(key: str, default: Any = None) -> Any:
        found = reader.get_field(key)
        if found is None:
            if default is None:
                raise KeyError(key)
            return default
        return found.contents()

    kind = field("general.architecture")
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    def format_of(name: str) -> BlockFormat | None:
        tensor = tensors.get(name)
        known = "" if tensor is None else str(tensor.tensor_type.name)
        return BlockFormat[known] if known in BlockFormat.__members__ else None

    width = int(field(f"{kind}.embedding_length"))
    heads = int(field(f"{kind}.attention.head_count"))
    embedding = tensors.get("token_embd.weight")
    if embedding is None:
        raise KeyError("token_embd.weight")
    output = "output.weight" if "output.weight" in tensors else "token_embd.weight"
    return Shape(
        str(field("general.name", path.stem)),
        int(field(f"{kind}.block_count")),
        width,
        heads,
        int(field(f"{kind}.attention.head_count_kv", heads)),
        int(field(f"{kind}.attention.key_length", width // heads)),
        int(field(f"{kind}.feed_forward_length")),
        int(embedding.shape[-1]),
        gated="blk.0.ffn_gate.weight" in tensors,
        layer_format=format_of("blk.0.attn_q.weight"),
        output_format=format_of(output),
    )
