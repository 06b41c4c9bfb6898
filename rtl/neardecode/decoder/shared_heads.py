"""Heads whose tokens lie on several chips: partials and sums of all of them, as one."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.attention.layouts import AttentionPartial
from neardecode.compute.command import SliceSum
from neardecode.config import Config
from neardecode.decoder.chip_port import UnitSignature
from neardecode.decoder.heads import HeadOrder

__all__ = ["ShareJob", "SharedHeads"]

LARGEST_SHIFT = 63


class ShareJob(data.StructLayout):
    """Every KV head of a layer attends.

    Fields:
        heads: KV heads.
        empty: This chip holds no token of them.
    """

    def __init__(self):
        super().__init__({"heads": 8, "empty": 1})


class SharedHeads(wiring.Component):
    """Merges each head's parts of all chips, so that every chip goes on with all of it.

    Two messages a head: the maxima of each chip in turn, and then, moved to the largest of them,
    its sums of weights and its weighted sums, added up on their way. What is given on is a partial
    and sums as one chip alone would have had them.

    Latency: two ways through the tree. Rate: a head takes ``chips + head_elements + 1`` transfers.

    Parameters:
        config: A configuration with a decoder, of slices that attend.

    Members:
        number: In. The chip's, from 0.
        jobs: In(stream of `ShareJob`).
        waits: In(1). An exchange that was begun before a job is not done.
        busy: Out(1). Heads are still to be merged: exchanges begun after the job wait.
        partials: In(stream of `AttentionPartial`), a vault each.
        sums: In(stream of `SliceSum`), a vault each.
        merged_partials, merged_sums: Out. As those; what went wrong on other chips they know.
        unit: Out(`UnitSignature`).
    """

    number: Signal
    jobs: stream.Interface
    waits: Signal
    busy: Signal
    partials: Sequence
    sums: Sequence
    merged_partials: Sequence
    merged_sums: Sequence
    unit: Any

    def __init__(self, config: Config):
        stack = config.stack
        assert stack is not None
        self._config, self._vaults = config, stack.vaults
        partial = stream.Signature(AttentionPartial(config))
        sums = stream.Signature(SliceSum(config.compute))
        super().__init__(
            {
                "number": In(range(config.chips)),
                "jobs": In(stream.Signature(ShareJob())),
                "waits": In(1),
                "busy": Out(1),
                "partials": In(partial).array(stack.vaults),
                "sums": In(sums).array(stack.vaults),
                "merged_partials": Out(partial).array(stack.vaults),
                "merged_sums": Out(sums).array(stack.vaults),
                "unit": Out(UnitSignature(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Head by head: maxima out and in, then sums out and in."""
        m = Module()
        config, unit = self._config, self.unit
        compute, vaults = config.compute, self._vaults
        vectors, bits = compute.vectors, compute.accumulator_bits
        m.submodules.order = order = HeadOrder(vaults)
        partial, sum_ = Signal(AttentionPartial(config)), Signal(SliceSum(compute))
        partial_valid, sum_valid = Signal(), Signal()
        with m.Switch(order.vault):
            for vault in range(vaults):
                with m.Case(vault):
                    m.d.comb += [
                        partial.eq(self.partials[vault].payload),
                        partial_valid.eq(self.partials[vault].valid),
                        sum_.eq(self.sums[vault].payload),
                        sum_valid.eq(self.sums[vault].valid),
                    ]
        left, empty = Signal(8), Signal()
        # What is sent, and what has come, of the message in work: transfers.
        transfers = max(config.chips, compute.head_elements + 1)
        sent, came = Signal(range(transfers + 1)), Signal(range(transfers + 1))
        begun, there = Signal(), Signal()
        largest = Signal(data.ArrayLayout(signed(config.vector.maximum_bits), vectors))
        shifts = Signal(data.ArrayLayout(range(LARGEST_SHIFT + 1), vectors))
        faults = Signal(AttentionPartial(config))
        clamped, unread = Signal(vectors), Signal()
        gives, takes = Signal(), Signal()
        m.d.comb += [
            gives.eq(unit.contributions.valid & unit.contributions.ready),
            takes.eq(unit.results.valid & unit.results.ready),
            order.begin.eq(self.jobs.valid & self.jobs.ready),
            self.busy.eq(~self.jobs.ready),
        ]
        with m.If(unit.lengths.valid & unit.lengths.ready):
            m.d.sync += begun.eq(1)
        with m.If(gives):
            m.d.sync += sent.eq(sent + 1)
        with m.If(takes):
            m.d.sync += came.eq(came + 1)
        given = unit.contributions.payload
        got = [unit.results.payload.word_select(v, bits).as_signed() for v in range(vectors)]
        lowest = -(1 << config.vector.maximum_bits - 1)

        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.jobs.ready.eq(1)
                with m.If(self.jobs.valid):
                    m.d.sync += [
                        left.eq(self.jobs.payload.heads),
                        empty.eq(self.jobs.payload.empty),
                    ]
                    m.next = "Wait"
            with m.State("Wait"), m.If(~self.waits):
                m.next = "Maxima"
            with m.State("Maxima"):
                m.d.comb += [
                    there.eq(empty | partial_valid),
                    unit.lengths.valid.eq(there & ~begun),
                    unit.lengths.payload.eq(config.chips),
                    unit.contributions.valid.eq(begun & (sent != config.chips)),
                    unit.results.ready.eq(1),
                ]
                for v in range(vectors):
                    own = Mux(empty, lowest, partial.vectors[v].maximum)
                    with m.If(sent == self.number):
                        m.d.comb += given.word_select(v, bits).eq(own)
                    with m.If(takes & ((came == 0) | (got[v] > largest[v]))):
                        m.d.sync += largest[v].eq(got[v])
                with m.If(came == config.chips):
                    m.d.sync += [sent.eq(0), came.eq(0), begun.eq(0)]
                    m.d.sync += faults.eq(partial)
                    for v in range(vectors):
                        distance = Signal(
                            unsigned(config.vector.maximum_bits + 1), name=f"distance_{v}"
                        )
                        m.d.comb += distance.eq(largest[v] - partial.vectors[v].maximum)
                        m.d.sync += shifts[v].eq(
                            Mux(distance > LARGEST_SHIFT, LARGEST_SHIFT, distance)
                        )
                    m.next = "Sums"
            with m.State("Sums"):
                self._sums(m, order, partial, sum_, sum_valid, empty, shifts, sent, begun, given)
                self._merged(m, order, came, largest, faults, clamped, unread, empty, got)
                with m.If(gives & (sent != 0) & ~empty):
                    m.d.sync += [
                        clamped.eq(clamped | sum_.saturated),
                        unread.eq(unread | sum_.error),
                    ]
                with m.If(came == compute.head_elements + 1):
                    m.d.sync += [
                        *(sent.eq(0), came.eq(0), begun.eq(0), left.eq(left - 1)),
                        *(clamped.eq(0), unread.eq(0)),
                    ]
                    m.d.comb += order.step.eq(1)
                    with m.If(left == 1):
                        m.next = "Idle"
                    with m.Else():
                        m.next = "Maxima"
        return m

    def _sums(
        self, m: Module, order, partial, sum_, sum_valid, empty, shifts, sent, begun, given
    ) -> None:
        """This chip's part of the sums, moved to the largest maximum."""
        unit, compute = self.unit, self._config.compute
        bits, transfers = compute.accumulator_bits, compute.head_elements + 1
        first = sent == 0
        m.d.comb += [
            unit.lengths.valid.eq(~begun),
            unit.lengths.payload.eq(transfers),
            unit.contributions.valid.eq(begun & (sent != transfers) & (first | empty | sum_valid)),
        ]
        for v in range(compute.vectors):
            moved = Signal(signed(bits), name=f"moved_{v}")
            own = Mux(first, partial.vectors[v].total, sum_.values[v])
            m.d.comb += [
                moved.eq(own >> shifts[v]),
                given.word_select(v, bits).eq(Mux(empty, 0, moved)),
            ]
        taken = unit.contributions.valid & unit.contributions.ready & ~empty
        for vault in range(self._vaults):
            here = taken & (order.vault == vault)
            m.d.comb += [
                self.partials[vault].ready.eq(here & first),
                self.sums[vault].ready.eq(here & ~first),
            ]

    def _merged(self, m: Module, order, came, largest, faults, clamped, unread, empty, got) -> None:
        """The sums over all chips, as a partial and as what follows it."""
        unit, compute, vector = self.unit, self._config.compute, self._config.vector
        first = came == 0
        last = came == compute.head_elements
        readies = [
            Mux(first, p.ready, s.ready)
            for p, s in zip(self.merged_partials, self.merged_sums, strict=True)
        ]
        m.d.comb += unit.results.ready.eq(Array(readies)[order.vault])
        for vault in range(self._vaults):
            partial, sum_ = self.merged_partials[vault], self.merged_sums[vault]
            here = unit.results.valid & (order.vault == vault)
            m.d.comb += [
                partial.valid.eq(here & first),
                sum_.valid.eq(here & ~first),
                partial.payload.clamped.eq(Mux(empty, 0, faults.clamped)),
                partial.payload.error.eq(Mux(empty, 0, faults.error)),
                sum_.payload.element.eq(came - 1),
                sum_.payload.saturated.eq(Mux(last, clamped, 0)),
                sum_.payload.error.eq(last & unread),
            ]
            for v in range(compute.vectors):
                one = partial.payload.vectors[v]
                m.d.comb += [
                    one.maximum.eq(largest[v]),
                    one.total.eq(got[v][: vector.sum_bits]),
                    one.saturated.eq(~empty & faults.vectors[v].saturated),
                    sum_.payload.values[v].eq(got[v]),
                ]
