"""The MAC slice: rows of blocks stream out of a memory, one result a row streams out."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2, exact_log2

from neardecode.compute.activation import ActivationBuffer
from neardecode.compute.command import ActivationBlock, SliceCommand, SliceResult
from neardecode.compute.dot import BlockDot
from neardecode.config import TAG_BITS, Config, SliceCause
from neardecode.lib.counters import CycleCounters
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["MacSlice"]


class MacSlice(wiring.Component):
    """Dot products of the rows of MXINT8 pages with block-scaled activations.

    A command's pages are asked for ahead of their use, up to the pages of `commands_ahead`
    commands. Rows follow each other over consecutive beats and straddle pages. A beat is taken
    in every cycle in which the memory offers one, the command's activations are loaded and no
    result waits; a row's result appears `latency` cycles after its last beat was taken, not
    counting cycles in which a result waits at the output.

    Parameters:
        config: A configuration.
        address_bits: Bits of a page's address.

    Members:
        commands: In(stream of `SliceCommand`).
        activations: In(stream of `ActivationBlock`). One vector a command, in order of command.
        requests: Out(stream of `PageRequest`).
        beats: In(stream of `PageBeat`).
        results: Out(stream of `SliceResult`). In order of row.
        counting: In(1). Counters run.
        cycles: Out(counts by `SliceCause`).
    """

    latency = BlockDot.latency + 1
    """Cycles from a row's last beat to its result."""

    commands_ahead = 4
    """Commands whose pages may be asked for before the first of them is done."""

    commands: stream.Interface
    activations: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    results: stream.Interface
    counting: Signal
    cycles: data.View

    def __init__(self, config: Config, address_bits: int):
        self._config = config.compute
        self._layout = config.kv_layout
        self._address_bits = address_bits
        self._cycles = CycleCounters(SliceCause)
        super().__init__(
            {
                "commands": In(stream.Signature(SliceCommand(config.compute, address_bits))),
                "activations": In(stream.Signature(ActivationBlock(config.compute))),
                "requests": Out(stream.Signature(PageRequest(address_bits))),
                "beats": In(stream.Signature(PageBeat(config.flash.beat_bytes))),
                "results": Out(stream.Signature(SliceResult(config.compute))),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Ask for pages, take beats, feed the dot unit."""
        m = Module()
        layout = self._layout
        blocks_a_beat = layout.blocks_a_beat
        beats_a_row_bits = ceil_log2(self._config.blocks_a_row // blocks_a_beat + 1)
        row_bits = ceil_log2(self._config.rows + 1)

        # Asking for pages.
        context_layout = data.StructLayout(
            {"rows": row_bits, "beats_a_row": beats_a_row_bits, "tag": TAG_BITS}
        )
        m.submodules.contexts = contexts = StreamFIFO(context_layout, self.commands_ahead)
        command = self.commands.payload
        beats_a_row = command.blocks >> exact_log2(blocks_a_beat)
        remaining = Signal(row_bits + beats_a_row_bits)
        page = Signal(self._address_bits + 1)
        appended = Signal()
        row_beats = Signal(beats_a_row_bits)
        tag = Signal(TAG_BITS)
        asking = Signal()
        final = Signal()
        m.d.comb += [
            asking.eq(remaining != 0),
            final.eq(remaining <= layout.element_beats),
            self.requests.valid.eq(asking),
            self.requests.payload.address.eq(page),
            self.requests.payload.pages.eq(1),
            # Every page that holds a part of the last row.
            self.requests.payload.fresh.eq(
                appended & (remaining < layout.element_beats + row_beats)
            ),
            self.requests.payload.tag.eq(tag),
            self.commands.ready.eq(contexts.i.ready & (~asking | (final & self.requests.ready))),
            contexts.i.valid.eq(self.commands.valid & self.commands.ready & (command.rows != 0)),
            contexts.i.payload.rows.eq(command.rows),
            contexts.i.payload.beats_a_row.eq(beats_a_row),
            contexts.i.payload.tag.eq(command.tag),
        ]
        with m.If(asking & self.requests.ready):
            m.d.sync += [
                remaining.eq(Mux(final, 0, remaining - layout.element_beats)),
                page.eq(page + 1),
            ]
        with m.If(self.commands.valid & self.commands.ready):
            m.d.sync += [
                remaining.eq(command.rows * beats_a_row),
                page.eq(command.base),
                appended.eq(command.appended),
                row_beats.eq(beats_a_row),
                tag.eq(command.tag),
            ]

        # Taking beats: which beat of the page, of the row, and which row.
        m.submodules.activation_buffer = activations = ActivationBuffer(self._config, blocks_a_beat)
        connect(m, flipped(self.activations), activations.blocks)
        context = contexts.o.payload
        page_beat = Signal(range(layout.beats))
        row_beat = Signal(range(self._config.blocks_a_row // blocks_a_beat))
        row = Signal(ceil_log2(self._config.rows))
        rows_done = Signal()
        is_scale = Signal()
        is_element = Signal()
        advance = Signal()
        taken = Signal()
        row_last = Signal()
        command_last = Signal()
        beat = self.beats.payload
        m.d.comb += [
            is_scale.eq(page_beat < layout.scale_beats),
            is_element.eq(
                ~is_scale & (page_beat < layout.scale_beats + layout.element_beats) & ~rows_done
            ),
            advance.eq(~self.results.valid | self.results.ready),
            self.beats.ready.eq(advance & contexts.o.valid & activations.ready),
            taken.eq(self.beats.valid & self.beats.ready),
            row_last.eq(row_beat == context.beats_a_row - 1),
            command_last.eq(
                taken
                & beat.last
                & (rows_done | (is_element & row_last & (row == context.rows - 1)))
            ),
            contexts.o.ready.eq(command_last),
            activations.release.eq(command_last),
            activations.address.eq(row_beat),
            activations.enable.eq(taken & is_element),
        ]
        row_error = Signal()
        with m.If(taken):
            m.d.sync += page_beat.eq(Mux(beat.last, 0, page_beat + 1))
            with m.If(is_element):
                m.d.sync += [row_beat.eq(row_beat + 1), row_error.eq(row_error | beat.error)]
                with m.If(row_last):
                    m.d.sync += [row_beat.eq(0), row.eq(row + 1), row_error.eq(0)]
                    with m.If(row == context.rows - 1):
                        m.d.sync += rows_done.eq(1)
        with m.If(command_last):
            m.d.sync += [rows_done.eq(0), row.eq(0)]

        # Scales wait for their elements; both leave together.
        scales = Signal(data.ArrayLayout(unsigned(8 * layout.beat_bytes), layout.scale_beats))
        with m.If(taken & is_scale):
            m.d.sync += scales[page_beat[: max(1, ceil_log2(layout.scale_beats))]].eq(beat.data)
        element_beat = Signal(range(layout.element_beats))
        m.d.comb += element_beat.eq(page_beat - layout.scale_beats)

        m.submodules.dot = dot = BlockDot(self._config, blocks_a_beat)
        meta_layout = data.StructLayout(
            {"row": ceil_log2(self._config.rows), "error": 1, "tag": TAG_BITS}
        )
        metas = [Signal(meta_layout, name=f"meta_{stage}") for stage in range(self.latency)]
        m.d.comb += [
            dot.enable.eq(advance),
            dot.activations.eq(activations.beat),
        ]
        with m.If(advance):
            m.d.sync += [
                dot.valid.eq(taken & is_element),
                dot.first.eq(row_beat == 0),
                dot.last.eq(row_last),
            ]
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(metas)]
            m.d.sync += [
                metas[0].row.eq(row),
                metas[0].error.eq(row_error | beat.error),
                metas[0].tag.eq(context.tag),
            ]
        with m.If(taken & is_element):
            m.d.sync += [
                dot.elements.eq(beat.data),
                dot.scales.eq(scales.as_value().word_select(element_beat, 8 * blocks_a_beat)),
            ]
        result = self.results.payload
        m.d.comb += [
            self.results.valid.eq(dot.done),
            result.value.eq(dot.value),
            result.saturated.eq(dot.saturated),
            result.row.eq(metas[-1].row),
            result.error.eq(metas[-1].error),
            result.tag.eq(metas[-1].tag),
        ]

        m.submodules.cycle_counters = self._cycles
        cause = self._cycles.cause
        with m.If(taken & is_element):
            m.d.comb += cause.eq(SliceCause.BUSY.value)
        with m.Elif(taken & is_scale):
            m.d.comb += cause.eq(SliceCause.SCALES.value)
        with m.Elif(taken):
            m.d.comb += cause.eq(SliceCause.TAIL.value)
        with m.Elif(~advance):
            m.d.comb += cause.eq(SliceCause.RESULTS.value)
        with m.Elif(contexts.o.valid & self.beats.valid):
            m.d.comb += cause.eq(SliceCause.ACTIVATION.value)
        with m.Elif(contexts.o.valid):
            m.d.comb += cause.eq(SliceCause.MEMORY.value)
        with m.Else():
            m.d.comb += cause.eq(SliceCause.IDLE.value)
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
        ]
        return m
