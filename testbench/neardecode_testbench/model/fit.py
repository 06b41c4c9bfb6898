"""A configuration made large enough for a model: what it leaves open is decided here, and told."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from neardecode.config import BLOCK_ELEMENTS, BlockFormat, Config, ConfigError, table_row_beats
from neardecode_testbench.model.program import Program, program_of
from neardecode_testbench.model.shapes import Shape

__all__ = ["Fitted", "fit"]

DESCRIPTORS_A_LAYER = 11
DESCRIPTORS_BESIDE = 5


@dataclass(frozen=True)
class Fitted:
    """A model on a configuration that holds it.

    Attributes:
        config: The configuration of a chip.
        shape: What the model is on one chip.
        program: Its steps.
        context: Most tokens of a sequence.
        chips: Chips that share the model.
        assumed: What was not in the configuration that was given, or too small there.
    """

    config: Config
    shape: Shape
    program: Program
    context: int
    chips: int
    assumed: tuple[str, ...]


def fit(
    shape: Shape, config: Config, context: int, chips: int = 1, weights: BlockFormat | None = None
) -> Fitted:
    """Gives a configuration what it needs to run a model.

    Memories on the chip grow, and a decoder and a stack are added where there are none. Channels,
    banks, times and rates stay as they are.

    Args:
        shape: The model's.
        config: What is given.
        context: Most tokens of a sequence.
        chips: Chips that share the model: rows of matrices, heads and their KV cache.
        weights: Blocks of all matrices; by default the model's own, or the configuration's first.

    Raises:
        ConfigError: if it cannot be made to fit.
    """
    _refuse_unknown(config)
    part = _on_a_chip(shape, chips)
    formats = _formats(part, config, weights)
    tables: dict[str, Any] = config.model_dump()
    assumed: list[str] = []

    def grow(section: str, key: str, need: int) -> None:
        have = tables[section].get(key) or 0
        if have < need:
            tables[section][key] = 1 << (need - 1).bit_length()
            assumed.append(f"{section}.{key} {tables[section][key]}")

    def put(section: str, key: str, value: Any) -> None:
        if tables[section].get(key) != value:
            tables[section][key] = value
            assumed.append(f"{section}.{key} {value}")

    if config.stack is None:
        flash = config.flash
        tables["stack"] = {"page_bytes": flash.page_bytes, "beat_bytes": flash.beat_bytes}
        tables["stack"]["pages_a_bank"] = 32768
        assumed.append("a stack of eight vaults for the KV cache")
    if config.decoder is None:
        tables["decoder"] = {}
        assumed.append("a decoder")
    names = tuple(dict.fromkeys(format_.name for format_ in formats))
    if missing := [name for name in names if name not in config.compute.formats]:
        put("compute", "formats", tuple(missing) if config.decoder is None else names)
    decoder = tables["decoder"]
    lanes = decoder.get("lanes", 16)
    put("decoder", "group", part.group)
    put("decoder", "head_elements", part.head_size)
    queries, keys = part.heads * part.head_size, part.kv_heads * part.head_size
    widened = (2 if part.gated else 1) * part.ffn
    grow("decoder", "width", part.width)
    grow("decoder", "words", max(queries + 2 * keys, widened, lanes))
    blocks = max(-(-size // BLOCK_ELEMENTS) for size in (part.width, part.ffn, queries))
    grow("decoder", "activation_blocks", blocks)
    grow("decoder", "descriptors", DESCRIPTORS_A_LAYER * part.layers + DESCRIPTORS_BESIDE)
    grow("decoder", "table_beats", table_row_beats(config, part.width))
    grow("compute", "blocks_a_row", 8 * blocks)
    rows = -(-max(part.vocabulary, part.width, widened) // config.flash.channels)
    grow("compute", "rows", max(rows, context, 2))
    grow("vector", "tokens", context)
    grow("vector", "norm_elements", part.width)
    try:
        fitted = Config.model_validate(tables)
        program = program_of(part, fitted, context)
        if fitted.stack is not None and program.vault_pages > fitted.stack.pages:
            grow("stack", "pages_a_bank", -(-program.vault_pages // fitted.stack.banks_a_group))
            fitted = Config.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        text = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{shape.name} does not fit: {key}: {text}") from None
    if program.flash_pages > fitted.flash.pages:
        gib = fitted.flash.channels * fitted.flash.page_bytes / 2**30
        raise ConfigError(
            f"{shape.name}: its weights take {program.flash_pages * gib:,.0f} GiB a chip,"
            f" the flash holds {fitted.flash.pages * gib:,.0f} GiB"
        )
    return Fitted(fitted, part, program, context, chips, tuple(assumed))


def _refuse_unknown(config: Config) -> None:
    """What the model knows nothing of."""
    for known, key, value in (
        (config.compute.clock_divider == 1, "compute.clock_divider", config.compute.clock_divider),
        (config.compute.near_memory, "compute.near_memory", config.compute.near_memory),
        (config.flash.ecc is None, "flash.ecc", "a table"),
        (config.kv.placement == "stack", "kv.placement", config.kv.placement),
    ):
        if not known:
            raise ConfigError(f"{key}: the model of a token knows no decoder with {value}")


def _formats(
    shape: Shape, config: Config, weights: BlockFormat | None
) -> tuple[BlockFormat, BlockFormat]:
    """Of layers and of the last matrix."""
    own = config.compute.block_formats
    if weights is not None:
        return weights, weights
    return shape.layer_format or own[0], shape.output_format or own[-1]


def _on_a_chip(shape: Shape, chips: int) -> Shape:
    """What one of several chips has of a model.

    Raises:
        ConfigError: if it cannot be divided.
    """
    if chips == 1:
        return shape
    for name, count in (
        ("heads", shape.heads),
        ("KV heads", shape.kv_heads),
        ("elements of the FFN", shape.ffn),
    ):
        if count % chips:
            raise ConfigError(f"{shape.name}: {count} {name} do not divide among {chips} chips")
    return Shape(
        shape.name,
        shape.layers,
        shape.width,
        shape.heads // chips,
        shape.kv_heads // chips,
        shape.head_size,
        shape.ffn // chips,
        -(-shape.vocabulary // chips),
        shape.gated,
        shape.layer_format,
        shape.output_format,
    )
