"""From a model to what its hardware holds: an image of each memory, and the program of a token.

Of several chips each gets a share. Rows of the output, and of queries, keys and values where chips
share the context, are dealt to the chips in turn, a transfer of ``decoder.lanes`` rows to each, and
gathered; of gate and up a chip has the rows, and of what follows them and of the attention's output
the columns, of its own blocks of the FFN and of the heads: their sums are added up. Token t's keys
and values lie on chip ``t % chips``; or by heads, KV heads and their query heads on one chip each.
"""

from dataclasses import dataclass, field
from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neardecode.config import (
    KEY_TURN_FRACTION_BITS,
    Config,
    KvMap,
    Operation,
    Target,
    descriptor_bits,
    table_row_beats,
)
from neardecode_testbench.reference.arithmetic import (
    norm_epsilon,
    norm_weights,
    query_scale,
    turns,
)
from neardecode_testbench.reference.fits import CompileError, at_most, check_fits
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.reference.integer.weights import IntegerWeights
from neardecode_testbench.reference.share import Share, interleaved, rows_of
from neardecode_testbench.reference.weight_pages import pack_weights
from neardecode_testbench.reference.weights import WeightBlocks

__all__ = ["TokenImage", "compile_model"]


@dataclass(frozen=True, eq=False)
class TokenImage:
    """What is loaded before the first token.

    Attributes:
        program: Descriptors' bits, in order.
        flash: A channel each, (pages, page_bytes).
        vaults: A vault each, (pages, page_bytes): the KV cache, and in the first one tables.
        kv_map: Where rows lie in every vault.
        weight_beats: Beats of elements that a token reads, of all channels.
        activation_blocks: Blocks of activations that a token sends to every channel.
    """

    program: list[int]
    flash: list[NDArray[np.uint8]]
    vaults: list[NDArray[np.uint8]]
    kv_map: KvMap
    weight_beats: int
    activation_blocks: int


