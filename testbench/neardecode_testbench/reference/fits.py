"""Whether a model fits a configuration's hardware."""

from neardecode.config import BLOCK_ELEMENTS, Config, table_row_beats
from neardecode_testbench.reference.gguf_model import ModelShape

__all__ = ["CompileError", "at_most", "check_fits"]


class CompileError(ValueError):
    """A model that a configuration's hardware cannot run."""


def check_fits(shape: ModelShape, config: Config, context: int) -> None:
    """Refuses sizes that the hardware was not built for.

    Raises:
        CompileError: naming what does not fit, and by how much.
    """
    decoder = config.decoder
    assert decoder is not None
    group = shape.heads // shape.kv_heads
    for name, have, built in (
        ("head_elements", shape.head_size, decoder.head_elements),
        ("group", group, decoder.group),
    ):
        if have != built:
            raise CompileError(f"decoder.{name} must be {have} for this model, not {built}")
    for name, size in (("width", shape.width), ("FFN", shape.ffn)):
        if size % BLOCK_ELEMENTS or size % decoder.lanes:
            raise CompileError(f"the model's {name} of {size} is not whole blocks")
    chips = config.chips
    if decoder.split == "heads" and shape.kv_heads % chips:
        raise CompileError(
            f"decoder.split: the model's {shape.kv_heads} KV heads do not divide among {chips}"
            " chips; share the context"
        )
    attention = (shape.heads + 2 * shape.kv_heads) * shape.head_size
    if decoder.split == "heads":
        attention //= chips
    least = min(shape.heads * shape.head_size, shape.ffn) // BLOCK_ELEMENTS
    if least < chips:
        raise CompileError(
            f"chips: {chips} are more than the {least} blocks that are dealt to them"
        )
    of_chip = -(-shape.ffn // BLOCK_ELEMENTS // chips) * BLOCK_ELEMENTS
    words = max(attention, 2 * of_chip)
    at_most(shape.width, decoder.width, "elements of the residual stream (decoder.width)")
    if config.context_chips > 1:
        at_most(
            -(-attention // chips), decoder.partials, "partial results of a chip (decoder.partials)"
        )
    at_most(words, decoder.words, "results of a matrix (decoder.words)")
    at_most(
        max(shape.width, shape.ffn, shape.heads * shape.head_size) // BLOCK_ELEMENTS,
        decoder.activation_blocks,
        "blocks of activations (decoder.activation_blocks)",
    )
    at_most(
        table_row_beats(config, shape.width),
        decoder.table_beats,
        "beats of a norm's weights (decoder.table_beats)",
    )
    at_most(
        -(-context // config.context_chips),
        config.compute.rows,
        "tokens of a sequence (compute.rows)",
    )


def at_most(need: int, room: int, what: str) -> None:
    """Refuses more than there is room for.

    Raises:
        CompileError: naming what it is.
    """
    if need > room:
        raise CompileError(f"{what}: the model needs {need}, the configuration has {room}")
