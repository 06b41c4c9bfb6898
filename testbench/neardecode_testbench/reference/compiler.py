"""From a model to what its hardware holds: an image of each memory, and the program of a token.

Of several chips each gets a share. Rows of queries, keys, values and of the output are dealt to the
chips in turn, a transfer of ``decoder.lanes`` rows to each, and gathered; of gate and up a chip has
the rows, and of what follows them and of the attention's output the columns, of its own blocks of
the FFN and of the heads: their sums are added up. Token t's keys and values lie on chip
``t % chips``.
"""

from dataclasses import dataclass, field
from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neardecode.config import (
    BLOCK_ELEMENTS,
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
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.reference.integer.weights import IntegerWeights
from neardecode_testbench.reference.weight_pages import pack_weights
from neardecode_testbench.reference.weights import WeightBlocks

__all__ = ["CompileError", "TokenImage", "compile_model"]


class CompileError(ValueError):
    """A model that a configuration's hardware cannot run."""


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
        times = layout.blocks_a_beat // gcd(blocks, layout.blocks_a_beat)
        _at_most(blocks * times, config.compute.blocks_a_row, f"{name}: blocks a row")
        _at_most(-(-rows // channels), config.compute.rows, f"{name}: rows of a channel")
        parts = [
            pack_weights(_rows(weights, np.arange(channel, rows, channels)), layout)
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
    lanes, chips = decoder.lanes, config.chips
    _check(shape, config, context)
    share = _Share(chip, chips, lanes)
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    channels = _Channels(config)
    kv_map = KvMap(
        config.kv_layout, shape.head_size, -(-shape.kv_heads // stack.vaults), -(-context // chips)
    )
    region = kv_map.region_pages
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
        matrices = _joined([layer.key, layer.value, layer.query])
        first = 0
        for matrix in matrices:
            rows = len(matrix.scales)
            target = {"target": Target.WORDS, "first": first // lanes}
            program += share.exchanged(
                channels.matrix(share.rows(matrix), f"{name} attention"),
                target | {"gathers": 1, "count": rows // lanes},
            )
            first += rows
        page = kv_map.base(number, 0, False)
        row = {"stride": region, "count": keys // lanes}
        program += [
            {"operation": Operation.KEYS, "page": page, "first": 0} | row,
            {"operation": Operation.VALUES, "page": page + region, "first": keys // lanes} | row,
            {
                "operation": Operation.ATTEND,
                "page": page,
                "stride": region,
                "count": shape.kv_heads,
            },
            {
                "operation": Operation.QUERIES,
                "first": 2 * keys // lanes,
                "count": queries // lanes,
            },
            *share.exchanged(
                channels.matrix(share.columns(layer.attention_output), f"{name} attention output")
                | {"block": share.blocks(layer.attention_output.blocks)[0]},
                {"target": Target.RESIDUAL, "count": width},
            ),
            norm(layer.ffn_norm),
            channels.matrix(
                _interleaved(share.elements(layer.gate), share.elements(layer.up), name),
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
            {"target": Target.TOKEN, "count": chips},
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
    _at_most(len(program), decoder.descriptors, "descriptors of the program")
    flash = [np.concatenate(parts) for parts in channels.images]
    _at_most(max(len(image) for image in flash), config.flash.pages, "pages of a flash channel")
    first_vault = np.concatenate(
        [np.zeros((vault_pages, stack.page_bytes), np.uint8), *tables.parts]
    )
    _at_most(len(first_vault), stack.pages, "pages of the first vault")
    others = [np.zeros_like(first_vault[:vault_pages]) for _ in range(stack.vaults - 1)]
    return TokenImage(
        [_packed(step, config) for step in program],
        flash,
        [first_vault, *others],
        kv_map,
        channels.beats,
        sum(step["blocks"] * step["times"] for step in program if "blocks" in step),
    )


@dataclass(frozen=True)
class _Share:
    """What of a matrix is a chip's."""

    chip: int
    chips: int
    lanes: int

    def rows(self, weights: WeightBlocks) -> WeightBlocks:
        """Every so many transfers of rows."""
        rows = np.arange(len(weights.scales))
        return _rows(weights, rows[rows // self.lanes % self.chips == self.chip])

    def blocks(self, blocks: int) -> tuple[int, int]:
        """Of so many blocks the first that is its own, and the first behind."""
        return blocks * self.chip // self.chips, blocks * (self.chip + 1) // self.chips

    def columns(self, weights: WeightBlocks) -> WeightBlocks:
        """Its blocks of every row."""
        these = slice(*self.blocks(weights.blocks))
        minimums = weights.minimums
        return WeightBlocks(
            weights.format,
            weights.elements[:, these],
            weights.scales[:, these],
            None if minimums is None else minimums[:, these],
        )

    def elements(self, weights: WeightBlocks) -> WeightBlocks:
        """The rows of its blocks of what they give."""
        first, end = self.blocks(len(weights.scales) // BLOCK_ELEMENTS)
        return _rows(weights, np.arange(first * BLOCK_ELEMENTS, end * BLOCK_ELEMENTS))

    def ffn(self, elements: int) -> int:
        """How many those are."""
        first, end = self.blocks(elements // BLOCK_ELEMENTS)
        return (end - first) * BLOCK_ELEMENTS

    def exchanged(self, matrix: dict[str, int], results: dict[str, int]) -> list[dict[str, int]]:
        """A matrix whose results all chips need: at once where there is one chip."""
        if self.chips == 1:
            kept = {name: results[name] for name in ("target", "first") if name in results}
            return [matrix | kept]
        alone = Target.TOKEN if results["target"] == Target.TOKEN else Target.PARTIAL
        return [
            matrix | {"target": alone},
            {"operation": Operation.EXCHANGE} | results,
        ]


def _check(shape: ModelShape, config: Config, context: int) -> None:
    """Refuses sizes that the hardware was not built for."""
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
    attention = (shape.heads + 2 * shape.kv_heads) * shape.head_size
    least = min(shape.heads * shape.head_size, shape.ffn) // BLOCK_ELEMENTS
    if least < chips:
        raise CompileError(
            f"chips: {chips} are more than the {least} blocks that are dealt to them"
        )
    of_chip = -(-shape.ffn // BLOCK_ELEMENTS // chips) * BLOCK_ELEMENTS
    words = max(attention, 2 * of_chip)
    _at_most(shape.width, decoder.width, "elements of the residual stream (decoder.width)")
    if chips > 1:
        _at_most(
            -(-attention // chips), decoder.partials, "partial results of a chip (decoder.partials)"
        )
    _at_most(words, decoder.words, "results of a matrix (decoder.words)")
    _at_most(
        max(shape.width, shape.ffn, shape.heads * shape.head_size) // BLOCK_ELEMENTS,
        decoder.activation_blocks,
        "blocks of activations (decoder.activation_blocks)",
    )
    _at_most(
        table_row_beats(config, shape.width),
        decoder.table_beats,
        "beats of a norm's weights (decoder.table_beats)",
    )
    _at_most(-(-context // chips), config.compute.rows, "tokens of a sequence (compute.rows)")


def _at_most(need: int, room: int, what: str) -> None:
    if need > room:
        raise CompileError(f"{what}: the model needs {need}, the configuration has {room}")


def _rows(weights: WeightBlocks, rows: NDArray[np.int64]) -> WeightBlocks:
    minimums = weights.minimums
    return WeightBlocks(
        weights.format,
        weights.elements[rows],
        weights.scales[rows],
        None if minimums is None else minimums[rows],
    )


def _stacked(matrices: list[WeightBlocks]) -> WeightBlocks:
    """Rows of matrices of one format, one matrix after the other."""
    minimums = [each.minimums for each in matrices if each.minimums is not None]
    return WeightBlocks(
        matrices[0].format,
        np.concatenate([each.elements for each in matrices]),
        np.concatenate([each.scales for each in matrices]),
        np.concatenate(minimums) if minimums else None,
    )


def _joined(matrices: list[WeightBlocks]) -> list[WeightBlocks]:
    """Neighbours of one format become one matrix."""
    found: list[list[WeightBlocks]] = []
    for matrix in matrices:
        if found and found[-1][0].format is matrix.format:
            found[-1].append(matrix)
        else:
            found.append([matrix])
    return [_stacked(each) for each in found]


def _interleaved(gate: WeightBlocks, up: WeightBlocks, name: str) -> WeightBlocks:
    """A row of the gate, then the same of up, and so on."""
    if gate.format is not up.format:
        raise CompileError(
            f"{name}: gate is in {gate.format.name} and up in {up.format.name};"
            " they must be in one format"
        )
    rows = len(gate.scales)
    return _rows(_stacked([gate, up]), np.arange(2 * rows).reshape(2, rows).T.reshape(-1))


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