@dataclass
class _Channels:
    """The pages of all flash channels, filled from the first on."""

    config: Config
    images: list[list[NDArray[np.uint8]]] = field(init=False)
    pages: int = 0
    beats: int = 0

    def __post_init__(self) -> None:
        self.images = [[] for _ in range(self.config.flash.channels)]

    def matrix(self, weights: WeightBlocks, name: str) -> dict[str, int]:
        """Deals rows to channels; the fields of the descriptor that multiplies by them."""
        config, channels = self.config, self.config.flash.channels
        rows, blocks = weights.scales.shape
        if weights.format not in config.compute.block_formats:
            raise CompileError(
                f"{name} is in {weights.format.name}; compute.formats must name it, not only"
                f" {', '.join(config.compute.formats)}"
            )
        if rows < channels:
            raise CompileError(f"{name} has {rows} rows, fewer than the {channels} channels")
        layout = config.flash.layout(weights.format)
        if blocks < layout.blocks_a_beat:
            raise CompileError(
                f"{name} has rows of {blocks} blocks on a chip, fewer than the"
                f" {layout.blocks_a_beat} of a beat"
            )
        times = layout.blocks_a_beat // gcd(blocks, layout.blocks_a_beat)
        at_most(blocks * times, config.compute.blocks_a_row, f"{name}: blocks a row")
        at_most(-(-rows // channels), config.compute.rows, f"{name}: rows of a channel")
        parts = [
            pack_weights(rows_of(weights, np.arange(channel, rows, channels)), layout)
            for channel in range(channels)
        ]
        base, longest = self.pages, max(len(part) for part in parts)
        for image, part in zip(self.images, parts, strict=True):
            padding = np.zeros((longest - len(part), layout.page_bytes), np.uint8)
            image += [part, padding]
        self.pages += longest
        self.beats += sum(len(part) for part in parts) * layout.beats
        return {
            "operation": Operation.MATRIX,
            "page": base,
            "rows": rows // channels,
            "extra": rows % channels,
            "blocks": blocks,
            "times": times,
            "format": weights.format.value,
        }


@dataclass
class _Tables:
    """Tables of 16-bit integers in the first vault, behind the KV cache."""

    config: Config
    first: int
    parts: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, rows: ArrayLike) -> tuple[int, int]:
        """A table of (rows, integers): its first page, and beats a row."""
        integers = np.asarray(rows, np.int64)
        flash = self.config.flash
        beats = table_row_beats(self.config, integers.shape[1])
        padded = np.zeros((len(integers), beats * flash.beat_bytes // 2), "<i2")
        # Upper halves keep their sign, lower ones have none.
        padded[:, : integers.shape[1]] = integers.astype("<i2")
        stored = padded.reshape(-1).view(np.uint8)
        pages = -(-stored.size // flash.page_bytes)
        image = np.zeros(pages * flash.page_bytes, np.uint8)
        image[: stored.size] = stored
        base = self.first + sum(len(part) for part in self.parts)
        self.parts.append(image.reshape(pages, flash.page_bytes))
        return base, beats


def compile_model(
    shape: ModelShape, weights: IntegerWeights, config: Config, context: int, chip: int = 0
) -> TokenImage:
    """Lays out a model, or a chip's share of it, and writes its program.

    Parameters:
        shape: the model's shape.
        weights: its weights.
        config: with a decoder and a stack.
        context: most tokens of a sequence.
        chip: which of ``config.chips``.

    Raises:
        CompileError: naming what does not fit, and by how much.
    """
    decoder, stack, vector = config.decoder, config.stack, config.vector
    if decoder is None or stack is None:
        raise CompileError("the configuration has no decoder or no stack")
    lanes, share = decoder.lanes, Share.of(config, chip)
    check_fits(shape, config, context)
    kv_heads = share.heads(shape.kv_heads)
    keys = kv_heads * shape.head_size
    queries = keys * decoder.group
    channels = _Channels(config)
    # A sequence's heads behind another's.
    of_vault = -(-kv_heads // stack.vaults)
    kv_map = KvMap(
        config.kv_layout,
        shape.head_size,
        decoder.sequences * of_vault,
        -(-context // config.context_chips),
    )
    region = kv_map.region_pages
    between = {"between": kv_map.base(0, of_vault, False)} if decoder.sequences > 1 else {}
    vault_pages = kv_map.base(shape.layers, 0, False)
    tables = _Tables(config, vault_pages)

    program: list[dict[str, int]] = []
    norms: list[NDArray[np.int64]] = []
    epsilon = norm_epsilon(shape.rms_epsilon, shape.width, vector.residual_fraction_bits)
    width = shape.width // lanes

    def norm(weight: NDArray[np.float32]) -> dict[str, int]:
        integers, fraction_bits = norm_weights(weight)
        norms.append(integers)
        return {
            "operation": Operation.NORM,
            "count": width,
            "fraction_bits": fraction_bits,
            "epsilon": epsilon,
        }

    for number, layer in enumerate(weights.layers):
        program.append(norm(layer.attention_norm))
        name = f"layer {number}"
        matrices = share.attention([layer.key, layer.value, layer.query])
        first = 0
        for matrix in matrices:
            rows = len(matrix.scales)
            target = {"target": Target.WORDS, "first": first // lanes}
            if share.by_heads:
                program.append(channels.matrix(matrix, f"{name} attention") | target)
            else:
                program += share.exchanged(
                    channels.matrix(share.rows(matrix), f"{name} attention"),
                    target | {"gathers": 1, "count": rows // lanes},
                )
            first += rows
        page = kv_map.base(number, 0, False)
        row = {"stride": region, "count": keys // lanes} | between
        program += [
            {"operation": Operation.KEYS, "page": page, "first": 0} | row,
            {"operation": Operation.VALUES, "page": page + region, "first": keys // lanes} | row,
            {
                "operation": Operation.ATTEND,
                "page": page,
                "stride": region,
                "count": kv_heads,
            },
            {
                "operation": Operation.QUERIES,
                "first": 2 * keys // lanes,
                "count": queries // lanes,
            }
            | between,
            *share.exchanged(
                channels.matrix(share.columns(layer.attention_output), f"{name} attention output")
                | {"block": share.first_attended(layer.attention_output.blocks)},
                {"target": Target.RESIDUAL, "count": width},
            ),
            norm(layer.ffn_norm),
            channels.matrix(
                interleaved(share.elements(layer.gate), share.elements(layer.up), name),
                f"{name} gate and up",
            )
            | {"target": Target.WORDS},
            {"operation": Operation.GATE, "first": 0, "count": 2 * share.ffn(shape.ffn) // lanes},
            *share.exchanged(
                channels.matrix(share.columns(layer.down), f"{name} down"),
                {"target": Target.RESIDUAL, "count": width},
            ),
        ]
    program += [
        norm(weights.output_norm),
        *share.exchanged(
            channels.matrix(share.rows(weights.output), "output"),
            {"target": Target.TOKEN, "count": config.chips},
        ),
        {"operation": Operation.NEXT},
    ]

    page, stride = tables.add(norms)
    beat = page * config.flash.page_beats
    for step in program:
        if step["operation"] == Operation.NORM:
            step["page"], step["beat"] = divmod(beat, config.flash.page_beats)
            beat += stride
    words = _embedding(weights.embedding, vector.residual_fraction_bits, lanes)
    page, stride = tables.add(words)
    embed = {
        "operation": Operation.EMBED,
        "page": page,
        "stride": stride,
        "count": words.shape[1] // lanes,
        "times": words.shape[1] // shape.width,
    }
    page, stride = tables.add(_turns(shape, decoder.query_turn_fraction_bits, context))
    turn = {
        "operation": Operation.TURNS,
        "page": page,
        "stride": stride,
        "count": 2 * shape.head_size // lanes,
    }
    program = [embed, turn, *program]
    at_most(len(program), decoder.descriptors, "descriptors of the program")
    flash = [np.concatenate(parts) for parts in channels.images]
    at_most(max(len(image) for image in flash), config.flash.pages, "pages of a flash channel")
    first_vault = np.concatenate(
        [np.zeros((vault_pages, stack.page_bytes), np.uint8), *tables.parts]
    )
    at_most(len(first_vault), stack.pages, "pages of the first vault")
    others = [np.zeros_like(first_vault[:vault_pages]) for _ in range(stack.vaults - 1)]
    return TokenImage(
        [_packed(step, config) for step in program],
        flash,
        [first_vault, *others],
        kv_map,
        channels.beats,
        sum(step["blocks"] * step["times"] for step in program if "blocks" in step),
    )


def _embedding(embedding: WeightBlocks, fraction_bits: int, lanes: int) -> NDArray[np.int64]:
    """Rows of the embedding as words of the residual stream, of 16 bits or twice 16."""
    scaled = np.ldexp(embedding.values().reshape(len(embedding.scales), -1), fraction_bits)
    words = np.floor(scaled + 0.5).astype(np.int64)  # (vocabulary, width)
    if np.abs(words).max() < 1 << 15:
        return words
    halves = np.stack([words & 0xFFFF, words >> 16], axis=1)  # (vocabulary, 2, width)
    halves = halves.reshape(len(words), 2, -1, lanes).swapaxes(1, 2)
    return halves.reshape(len(words), -1)


def _turns(shape: ModelShape, query_fraction_bits: int, context: int) -> NDArray[np.int64]:
    """A row a position: cosine and sine of each pair for keys, then the same for queries."""
    positions = np.arange(context)
    parts = []
    for scale, fraction_bits in (
        (1.0, KEY_TURN_FRACTION_BITS),
        (query_scale(shape.head_size), query_fraction_bits),
    ):
        table = turns(positions, shape.head_size, shape.rope_base, scale)
        assert table.fraction_bits == fraction_bits
        parts.append(np.stack([table.cosines, table.sines], axis=-1).reshape(context, -1))
    return np.concatenate(parts, axis=1)


def _packed(step: dict[str, int], config: Config) -> int:
    """A descriptor's bits."""
    bits = place = 0
    fields = descriptor_bits(config)
    for name, value in step.items():
        assert name in fields, name
        if not 0 <= value < 1 << fields[name]:
            raise CompileError(f"{name} of a descriptor must be below {1 << fields[name]}: {value}")
    for name, width in fields.items():
        bits |= step.get(name, 0) << place
        place += width
    return bits
