"""Attention scores on a board: K in flash, q to the slices, scores back over the fabric."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from amaranth.lib import data
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock, Mode, SliceCommand, SliceResult
from neardecode.config import BLOCK_ELEMENTS, TAG_BITS, Config
from neardecode.lib.flit import FlitKind, FlitLayout
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step, Storage
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.reference.pages import pages_of_rows, write_row
from neardecode_testbench.reference.scorers import IntegerScorer
from neardecode_testbench.reference.scores import AccumulatorFormat, Scores
from neardecode_testbench.scenarios.packing import Packer

__all__ = [
    "CapacityError",
    "KeyImage",
    "LayerRun",
    "LayerStimulus",
    "RtlScorer",
    "accumulator_format",
]


class CapacityError(ValueError):
    """Keys that do not fit the flash of a configuration."""


def accumulator_format(config: Config) -> AccumulatorFormat:
    """The accumulator of a configuration's slices, for the integer reference."""
    compute = config.compute
    return AccumulatorFormat(compute.accumulator_bits, compute.fraction_bits, compute.blocks_a_row)


class KeyImage:
    """Where the keys of every layer and KV head lie in the flash, and their bytes.

    The regions of layers and KV heads are dealt to the channels in turn. A region holds the rows
    of a whole context and has an odd number of pages, so that the first pages of successive
    regions lie in different banks.

    Args:
        config: A configuration.
        shape: The model's.
        context: Tokens to make room for.

    Raises:
        CapacityError: if a row or the whole does not fit.
    """

    def __init__(self, config: Config, shape: ModelShape, context: int):
        self.layout = config.kv_layout
        self._channels = config.flash.channels
        self._kv_heads = shape.kv_heads
        blocks = -(-shape.head_size // BLOCK_ELEMENTS)
        self.beats_a_row = -(-blocks // self.layout.blocks_a_beat)
        self.blocks_a_row = self.beats_a_row * self.layout.blocks_a_beat
        if self.blocks_a_row > config.compute.blocks_a_row:
            raise CapacityError(
                f"a key of {shape.head_size} elements has {self.blocks_a_row} blocks,"
                f" compute.blocks_a_row is {config.compute.blocks_a_row}"
            )
        if shape.heads > 1 << TAG_BITS:
            raise CapacityError(f"{shape.heads} heads need more than {TAG_BITS} bits of tag")
        if context > config.compute.rows:
            raise CapacityError(
                f"a context of {context} tokens has more rows than compute.rows,"
                f" {config.compute.rows}"
            )
        self.region_pages = pages_of_rows(context, self.layout, self.beats_a_row) | 1
        regions = -(-shape.layers * shape.kv_heads // self._channels)
        pages = regions * self.region_pages
        if pages > config.flash.pages:
            raise CapacityError(
                f"keys of {context} tokens take {pages} pages a channel, it has"
                f" {config.flash.pages}"
            )
        # Bytes of each channel: (channels, pages, page_bytes).
        self.pages = np.zeros((self._channels, pages, self.layout.page_bytes), np.uint8)

    def place(self, layer: int, kv_head: int) -> tuple[int, int]:
        """The channel and the first page of a region."""
        region = layer * self._kv_heads + kv_head
        return region % self._channels, region // self._channels * self.region_pages

    def append(self, layer: int, kv_head: int, row: int, key: BlockVector) -> None:
        """Writes one key, (blocks,), as row ``row`` of its region."""
        channel, base = self.place(layer, kv_head)
        region = self.pages[channel, base : base + self.region_pages]
        write_row(region, row, key, self.layout, self.beats_a_row)


@dataclass
class LayerRun:
    """One layer of one token on the board.

    Attributes:
        layer, position: Which.
        start, cycles: When, counted from reset.
        commands: In the order in which they were given, each head with its slice, and the cycles
            in which its command was taken and its first and last score came.
        pages: For each channel the cycles in which a page began to cross the core-die bus, and
            the beat address of its first beat.
    """

    layer: int
    position: int
    start: int
    cycles: int
    commands: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    pages: list[list[tuple[int, int]]] = field(default_factory=list)


class LayerStimulus:
    """The commands and queries that score one layer, and what they must give.

    Args:
        config: The board's configuration.
        shape: The model's.
        context: Tokens to make room for.
        stalls: Stall pattern of every stream at the board's edge, or None.
    """

    def __init__(
        self,
        config: Config,
        shape: ModelShape,
        context: int,
        stalls: np.ndarray | None = None,
    ):
        channels = config.flash.channels
        index = ceil_log2(channels)
        command = SliceCommand(config.compute, ceil_log2(config.flash.pages))
        block = ActivationBlock(config.compute)
        self._config = config
        self._shape = shape
        self._stalls = stalls
        self._commands = Packer(data.StructLayout({"slice": index, "command": command}))
        self._activations = Packer(data.StructLayout({"slice": index, "block": block}))
        ends = channels + 1
        layout = FlitLayout.for_payload(config.fabric.payload_bits, ends, ends)
        self._flits = Packer(layout.first)
        self._results = Packer(SliceResult(config.compute))
        self.image = KeyImage(config, shape, context)
        # The first head of every group, then the second: all slices begin at once, and the pages
        # that they share are sensed while nobody waits for a later head's query.
        self.order = sorted(range(shape.heads), key=lambda head: head % shape.group)

    def slice_of(self, layer: int, head: int) -> int:
        """The slice that scores a head."""
        return self.image.place(layer, head // self._shape.group)[0]

    def play(self, layer: int, query: BlockVector, positions: int, expected: Scores | None) -> Play:
        """Scores all heads of a layer against its first keys.

        Args:
            layer: The layer.
            query: (heads, blocks).
            positions: Keys.
            expected: (heads, positions), or None to compare nothing.
        """
        flash = self._config.flash
        heads = self.order
        flits = None
        if expected is not None:
            flits = [
                self._flit(layer, head, row, expected) for head in heads for row in range(positions)
            ]
        return Play(
            sources=[
                Source(
                    "commands",
                    [self._command(layer, head, positions) for head in heads],
                    self._stalls,
                ),
                Source(
                    "activations",
                    [bits for head in heads for bits in self._blocks(layer, head, query)],
                    self._stalls,
                ),
            ],
            # Scores of one slice come in order; those of different slices interleave.
            sinks=[
                Sink(
                    "results",
                    len(heads) * positions,
                    flits,
                    self._stalls,
                    self._flits.mask("header.source"),
                )
            ],
            storages=[
                Storage(
                    f"storage__{channel}",
                    self.image.pages[channel],
                    flash.beat_bytes,
                    log_every=flash.page_beats,
                )
                for channel in range(flash.channels)
            ],
            levels={"counting": 1},
            limit=self._limit(positions),
        )

    def read(self, payload: int) -> tuple[int, int, int, bool, bool]:
        """Head, row, value, saturated and error of a flit from the board."""
        result = self._flits.field(payload, "payload")
        head, row, value, saturated, error = (
            self._results.field(result, name)
            for name in ("tag", "row", "values.0", "saturated", "error")
        )
        return head, row, value, bool(saturated), bool(error)

    def _command(self, layer: int, head: int, positions: int) -> int:
        kv_head, member = divmod(head, self._shape.group)
        channel, base = self.image.place(layer, kv_head)
        return self._commands.pack(
            {
                "slice": channel,
                "command.mode": Mode.DOT.value,
                "command.format": self.image.layout.format.value,
                "command.base": base,
                "command.rows": positions,
                "command.blocks": self.image.blocks_a_row,
                # The other heads of the group find the pages as the first one left them.
                "command.appended": member == 0,
                "command.tag": head,
            }
        )

    def _blocks(self, layer: int, head: int, query: BlockVector) -> Iterator[int]:
        for block in range(self.image.blocks_a_row):
            padding = block >= query.blocks
            yield self._activations.pack(
                {
                    "slice": self.slice_of(layer, head),
                    "block.elements": [] if padding else query.elements[head, block],
                    "block.exponent": 0 if padding else query.exponents[head, block],
                    "block.last": block == self.image.blocks_a_row - 1,
                }
            )

    def _flit(self, layer: int, head: int, row: int, expected: Scores) -> int:
        result = {
            "values": [expected.values[head, row]],
            "row": row,
            "saturated": expected.saturated[head, row],
            "tag": head,
        }
        return self._flits.pack(
            {
                "header.port": 1 << self._config.flash.channels,
                "header.source": self.slice_of(layer, head),
                "header.destination": self._config.flash.channels,
                "header.kind": FlitKind.RESULT.value,
                "tail": 1,
                "payload": self._results.pack(result),
            }
        )

    def _limit(self, positions: int) -> int:
        """Far more cycles than a layer can take: every page of every head sensed on its own."""
        pages = pages_of_rows(positions, self.image.layout, self.image.beats_a_row)
        page = self._config.sense_cycles + 4 * self._config.flash.page_beats + 100
        stretch = 1 if self._stalls is None else 16
        return stretch * self._shape.heads * (pages + 1) * page + 10_000


class RtlScorer(IntegerScorer):
    """Scores computed by a board; each is compared with the integer reference as it appears.

    Args:
        config: The board's configuration.
        shape: The model's.
        step: Hands a step to the simulator.
        context: Tokens to make room for.
        stalls: Stall pattern of every stream at the board's edge, or None.
        on_layer: Called with each layer that ran.
    """

    def __init__(
        self,
        config: Config,
        shape: ModelShape,
        step: Step,
        *,
        context: int,
        stalls: np.ndarray | None = None,
        on_layer: Callable[[LayerRun], None] | None = None,
    ):
        super().__init__(
            shape, config.compute.activation_bits, accumulator=accumulator_format(config)
        )
        self._stimulus = LayerStimulus(config, shape, context, stalls)
        self._step = step
        self._on_layer = on_layer
        self.values_compared = 0
        self.mismatches = 0
        self.first_mismatch: str | None = None
        self.errors = 0
        self.cycles = 0

    def integer(self, layer: int, query: BlockVector) -> Scores:
        """As ``IntegerScorer.integer``, out of the board."""
        expected = super().integer(layer, query)
        keys = self.keys(layer)  # (kv_heads, positions, blocks)
        positions = keys.exponents.shape[1]
        for kv_head in range(self.shape.kv_heads):
            self._stimulus.image.append(layer, kv_head, positions - 1, keys[kv_head, positions - 1])

        outcome = self._step(self._stimulus.play(layer, query, positions, expected))
        log = outcome.sinks["results"]
        self.cycles += outcome.cycles
        self.values_compared += len(log.payloads)
        self.mismatches += len(log.mismatches)
        if log.mismatches and self.first_mismatch is None:
            cycle = log.cycles[log.mismatches[0]]
            self.first_mismatch = f"layer {layer}, position {positions - 1}, cycle {cycle}"

        values = np.zeros_like(expected.values)
        saturated = np.zeros_like(expected.saturated)
        cycles = np.zeros(expected.values.shape, np.int64)
        for cycle, payload in zip(log.cycles, log.payloads, strict=True):
            head, row, value, clamped, error = self._stimulus.read(payload)
            if head < values.shape[0] and row < positions:
                values[head, row], saturated[head, row] = value, clamped
                cycles[head, row] = cycle
            self.errors += error
        if self._on_layer is not None:
            self._on_layer(
                LayerRun(
                    layer,
                    positions - 1,
                    outcome.start,
                    outcome.cycles,
                    [
                        (
                            head,
                            self._stimulus.slice_of(layer, head),
                            taken,
                            int(cycles[head].min()),
                            int(cycles[head].max()),
                        )
                        for head, taken in zip(
                            self._stimulus.order, outcome.sources["commands"], strict=True
                        )
                    ],
                    list(outcome.accesses.values()),
                )
            )
        return Scores(values, saturated)
