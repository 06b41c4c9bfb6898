"""The steps of a token, from a shape and a configuration: what lies where, and how much of it."""

from dataclasses import dataclass, field
from math import gcd

from neardecode.config import (
    BLOCK_ELEMENTS,
    BlockFormat,
    Config,
    KvMap,
    Operation,
    PageLayout,
    Target,
    table_row_beats,
)
from neardecode_testbench.model.shapes import Shape

__all__ = ["Matrix", "Program", "Step", "TableRows", "program_of"]


@dataclass(frozen=True)
class Matrix:
    """A matrix that slices multiply by, as it lies in the flash channels of a chip.

    Attributes:
        name: Which.
        rows: Rows in every channel.
        extra: Channels that have one more.
        blocks: Blocks a row.
        times: How often its activations are sent, so that they are whole beats.
        layout: Of its pages.
        target: Where its results go.
        first: Transfer of the results' memory where they begin.
        page: Its first page in every channel.
        pages: Pages of the channel that has the most.
        block: The first block of activations that it multiplies with.
    """

    name: str
    rows: int
    extra: int
    blocks: int
    times: int
    layout: PageLayout
    target: Target
    first: int
    page: int
    pages: int
    block: int = 0

    @property
    def longest(self) -> int:
        """Rows of the channel that has the most."""
        return self.rows + (self.extra > 0)


@dataclass(frozen=True)
class TableRows:
    """A table in the first vault.

    Attributes:
        beat: Its first beat, counted from the vault's first.
        stride: Beats a row.
        transfers: Transfers a row.
    """

    beat: int
    stride: int
    transfers: int


@dataclass(frozen=True)
class Step:
    """A step, as the sequencer runs it.

    Attributes:
        operation: What.
        count: Transfers of the vector unit; for ATTEND KV heads, for an EXCHANGE of tokens chips.
        first: The first of them.
        matrix: For MATRIX.
        table: For EMBED, TURNS and NORM; of a norm its one row.
        page: First page of keys, or of values for VALUES.
        layer: The layer it belongs to; -1 before the first, ``layers`` behind the last.
        target: For EXCHANGE.
        gathers: For EXCHANGE: transfers are dealt to the chips in turn, not added up.
    """

    operation: Operation
    count: int = 0
    first: int = 0
    matrix: Matrix | None = None
    table: TableRows | None = None
    page: int = 0
    layer: int = -1
    target: Target = Target.WORDS
    gathers: bool = False


@dataclass(frozen=True)
class Program:
    """All steps of a token.

    Attributes:
        steps: In order.
        kv_map: Where rows of keys and values lie in every vault.
        flash_pages: Pages of a channel.
        vault_pages: Pages of the first vault.
        beats: Beats of a token's weights through the channel with the most.
    """

    steps: tuple[Step, ...]
    kv_map: KvMap
    flash_pages: int
    vault_pages: int
    beats: int

    @property
    def matrices(self) -> list[Matrix]:
        """Those of the steps, in order."""
        return [step.matrix for step in self.steps if step.matrix is not None]


