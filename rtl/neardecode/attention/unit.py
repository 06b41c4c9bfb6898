"""Attention beside a memory: one slice, a softmax a query, and what joins them."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.attention.layouts import AttentionCommand, AttentionPartial
from neardecode.attention.queries import QueryStore
from neardecode.attention.tiles import TileSequence
from neardecode.compute.command import SELECTION_BITS, ActivationBlock, Mode, SliceSum
from neardecode.compute.pace import THROTTLE_CYCLES
from neardecode.compute.slice import MacSlice
from neardecode.compute.softmax.softmax import Softmax
from neardecode.config import (
    BLOCK_ELEMENTS,
    TAG_BITS,
    AttentionCause,
    BlockFormat,
    Config,
)
from neardecode.lib.counters import CycleCounters
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.once import once
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["AttentionUnit", "others"]

ROWS_AHEAD = 4
"""Commands between their last score and their partial: at most three can be."""


def others(streams: Sequence[stream.Interface], index: int, name: str) -> Value:
    """Whether all streams but one are valid, or ready: several that only move together."""
    return Cat(getattr(each, name) for at, each in enumerate(streams) if at != index).all()


@once
class AttentionUnit(wiring.Component):
    """Attends to rows of keys and values, each read once for all queries that share them.

    A command's rows go through in tiles of ``vector.tile_rows``, which are whole pages: keys are
    multiplied by the queries, the scores go to a softmax a query, and when a tile's largest score
    is known its values are weighed, the sums of earlier tiles moved first. The values of a tile are
    read behind the keys of the next (`TileSequence`). A command gives a partial a query and the
    sums of weighted values, an element after the other; both of them wait for their readers, the
    sums while those of the next command grow.

    Rate: a beat a cycle, for ``2 * pages * page_beats`` beats, where the memory gives so many and
    tiles are longer than `turn`. A lone command's last values wait for their largest score, `turn`
    cycles from the last beat that was taken before them.

    Parameters:
        config: A configuration.
        address_bits: Bits of a page's address.
        ahead: Tiles whose pages may be asked for ahead, at least 2.

    Members:
        commands: In(stream of `AttentionCommand`).
        queries: In(stream of `ActivationBlock`). Each command's vectors, one after the other.
        selections: In(stream of SELECTION_BITS). As `TileSequence`.
        requests: Out(stream of `PageRequest`).
        beats: In(stream of `PageBeat`).
        partials: Out(stream of `AttentionPartial`).
        sums: Out(stream of `SliceSum`).
        throttle: In(range(17)). As `MacSlice`.
        counting: In(1). Counters run.
        cycles: Out(counts by `AttentionCause`).
        slice_cycles: Out(counts by `SliceCause`).

    Raises:
        ValueError: as `tile_pages`, or if ``ahead`` is not an integer of at least 2.
    """

    commands: stream.Interface
    queries: stream.Interface
    selections: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    partials: stream.Interface
    sums: stream.Interface
    throttle: Signal
    counting: Signal
    cycles: data.View
    slice_cycles: data.View

    def __init__(self, config: Config, address_bits: int, ahead: int = 4):
        if not isinstance(ahead, int) or ahead < 2:
            raise ValueError(f"ahead must be an integer of at least 2, not {ahead!r}")
        self._config, self._address_bits = config, address_bits
        self._sequence = TileSequence(config, address_bits, ahead)
        self._cycles = CycleCounters(AttentionCause)
        compute = config.compute
        self._slice = MacSlice(config, address_bits)
        super().__init__(
            {
                "commands": In(stream.Signature(AttentionCommand(config, address_bits))),
                "queries": In(stream.Signature(ActivationBlock(compute))),
                "selections": In(stream.Signature(SELECTION_BITS)),
                "requests": Out(stream.Signature(PageRequest(address_bits))),
                "beats": In(stream.Signature(PageBeat(config.flash.beat_bytes))),
                "partials": Out(stream.Signature(AttentionPartial(config))),
                "sums": Out(stream.Signature(SliceSum(compute))),
                "throttle": In(range(THROTTLE_CYCLES + 1)),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                "slice_cycles": self._slice.signature.members["cycles"],
            }
        )

    @property
    def turn(self) -> int:
        """Cycles from a tile's last beat of keys to its first of elements of values."""
        return self._slice.latency + Softmax.latency

    def elaborate(self, platform) -> Module:
        """Steps to commands, results to scores, probabilities back."""
        m = Module()
        m.submodules.sequence = sequence = self._sequence
        m.submodules.slice = slice_ = self._slice
        m.submodules.queries = queries = QueryStore(self._config)
        softmaxes = [Softmax(self._config) for _ in range(self._config.compute.vectors)]
        for index, softmax in enumerate(softmaxes):
            m.submodules[f"softmax_{index}"] = softmax
        connect(m, flipped(self.commands), sequence.commands)
        connect(m, flipped(self.selections), sequence.selections)
        connect(m, sequence.requests, flipped(self.requests))
        connect(m, flipped(self.queries), queries.queries)
        connect(m, queries.blocks, slice_.activations)
        connect(m, flipped(self.beats), slice_.beats)
        connect(m, slice_.sums, flipped(self.sums))
        m.d.comb += [
            # The sequence has asked for the same pages, in the same order.
            slice_.requests.ready.eq(1),
            slice_.throttle.eq(self.throttle),
            slice_.counting.eq(self.counting),
            self.slice_cycles.eq(slice_.cycles),
        ]
        scored = self._command(m, sequence, slice_, queries, softmaxes)
        ended = self._score(m, scored, slice_, softmaxes)
        self._weigh(m, ended, slice_, softmaxes)
        self._count(m, sequence, slice_, queries)
        return m

    def _command(self, m: Module, sequence, slice_, queries, softmaxes) -> StreamFIFO:
        """A step becomes a command; what its results mean is kept."""
        compute = self._config.compute
        layout = data.StructLayout(
            {"last": compute.row_bits, "opens": 1, "closes": 1, "tag": TAG_BITS}
        )
        m.submodules.scored = scored = StreamFIFO(layout, 2 * compute.commands_ahead)
        m.submodules.loads = loads = StreamFIFO(1, 2 * compute.commands_ahead)
        connect(m, loads.o, queries.tiles)
        step, command = sequence.steps.payload, slice_.commands.payload
        known = Cat(softmax.rescales.valid for softmax in softmaxes).all()
        room = scored.i.ready & loads.i.ready
        fits = Signal()
        taken = Signal()
        m.d.comb += [
            fits.eq(Mux(step.value, known, room)),
            slice_.commands.valid.eq(sequence.steps.valid & fits),
            taken.eq(slice_.commands.valid & slice_.commands.ready),
            sequence.steps.ready.eq(taken),
            command.mode.eq(Mux(step.value, Mode.ACCUMULATE, Mode.DOT)),
            command.format.eq(BlockFormat.MXINT8.value),
            command.base.eq(step.page),
            command.rows.eq(step.rows),
            command.blocks.eq(compute.head_elements // BLOCK_ELEMENTS),
            command.keep.eq(~step.opens),
            command.deliver.eq(step.closes),
            command.tag.eq(step.tag),
            scored.i.valid.eq(taken & ~step.value),
            scored.i.payload.last.eq(step.rows - 1),
            scored.i.payload.opens.eq(step.opens),
            scored.i.payload.closes.eq(step.closes),
            scored.i.payload.tag.eq(step.tag),
            loads.i.valid.eq(taken & ~step.value),
            loads.i.payload.eq(step.closes),
        ]
        for index, softmax in enumerate(softmaxes):
            rescale = softmax.rescales.payload.shift
            # A shift by all bits but the sign empties an accumulator as any larger one does.
            largest = (1 << len(command.rescale[index])) - 1
            m.d.comb += [
                softmax.rescales.ready.eq(taken & step.value),
                command.rescale[index].eq(Mux(rescale > largest, largest, rescale)),
            ]
        return scored

    def _score(self, m: Module, scored, slice_, softmaxes) -> StreamFIFO:
        """A row's results go to every softmax at once."""
        vectors = len(softmaxes)
        layout = data.StructLayout({"clamped": vectors, "error": 1, "tag": TAG_BITS})
        m.submodules.ended = ended = StreamFIFO(layout, ROWS_AHEAD)
        result, tile = slice_.results.payload, scored.o.payload
        last, closes = Signal(), Signal()
        taken = Signal()
        clamped, error = Signal(vectors), Signal()
        scores = [softmax.scores for softmax in softmaxes]
        m.d.comb += [
            last.eq(result.row == tile.last),
            closes.eq(last & tile.closes),
            slice_.results.ready.eq(
                Cat(each.ready for each in scores).all() & (~closes | ended.i.ready)
            ),
            taken.eq(slice_.results.valid & slice_.results.ready),
            scored.o.ready.eq(taken & last),
            ended.i.valid.eq(taken & closes),
            ended.i.payload.clamped.eq(clamped | result.saturated),
            ended.i.payload.error.eq(error | result.error),
            ended.i.payload.tag.eq(tile.tag),
        ]
        with m.If(taken):
            m.d.sync += [
                clamped.eq(Mux(closes, 0, clamped | result.saturated)),
                error.eq(~closes & (error | result.error)),
            ]
        for index, each in enumerate(scores):
            m.d.comb += [
                each.valid.eq(
                    slice_.results.valid
                    & others(scores, index, "ready")
                    & (~closes | ended.i.ready)
                ),
                each.payload.value.eq(result.values[index]),
                each.payload.last.eq(last),
                each.payload.opens.eq(tile.opens),
                each.payload.closes.eq(tile.closes),
            ]
        return ended

    def _weigh(self, m: Module, ended, slice_, softmaxes) -> None:
        """A row's probabilities go to the slice at once, a command's partials to the edge."""
        weights = [softmax.probabilities for softmax in softmaxes]
        partials = [softmax.partials for softmax in softmaxes]
        partial = self.partials.payload
        m.d.comb += [
            slice_.probabilities.valid.eq(Cat(each.valid for each in weights).all()),
            self.partials.valid.eq(Cat(each.valid for each in partials).all() & ended.o.valid),
            ended.o.ready.eq(self.partials.valid & self.partials.ready),
            partial.clamped.eq(ended.o.payload.clamped),
            partial.error.eq(ended.o.payload.error),
            partial.tag.eq(ended.o.payload.tag),
        ]
        for index, (weight, one) in enumerate(zip(weights, partials, strict=True)):
            m.d.comb += [
                slice_.probabilities.payload[index].eq(weight.payload),
                weight.ready.eq(slice_.probabilities.valid & slice_.probabilities.ready),
                partial.vectors[index].eq(one.payload),
                one.ready.eq(self.partials.valid & self.partials.ready),
            ]

    def _count(self, m: Module, sequence, slice_, queries) -> None:
        """One cause a cycle."""
        m.submodules.cycle_counters = counters = self._cycles
        cause = counters.cause
        # Commands whose sums have not all left, and pages whose last beat has not come.
        open_rows = Signal(8)
        open_pages = Signal(len(self.commands.payload.rows) + 8)
        sums = self.sums
        last = sums.payload.element == self._config.compute.head_elements - 1
        begun = self.commands.valid & self.commands.ready
        ended = sums.valid & sums.ready & last
        asked = self.requests.valid & self.requests.ready
        read = self.beats.valid & self.beats.ready & self.beats.payload.last
        pages = Mux(asked, self.requests.payload.pages, 0)
        m.d.sync += [
            open_rows.eq(open_rows + begun - ended),
            open_pages.eq(open_pages + pages - read),
        ]
        held = (self.partials.valid & ~self.partials.ready) | (sums.valid & ~sums.ready)
        with m.If(self.beats.valid & self.beats.ready):
            m.d.comb += cause.eq(AttentionCause.BUSY.value)
        with m.Elif(self.beats.valid & queries.missing):
            m.d.comb += cause.eq(AttentionCause.QUERIES.value)
        with m.Elif(self.beats.valid & held):
            m.d.comb += cause.eq(AttentionCause.OUTPUT.value)
        with m.Elif(self.beats.valid & slice_.paused):
            m.d.comb += cause.eq(AttentionCause.PACE.value)
        with m.Elif(self.beats.valid):
            m.d.comb += cause.eq(AttentionCause.SOFTMAX.value)
        with m.Elif(sequence.waiting | (open_pages != 0)):
            m.d.comb += cause.eq(AttentionCause.MEMORY.value)
        with m.Elif(open_rows != 0):
            m.d.comb += cause.eq(AttentionCause.RESULTS.value)
        with m.Else():
            m.d.comb += cause.eq(AttentionCause.IDLE.value)
        m.d.comb += [counters.counting.eq(self.counting), self.cycles.eq(counters.counts)]
