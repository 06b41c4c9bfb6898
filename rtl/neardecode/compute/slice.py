"""The MAC slice: rows of blocks stream out of a memory, results stream out."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.compute.activation import ActivationBuffer
from neardecode.compute.command import (
    FORMAT_BITS,
    SELECTION_BITS,
    ActivationBlock,
    Mode,
    Probability,
    SliceCommand,
    SliceResult,
    SliceSum,
)
from neardecode.compute.dot import BlockDot
from neardecode.compute.lanes import LaneElements, Lanes, choose
from neardecode.compute.pace import THROTTLE_CYCLES, Pace
from neardecode.compute.requests import RowRequests, SelectedPage
from neardecode.compute.rows import RowWalk
from neardecode.compute.scales import ScaleBuffer
from neardecode.compute.sums import SumLanes
from neardecode.config import BLOCK_ELEMENTS, TAG_BITS, BlockFormat, Config, SliceCause
from neardecode.lib.clock_gate import Gated
from neardecode.lib.counters import CycleCounters
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest
from neardecode.lib.population import ones

__all__ = ["MacSlice"]

COUNT_BITS = 48
SELECTED_PAGES_AHEAD = 64
"""Pages of commands with a selection that may be asked for before the first of them is done."""


class MacSlice(wiring.Component):
    """Products of the rows of pages with block-scaled activations, or their sums over rows.

    In `Mode.DOT` every row is multiplied by the command's vectors. In `Mode.ACCUMULATE` every row
    is multiplied by a probability a vector and added to the sums of its elements.

    A command's pages are asked for ahead of their use, up to the pages of `commands_ahead`
    commands. Rows follow each other block by block and straddle beats and pages. A beat is taken
    in every cycle in which the memory offers one, the command's activations or the row's
    probabilities are there, no result waits, and neither the slice's clock nor the throttle takes
    the cycle away. A row's result appears `latency` cycles after its last beat was taken, not
    counting cycles in which a result waits at the output; a command's first sum `sum_latency`
    cycles after its last beat of elements. One command's sums may wait while those of the next
    grow; the last beat of a further one waits for them.

    Parameters:
        config: A configuration.
        address_bits: Bits of a page's address.

    Members:
        commands: In(stream of `SliceCommand`).
        activations: In(stream of `ActivationBlock`). The vectors of one command after another,
            one after the other, each as often as it takes to fill whole beats.
        probabilities: In(stream of `Probability`, a vector each). One a row to accumulate. Only
            with ``head_elements``.
        selections: In(stream of words). As `RowRequests`. Only with ``selection``.
        requests: Out(stream of `PageRequest`).
        beats: In(stream of `PageBeat`).
        results: Out(stream of `SliceResult`). In order of row.
        sums: Out(stream of `SliceSum`). In order of element. Only with ``head_elements``.
        throttle: In(range(17)). As `Pace`.
        paused: Out(1). The slice's clock does not move, or the throttle takes the cycle away.
        counting: In(1). Counters run.
        cycles: Out(counts by `SliceCause`).
        zero_blocks: Out(48). Blocks of rows whose elements are all zero, or that were left out.
    """

    commands_ahead = 4
    """Commands whose pages may be asked for before the first of them is done."""

    commands: stream.Interface
    activations: stream.Interface
    probabilities: stream.Interface
    selections: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    results: stream.Interface
    sums: stream.Interface
    throttle: Signal
    paused: Signal
    counting: Signal
    cycles: data.View
    zero_blocks: Signal

    def __init__(self, config: Config, address_bits: int):
        self._config = config.compute
        self._lanes = Lanes.of(config)
        self._address_bits = address_bits
        self._cycles = CycleCounters(SliceCause)
        self._dot = BlockDot(config.compute, self._lanes)
        compute = config.compute
        members = {
            "commands": In(stream.Signature(SliceCommand(compute, address_bits))),
            "activations": In(stream.Signature(ActivationBlock(compute))),
            "requests": Out(stream.Signature(PageRequest(address_bits))),
            "beats": In(stream.Signature(PageBeat(config.flash.beat_bytes))),
            "results": Out(stream.Signature(SliceResult(compute))),
            "throttle": In(range(THROTTLE_CYCLES + 1)),
            "paused": Out(1),
            "counting": In(1),
            "cycles": Out(self._cycles.counts.shape()),
            "zero_blocks": Out(COUNT_BITS),
        }
        if compute.head_elements:
            weights = data.ArrayLayout(Probability(compute), compute.vectors)
            members |= {
                "probabilities": In(stream.Signature(weights)),
                "sums": Out(stream.Signature(SliceSum(compute))),
            }
        if compute.selection:
            members["selections"] = In(stream.Signature(SELECTION_BITS))
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles of the slice's clock from a row's last beat to its result."""
        return self._dot.latency + 1

    @property
    def sum_latency(self) -> int:
        """Cycles of the slice's clock from a command's last beat of elements to its first sum."""
        return SumLanes.latency + 1

    def elaborate(self, platform) -> Module:
        """Ask for pages, take beats, feed the arithmetic."""
        m = Module()
        config, lanes = self._config, self._lanes
        has_sums, has_selection = bool(config.head_elements), config.selection
        m.submodules.pace = pace = Pace(config.clock_divider)
        m.d.comb += [
            pace.throttle.eq(self.throttle),
            self.paused.eq(~pace.moves | pace.halted),
        ]

        # Commands: their pages are asked for, and what their beats mean is kept.
        command = self.commands.payload
        context_members = {
            name: command[name].shape()
            for name in (
                "mode",
                "format",
                "rows",
                "blocks",
                "page_rows",
                "pages",
                "keep",
                "deliver",
            )
            if name in command.shape().members
        }
        if has_sums:
            context_members["rescale"] = command.rescale.shape()
        context_layout = data.StructLayout({**context_members, "tag": TAG_BITS})
        m.submodules.contexts = contexts = StreamFIFO(context_layout, self.commands_ahead)
        m.submodules.asking = asking = RowRequests(config, lanes, self._address_bits)
        connect(m, asking.requests, flipped(self.requests))
        m.d.comb += [
            asking.command.eq(command),
            asking.start.eq(self.commands.valid & self.commands.ready),
            self.commands.ready.eq(contexts.i.ready & asking.free),
            contexts.i.valid.eq(self.commands.valid & self.commands.ready & (command.rows != 0)),
        ]
        m.d.comb += [contexts.i.payload[name].eq(command[name]) for name in context_layout.members]
        context = contexts.o.payload
        format_: Value = Const(lanes.formats[0].value, FORMAT_BITS)
        if len(lanes.formats) > 1:
            format_ = context.format
        weighing: Value = context.mode == Mode.ACCUMULATE if has_sums else Const(0, 1)

        layouts = lanes.layouts
        m.submodules.walk = walk = RowWalk(config, lanes, self._address_bits + 1)
        advance, taken = Signal(name="advance"), Signal(name="taken")
        beat = self.beats.payload
        m.d.comb += [
            walk.format.eq(format_),
            walk.rows.eq(context.rows),
            walk.blocks.eq(context.blocks),
            walk.beat.eq(beat),
            walk.taken.eq(taken),
        ]
        offered = Signal()
        m.d.comb += offered.eq(contexts.o.valid & self.beats.valid)
        dropped: Value = Const(0, 1)
        if has_selection:
            m.submodules.pages = pages = StreamFIFO(SelectedPage(config), SELECTED_PAGES_AHEAD)
            connect(m, flipped(self.selections), asking.selections)
            connect(m, asking.pages, pages.i)
            selected = Signal()
            page = pages.o.payload
            dropped = Signal(name="dropped")
            fed_vector = Signal()
            m.d.comb += [
                selected.eq(context.page_rows != 0),
                dropped.eq(contexts.o.valid & selected & pages.o.valid & page.none & fed_vector),
                pages.o.ready.eq(dropped | (taken & beat.last & selected)),
            ]
            m.d.comb += [walk.page.eq(page), walk.page_rows.eq(context.page_rows)]
            with m.If(selected):
                m.d.comb += offered.eq(
                    contexts.o.valid & self.beats.valid & pages.o.valid & ~page.none
                )

        # Everything that a beat waits for.
        m.submodules.buffer = buffer = ActivationBuffer(config, lanes)
        connect(m, flipped(self.activations), buffer.blocks)
        fed = Signal()
        blocked: Value = Const(0, 1)
        m.d.comb += fed.eq(buffer.ready)
        if has_selection:
            m.d.comb += fed_vector.eq(buffer.ready | weighing)
        if has_sums:
            delivering = Signal()
            last_of_sums = Signal()
            blocked = Signal(name="blocked")
            m.d.comb += [
                last_of_sums.eq(
                    weighing & walk.is_element & walk.row_last & walk.final & context.deliver
                ),
                blocked.eq(contexts.o.valid & last_of_sums & delivering),
            ]
            with m.If(weighing):
                m.d.comb += fed.eq(self.probabilities.valid | ~walk.is_element)
        passes: Value = Const(0, 1)
        if config.skip_zeros:
            passes = Signal(name="passes")
            m.d.comb += [walk.pages.eq(context.pages), walk.passes.eq(passes)]
        given = Signal()
        waits = Signal()
        done = self._dot.done & ~given
        m.d.comb += [
            waits.eq(done & ~self.results.ready),
            advance.eq(pace.moves & ~waits),
            self.beats.ready.eq(advance & ~pace.halted & fed & ~blocked),
        ]
        if has_selection:
            with m.If(selected & (~pages.o.valid | page.none)):
                m.d.comb += self.beats.ready.eq(0)
        if config.skip_zeros:
            m.d.comb += passes.eq(contexts.o.valid & walk.lost & advance & ~pace.halted)
        with m.If(~contexts.o.valid | walk.lost):
            m.d.comb += self.beats.ready.eq(0)
        if config.clock_divider > 1:
            m.d.sync += given.eq(~advance & (given | (done & self.results.ready)))
        m.d.comb += taken.eq(self.beats.valid & self.beats.ready)
        ended = Signal()
        m.d.comb += [
            ended.eq(walk.command_last | dropped),
            contexts.o.ready.eq(ended),
            buffer.release.eq(ended & ~weighing),
        ]

        # Scales wait for their elements; both leave together.
        m.submodules.unpack = unpack = LaneElements(lanes)
        m.submodules.scales = scales = ScaleBuffer(lanes)
        element = Signal()
        m.d.comb += [
            element.eq((taken & walk.is_element) | passes),
            unpack.beat.eq(beat.data),
            unpack.format.eq(format_),
            scales.beat.eq(beat.data),
            scales.place.eq(walk.place),
            scales.write.eq(taken & walk.is_scale),
            scales.format.eq(format_),
            scales.element_beat.eq(walk.place),
            scales.enable.eq(element),
            buffer.address.eq(walk.row_beat),
            buffer.paired.eq(
                choose(format_, {x.format: int(x.blocks_a_beat < lanes.blocks) for x in layouts})
            ),
        ]
        zero = Signal(lanes.blocks)
        for block in range(lanes.blocks):
            strips = [unpack.strips[block].as_value() == 0]
            if lanes.pairs:
                high = unpack.strips[(block + lanes.blocks // 2) % lanes.blocks].as_value() == 0
                strips.append(high | ~buffer.paired)
            m.d.comb += zero[block].eq(
                Cat(strips).all() & (walk.ending[block] | walk.beginning[block])
            )
        has_minimum = choose(
            format_, {x.format: int(x.format is BlockFormat.Q4_1) for x in layouts}
        )
        with m.If(element & self.counting):
            m.d.sync += self.zero_blocks.eq(self.zero_blocks + ones(zero) + walk.skipped)
        # A beat of zeros meets no activation, but Q4_1 adds its minimums times all of them.
        wanted = unpack.strips.as_value().any() | has_minimum
        m.d.comb += buffer.enable.eq(element & ~weighing & wanted)

        dot = self._dot
        m.submodules.dot = Gated(dot)
        meta_layout = data.StructLayout({"row": config.row_bits, "error": 1, "tag": TAG_BITS})
        metas = [Signal(meta_layout, name=f"meta_{stage}") for stage in range(self.latency)]
        m.d.comb += [
            dot.enable.eq(advance),
            dot.activations.eq(buffer.beats),
            dot.words.eq(scales.words),
        ]
        with m.If(advance):
            m.d.sync += [
                dot.mark.valid.eq(element & ~weighing),
                dot.mark.last.eq(walk.row_last),
                dot.mark.ending.eq(walk.ending),
                dot.mark.beginning.eq(walk.beginning),
                dot.format.eq(format_),
            ]
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(metas)]
            m.d.sync += [
                metas[0].row.eq(walk.row),
                metas[0].error.eq(walk.error),
                metas[0].tag.eq(context.tag),
            ]
        with m.If(element):
            m.d.sync += dot.strips.eq(unpack.strips)
        result = self.results.payload
        m.d.comb += [
            self.results.valid.eq(done),
            result.values.eq(dot.values),
            result.saturated.eq(dot.saturated),
            result.row.eq(metas[-1].row),
            result.error.eq(metas[-1].error),
            result.tag.eq(metas[-1].tag),
        ]
        if has_sums:
            sums = SumLanes(config, lanes)
            m.submodules.sum_lanes = Gated(sums)
            connect(m, sums.sums, flipped(self.sums))
            with m.If(element & last_of_sums):
                m.d.sync += delivering.eq(1)
            with m.Elif(sums.delivered):
                m.d.sync += delivering.eq(0)
            # Rows since the sums were begun: the accumulators have bits for so many.
            first_row = Signal(init=1)
            added = Signal(config.row_bits + 1)
            counted = Mux(first_row & ~context.keep, 0, added)
            full = counted[config.row_bits]
            with m.If(element & weighing & walk.row_last):
                m.d.sync += [first_row.eq(0), added.eq(Mux(full, counted, counted + 1))]
            with m.If(ended):
                m.d.sync += first_row.eq(1)
            m.d.comb += [
                self.probabilities.ready.eq(element & weighing & walk.row_last),
                sums.enable.eq(advance),
                sums.products.eq(dot.products),
                *(
                    sums.scales[block].eq(scales.words.scales[block][:8])
                    for block in range(lanes.beat_bytes // BLOCK_ELEMENTS)
                ),
            ]
            with m.If(advance):
                m.d.sync += [
                    dot.weighing.eq(weighing),
                    sums.mark.valid.eq(element & weighing),
                    sums.mark.address.eq(walk.row_beat),
                    sums.mark.first.eq(first_row),
                    sums.mark.last.eq(walk.row_last),
                    sums.mark.keep.eq(context.keep),
                    sums.mark.adds.eq(~full),
                    sums.mark.deliver.eq(last_of_sums),
                    sums.mark.error.eq(beat.error),
                    sums.mark.rescale.eq(context.rescale),
                    sums.mark.tag.eq(context.tag),
                ]
                for index in range(config.vectors):
                    probability = self.probabilities.payload[index]
                    m.d.sync += [
                        dot.mantissas[index].eq(probability.mantissa),
                        sums.exponents[index].eq(probability.exponent),
                    ]

        m.submodules.cycle_counters = self._cycles
        cause = self._cycles.cause
        with m.If(taken & walk.is_element):
            m.d.comb += cause.eq(SliceCause.BUSY.value)
        with m.Elif(taken & (walk.is_scale | walk.is_gaps)):
            m.d.comb += cause.eq(SliceCause.SCALES.value)
        with m.Elif(taken | passes):
            m.d.comb += cause.eq(SliceCause.TAIL.value)
        with m.Elif(waits | (offered & blocked)):
            m.d.comb += cause.eq(SliceCause.RESULTS.value)
        with m.Elif(offered & ~pace.moves):
            m.d.comb += cause.eq(SliceCause.CLOCK.value)
        with m.Elif(offered & pace.halted):
            m.d.comb += cause.eq(SliceCause.HEAT.value)
        with m.Elif(offered):
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
