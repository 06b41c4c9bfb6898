"""A configuration made large enough for a model: what it leaves open is decided here, and told."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from neardecode.config import (
    BLOCK_ELEMENTS,
    MOST_TILES_AHEAD,
    BlockFormat,
    Config,
    ConfigError,
    table_row_beats,
)
from neardecode_testbench.model.program import Program, program_of
from neardecode_testbench.model.shapes import Shape

__all__ = ["Fitted", "fit"]

DESCRIPTORS_A_LAYER = 11
DESCRIPTORS_BESIDE = 5
EXCHANGES_A_LAYER = 3


@dataclass(frozen=True)
class Fitted:
    """A model on a configuration that holds it.

    Attributes:
        config: The configuration, with as many chips as share the model.
        shape: The model.
        program: The steps of the first chip, which has the most rows.
        context: Most tokens of a sequence.
        assumed: What was not in the configuration that was given, or too small there.
    """

    config: Config
    shape: Shape
    program: Program
    context: int
    assumed: tuple[str, ...]

    @property
    def chips(self) -> int:
        """Chips that share the model."""
        return self.config.chips

    def program_of(self, chip: int) -> Program:
        """The steps of one of the chips."""
        if not chip:
            return self.program
        return program_of(self.shape, self.config, self.context, chip=chip)


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
        chips: Chips that share the model: parts of matrices, and the tokens of the KV cache.
        weights: Blocks of all matrices; by default the model's own, or the configuration's first.

    Raises:
        ConfigError: if it cannot be made to fit.
    """
    _refuse_unknown(config)
    formats = _formats(shape, config, weights)
    part = replace(shape, layer_format=formats[0], output_format=formats[1])
    queries, keys = part.heads * part.head_size, part.kv_heads * part.head_size
    if (least := min(queries, part.ffn) // BLOCK_ELEMENTS) < chips:
        raise ConfigError(
            f"{shape.name}: {chips} chips are more than the {least} blocks that are dealt to them"
        )
    tables: dict[str, Any] = {**config.model_dump(), "chips": chips}
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
    if chips > 1:
        put("decoder", "split", "context" if part.kv_heads % chips else "heads")
    by_heads = decoder.get("split") == "heads"
    of_context = 1 if by_heads else chips
    put("decoder", "group", part.group)
    put("decoder", "head_elements", part.head_size)
    of_chip = part.ffn if chips == 1 else -(-part.ffn // BLOCK_ELEMENTS // chips) * BLOCK_ELEMENTS
    widened = (2 if part.gated else 1) * of_chip
    grow("decoder", "width", part.width)
    attended = (queries + 2 * keys) // (chips if by_heads else 1)
    grow("decoder", "words", max(attended, widened, lanes))
    a_layer = DESCRIPTORS_A_LAYER + (EXCHANGES_A_LAYER if chips > 1 else 0)
    blocks = max(-(-size // BLOCK_ELEMENTS) for size in (part.width, part.ffn, queries))
    grow("decoder", "activation_blocks", blocks)
    grow("decoder", "descriptors", DESCRIPTORS_BESIDE + part.layers * a_layer)
    grow("decoder", "table_beats", table_row_beats(config, part.width))
    grow("compute", "blocks_a_row", 8 * blocks)
    longest = max(-(-part.vocabulary // chips) + lanes, part.width, widened)
    rows = -(-longest // config.flash.channels)
    grow("compute", "rows", max(rows, -(-context // of_context), 2))
    grow("vector", "tokens", context)
    grow("vector", "norm_elements", part.width)
    in_flash = config.kv.placement == "flash"
    if in_flash:
        ahead = -(-config.sense_cycles // config.flash.page_beats)
        grow("kv", "tiles_ahead", min(MOST_TILES_AHEAD, ahead))
    try:
        fitted = Config.model_validate(tables)
        program = program_of(part, fitted, context)
        stack = None if in_flash else fitted.stack
        if stack is not None and program.vault_pages > stack.pages:
            grow("stack", "pages_a_bank", -(-program.vault_pages // stack.banks_a_group))
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
    if in_flash and program.vault_pages > fitted.flash.pages:
        raise ConfigError(
            f"{shape.name}: keys and values of {context:,} tokens take"
            f" {program.vault_pages:,} pages of the flash behind each vault's attention, it has"
            f" {fitted.flash.pages:,}"
        )
    return Fitted(fitted, part, program, context, tuple(assumed))


def _refuse_unknown(config: Config) -> None:
    """What the model knows nothing of."""
    sequences = 1 if config.decoder is None else config.decoder.sequences
    for known, key, value in (
        (config.compute.clock_divider == 1, "compute.clock_divider", config.compute.clock_divider),
        (config.compute.near_memory, "compute.near_memory", config.compute.near_memory),
        (config.flash.ecc is None, "flash.ecc", "a table"),
        (sequences == 1, "decoder.sequences", sequences),
        (config.kv.placement != "tiered", "kv.placement", config.kv.placement),
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
