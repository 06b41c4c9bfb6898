"""The MAC slice: rows of blocks stream out of a memory, results stream out."""

from itertools import pairwise

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.compute.activation import ActivationBuffer
from neardecode.compute.command import (
    SELECTION_BITS,
    ActivationBlock,
    Probability,
    SliceCommand,
    SliceResult,
    SliceSum,
)
from neardecode.compute.dot import BlockDot
from neardecode.compute.intake import CommandIntake
from neardecode.compute.lanes import LaneElements, Lanes
from neardecode.compute.pace import THROTTLE_CYCLES, Pace
from neardecode.compute.scales import ScaleBuffer
from neardecode.compute.sums import SumLanes, SumRows
from neardecode.compute.zeros import ZeroBlocks
from neardecode.config import BLOCK_ELEMENTS, TAG_BITS, Config, SliceCause
from neardecode.lib.clock_gate import Gated
from neardecode.lib.counters import CycleCounters
from neardecode.lib.once import once
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["MacSlice"]

COUNT_BITS = 48


@once
class MacSlice(wiring.Component):
    """Products of the rows of pages with block-scaled activations, or their sums over rows.

    In `Mode.DOT` every row is multiplied by the command's vectors. In `Mode.ACCUMULATE` every row
    is multiplied by a probability a vector and added to the sums of its elements.

    A command's pages are asked for ahead of their use, up to the pages of ``commands_ahead``
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

        m.submodules.intake = intake = CommandIntake(config, lanes, self._address_bits)
        connect(m, flipped(self.commands), intake.commands)
        connect(m, intake.requests, flipped(self.requests))
        if has_selection:
            connect(m, flipped(self.selections), intake.selections)
        command, format_, weighing = intake.command, intake.format, intake.weighing
        advance, taken, passes = Signal(), Signal(), Signal()
        beat = self.beats.payload
        m.d.comb += [
            intake.beat.eq(beat),
            intake.offered.eq(self.beats.valid),
            intake.taken.eq(taken),
            intake.passes.eq(passes),
        ]

        # Everything that a beat waits for.
        m.submodules.buffer = buffer = ActivationBuffer(config, lanes)
        connect(m, flipped(self.activations), buffer.blocks)
        fed = Signal()
        blocked: Value = Const(0, 1)
        m.d.comb += [fed.eq(buffer.ready), intake.fed.eq(buffer.ready | weighing)]
        if has_sums:
            delivering = Signal()
            last_of_sums = Signal()
            blocked = Signal(name="blocked")
            m.d.comb += [
                last_of_sums.eq(
                    weighing & intake.is_element & intake.row_last & intake.final & command.deliver
                ),
                blocked.eq(intake.open & last_of_sums & delivering),
            ]
            with m.If(weighing):
                m.d.comb += fed.eq(self.probabilities.valid | ~intake.is_element)
        given = Signal()
        waits = Signal()
        done = self._dot.done & ~given
        m.d.comb += [
            waits.eq(done & ~self.results.ready),
            advance.eq(pace.moves & ~waits),
            passes.eq(intake.open & intake.lost & advance & ~pace.halted),
            self.beats.ready.eq(intake.admits & advance & ~pace.halted & fed & ~blocked),
        ]
        if config.clock_divider > 1:
            m.d.sync += given.eq(~advance & (given | (done & self.results.ready)))
        m.d.comb += taken.eq(self.beats.valid & self.beats.ready)
        m.d.comb += buffer.release.eq(intake.ended & ~weighing)

        # Scales wait for their elements; both leave together.
        m.submodules.unpack = unpack = LaneElements(lanes)
        m.submodules.scales = scales = ScaleBuffer(lanes)
        element = Signal()
        m.d.comb += [
            element.eq((taken & intake.is_element) | passes),
            unpack.beat.eq(beat.data),
            unpack.format.eq(format_),
            scales.beat.eq(beat.data),
            scales.place.eq(intake.place),
            scales.write.eq(taken & intake.is_scale),
            scales.format.eq(format_),
            scales.element_beat.eq(intake.place),
            scales.enable.eq(element),
            buffer.address.eq(intake.row_beat),
            buffer.paired.eq(lanes.paired(format_)),
        ]
        m.submodules.zeros = zeros = ZeroBlocks(lanes, config.blocks_a_row)
        m.d.comb += [
            zeros.strips.eq(unpack.strips),
            zeros.format.eq(format_),
            zeros.inside.eq(intake.ending | intake.beginning),
            zeros.skipped.eq(intake.skipped),
            zeros.count.eq(element & self.counting),
            self.zero_blocks.eq(zeros.blocks),
            # A beat of zeros meets no activation.
            buffer.enable.eq(element & ~weighing & zeros.matters),
        ]

        dot = self._dot
        m.submodules.dot = Gated(dot)
        meta_layout = data.StructLayout({"row": config.row_bits, "error": 1, "tag": TAG_BITS})
        metas = [Signal(meta_layout, name=f"meta_{stage}") for stage in range(self.latency)]
        m.d.comb += [
            dot.enable.eq(advance),
            dot.enters.eq(element),
            dot.strips.eq(unpack.strips),
            dot.activations.eq(buffer.beats),
            dot.words.eq(scales.words),
        ]
        with m.If(advance):
            m.d.sync += [
                dot.mark.valid.eq(element & ~weighing),
                dot.mark.last.eq(intake.row_last),
                dot.mark.ending.eq(intake.ending),
                dot.mark.beginning.eq(intake.beginning),
                dot.format.eq(format_),
            ]
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(metas)]
            m.d.sync += [
                metas[0].row.eq(intake.row),
                metas[0].error.eq(intake.error),
                metas[0].tag.eq(command.tag),
            ]
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
            m.submodules.sum_rows = rows = SumRows(config)
            m.d.comb += [
                rows.keep.eq(command.keep),
                rows.added.eq(element & weighing & intake.row_last),
                rows.ended.eq(intake.ended),
            ]
            m.d.comb += [
                self.probabilities.ready.eq(element & weighing & intake.row_last),
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
                    sums.mark.address.eq(intake.row_beat),
                    sums.mark.first.eq(rows.first),
                    sums.mark.last.eq(intake.row_last),
                    sums.mark.keep.eq(command.keep),
                    sums.mark.adds.eq(~rows.full),
                    sums.mark.deliver.eq(last_of_sums),
                    sums.mark.error.eq(beat.error),
                    sums.mark.rescale.eq(command.rescale),
                    sums.mark.tag.eq(command.tag),
                ]
                for index in range(config.vectors):
                    probability = self.probabilities.payload[index]
                    m.d.sync += [
                        dot.mantissas[index].eq(probability.mantissa),
                        sums.exponents[index].eq(probability.exponent),
                    ]

        m.submodules.cycle_counters = self._cycles
        cause = self._cycles.cause
        with m.If(taken & intake.is_element):
            m.d.comb += cause.eq(SliceCause.BUSY.value)
        with m.Elif(taken & (intake.is_scale | intake.is_gaps)):
            m.d.comb += cause.eq(SliceCause.SCALES.value)
        with m.Elif(taken | passes):
            m.d.comb += cause.eq(SliceCause.TAIL.value)
        with m.Elif(waits | (intake.known & blocked)):
            m.d.comb += cause.eq(SliceCause.RESULTS.value)
        with m.Elif(intake.known & ~pace.moves):
            m.d.comb += cause.eq(SliceCause.CLOCK.value)
        with m.Elif(intake.known & pace.halted):
            m.d.comb += cause.eq(SliceCause.HEAT.value)
        with m.Elif(intake.known):
            m.d.comb += cause.eq(SliceCause.ACTIVATION.value)
        with m.Elif(intake.open):
            m.d.comb += cause.eq(SliceCause.MEMORY.value)
        with m.Else():
            m.d.comb += cause.eq(SliceCause.IDLE.value)
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
        ]
        return m