@dataclass
class _Layout:
    """Fills channels and the first vault from their first pages on."""

    config: Config
    pages: int = 0
    table_page: int = 0
    steps: list[Step] = field(default_factory=list)

    def matrix(
        self,
        name: str,
        rows: int,
        inputs: int,
        format_: BlockFormat,
        target: Target,
        first: int = 0,
        block: int = 0,
    ) -> Matrix:
        channels, layout = self.config.flash.channels, self.config.flash.layout(format_)
        blocks = -(-inputs // BLOCK_ELEMENTS)
        longest = -(-rows // channels)
        matrix = Matrix(
            name,
            rows // channels,
            rows % channels,
            blocks,
            layout.blocks_a_beat // gcd(blocks, layout.blocks_a_beat),
            layout,
            target,
            first,
            self.pages,
            -(-longest * blocks // layout.blocks),
            block,
        )
        self.pages += matrix.pages
        return matrix

    def table(self, rows: int, integers: int) -> TableRows:
        flash = self.config.flash
        assert self.config.decoder is not None
        stride = table_row_beats(self.config, integers)
        first = self.table_page * flash.page_beats
        self.table_page += -(-rows * stride * flash.beat_bytes // flash.page_bytes)
        return TableRows(first, stride, -(-integers // self.config.decoder.lanes))


@dataclass(frozen=True)
class _Share:
    """What of a model is one chip's, as the compiler deals it."""

    chip: int
    chips: int
    lanes: int
    by_heads: bool

    def heads(self, heads: int) -> int:
        """Of so many heads those that it attends with."""
        return heads // self.chips if self.by_heads else heads

    def rows(self, rows: int) -> int:
        """Rows that are dealt to the chips, so many lanes to each in turn."""
        rounds, left = divmod(rows, self.lanes * self.chips)
        own = min(max(left - self.chip * self.lanes, 0), self.lanes)
        return rounds * self.lanes + own

    def blocks(self, elements: int) -> tuple[int, int]:
        """Of an input's blocks the first that is its own, and how many elements are."""
        blocks = -(-elements // BLOCK_ELEMENTS)
        first, end = (blocks * chip // self.chips for chip in (self.chip, self.chip + 1))
        # A single chip has them as they are.
        return first, elements if self.chips == 1 else (end - first) * BLOCK_ELEMENTS


def program_of(
    shape: Shape, config: Config, context: int, *, chip: int = 0, embedding_words: int = 1
) -> Program:
    """The steps of a token of one chip.

    Args:
        shape: The model's.
        config: With a decoder and a stack.
        context: Most tokens of a sequence.
        chip: Which of the configuration's.
        embedding_words: 16-bit integers of a word of the embedding, 1 or 2.
    """
    decoder, stack = config.decoder, config.stack
    assert decoder is not None
    assert stack is not None
    lanes, chips = decoder.lanes, config.chips
    share = _Share(chip, chips, lanes, decoder.split == "heads")
    kv_heads = share.heads(shape.kv_heads)
    queries, keys = share.heads(shape.heads) * shape.head_size, kv_heads * shape.head_size
    formats = config.compute.block_formats
    layers_in = shape.layer_format or formats[0]
    output_in = shape.output_format or formats[-1]
    kv_map = KvMap(
        config.kv_layout,
        shape.head_size,
        -(-kv_heads // stack.vaults),
        -(-context // config.context_chips),
    )
    region = kv_map.region_pages
    lay = _Layout(config, table_page=kv_map.base(shape.layers, 0, False))
    steps: list[Step] = []
    norm_rows = lay.table(2 * shape.layers + 1, shape.width)
    norms = 0

    def norm(layer: int) -> Step:
        nonlocal norms
        row = TableRows(
            norm_rows.beat + norms * norm_rows.stride, norm_rows.stride, norm_rows.transfers
        )
        norms += 1
        return Step(Operation.NORM, shape.width // lanes, table=row, layer=layer)

    def multiply(
        layer: int, name: str, rows: int, inputs: int, target: Target, block: int = 0
    ) -> Step:
        format_ = output_in if layer == shape.layers else layers_in
        matrix = lay.matrix(name, rows, inputs, format_, target, block=block)
        return Step(Operation.MATRIX, matrix=matrix, layer=layer)

    def exchanged(layer: int, target: Target, count: int, gathers: bool = False) -> list[Step]:
        """What brings all chips' results together, where there are several."""
        step = Step(Operation.EXCHANGE, count, layer=layer, target=target, gathers=gathers)
        return [] if chips == 1 else [step]

    shares_context = config.context_chips > 1
    words = Target.PARTIAL if shares_context else Target.WORDS
    sums = Target.RESIDUAL if chips == 1 else Target.PARTIAL
    first_attended, head_inputs = share.blocks(queries) if shares_context else (0, queries)
    _, ffn = share.blocks(shape.ffn)
    widened = (2 if shape.gated else 1) * ffn
    attention, width = 2 * keys + queries, shape.width
    for layer in range(shape.layers):
        page = kv_map.base(layer, 0, False)
        steps += [
            norm(layer),
            multiply(
                layer,
                "attention",
                share.rows(attention) if shares_context else attention,
                width,
                words,
            ),
            *(exchanged(layer, Target.WORDS, attention // lanes, True) if shares_context else ()),
            Step(Operation.KEYS, keys // lanes, 0, page=page, layer=layer),
            Step(Operation.VALUES, keys // lanes, keys // lanes, page=page + region, layer=layer),
            Step(Operation.ATTEND, kv_heads, page=page, layer=layer),
            Step(Operation.QUERIES, queries // lanes, 2 * keys // lanes, layer=layer),
            multiply(layer, "attention output", width, head_inputs, sums, first_attended),
            *exchanged(layer, Target.RESIDUAL, width // lanes),
            norm(layer),
            multiply(layer, "gate and up", widened, width, Target.WORDS),
            Step(Operation.GATE, widened // lanes, layer=layer),
            multiply(layer, "down", width, ffn, sums),
            *exchanged(layer, Target.RESIDUAL, width // lanes),
        ]
    last = shape.layers
    steps += [
        norm(last),
        multiply(last, "output", share.rows(shape.vocabulary), width, Target.TOKEN),
        *exchanged(last, Target.TOKEN, chips),
        Step(Operation.NEXT, layer=last),
    ]
    embedding = lay.table(shape.vocabulary, embedding_words * shape.width)
    turns = lay.table(context, 2 * shape.head_size)
    steps = [
        Step(Operation.EMBED, embedding.transfers, table=embedding),
        Step(Operation.TURNS, turns.transfers, table=turns),
        *steps,
    ]
    beats = sum(step.matrix.pages for step in steps if step.matrix is not None)
    return Program(tuple(steps), kv_map, lay.pages, lay.table_page, beats * config.flash.page_beats)
