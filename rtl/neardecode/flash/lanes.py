"""The data lanes between controller and core dies: parity for writing, repair both ways."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import DataBeat
from neardecode.flash.sections import flash_code
from neardecode.flash.write.programmer import PageData
from neardecode.lib.bch import BchEncoder
from neardecode.lib.clock_gate import Gated
from neardecode.lib.lanes import LaneGather, LaneSpread, LaneTest
from neardecode.lib.population import ones

__all__ = ["DieLanes"]

LOOPBACK_LATENCY = 1
"""Cycles in which the dies return what they are given."""


class DieLanes(wiring.Component):
    """Adds parity to pages that go out, and leads bits around lanes that failed their test.

    Latency: none from the dies; towards them that of `BchEncoder`, or none without a code. Rate one
    beat a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        page: In(stream of `PageData`). A page to program.
        write_valid, write_beat: Out. As in `CoreDieBus`.
        writing: Out(1). A page that was begun has not left whole.
        arrives, beat: In. From the dies.
        arrived: Out(1). A beat of a page came.
        data: Out(`DataBeat`). It, with its lanes in their logical order.
        loopback: Out(1). As in `CoreDieBus`; only with ``repair``.
        done: Out(1). The lanes are tested.
        failed: Out(1). There are more bad lanes than spare ones.
        faulty: Out(lanes). Lanes that are led around, for the dies to do so too; only with
            ``repair``.
        repaired_lanes: Out. How many.
    """

    page: stream.Interface
    write_valid: Signal
    write_beat: data.View
    writing: Signal
    arrives: Signal
    beat: data.View
    arrived: Signal
    data: data.View
    loopback: Signal
    done: Signal
    failed: Signal
    faulty: Signal
    repaired_lanes: Signal

    def __init__(self, config: Flash):
        self._config = config
        members = {
            "page": In(stream.Signature(PageData(config.beat_bytes))),
            "write_valid": Out(1),
            "write_beat": Out(DataBeat(config.lanes)),
            "writing": Out(1),
            "arrives": In(1),
            "beat": In(DataBeat(config.lanes)),
            "arrived": Out(1),
            "data": Out(DataBeat(8 * config.stored_bytes)),
            "done": Out(1),
            "failed": Out(1),
            "repaired_lanes": Out(ceil_log2(config.lanes + 1)),
        }
        if config.repair is not None:
            members |= {"loopback": Out(1), "faulty": Out(config.lanes)}
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """Encoder, then spreading; gathering; the test before all."""
        m = Module()
        config = self._config
        width = 8 * config.stored_bytes
        outgoing = Signal(width)
        leaves = Signal()
        count = Signal(ceil_log2(config.page_beats))
        if config.ecc is None:
            m.d.comb += [
                self.page.ready.eq(1),
                leaves.eq(self.page.valid),
                outgoing.eq(self.page.payload.data),
            ]
        else:
            m.submodules.encoder = encoder = BchEncoder(flash_code(config))
            m.d.comb += [
                encoder.i.valid.eq(self.page.valid),
                encoder.i.payload.eq(self.page.payload.data),
                self.page.ready.eq(encoder.i.ready),
                encoder.o.ready.eq(1),
                leaves.eq(encoder.o.valid),
                outgoing.eq(encoder.o.payload),
            ]
        last = count == config.page_beats - 1
        m.d.sync += self.writing.eq(
            (self.writing | (self.page.valid & self.page.ready)) & ~(leaves & last)
        )
        with m.If(leaves):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        m.d.comb += [
            self.write_beat.last.eq(last),
            self.data.last.eq(self.beat.last),
        ]
        if config.repair is None:
            m.d.comb += [
                self.write_valid.eq(leaves),
                self.write_beat.lanes.eq(outgoing),
                self.data.lanes.eq(self.beat.lanes),
                self.arrived.eq(self.arrives),
                self.done.eq(1),
            ]
            return m

        groups, spares = config.repair.groups, config.repair.spares
        m.submodules.spread = spread = LaneSpread(width, groups, spares)
        m.submodules.gather = gather = LaneGather(width, groups, spares)
        test = LaneTest(groups, width // groups + spares, spares, LOOPBACK_LATENCY)
        m.submodules.test = Gated(test)
        m.d.comb += [
            spread.bits.eq(outgoing),
            spread.faulty.eq(test.faulty),
            gather.lanes.eq(self.beat.lanes),
            gather.faulty.eq(test.faulty),
            test.returned.eq(self.beat.lanes),
            self.write_valid.eq(leaves | test.loopback),
            self.write_beat.lanes.eq(Mux(test.done, spread.lanes, test.drive)),
            self.data.lanes.eq(gather.bits),
            self.arrived.eq(self.arrives & self.done),
            self.loopback.eq(test.loopback),
            self.faulty.eq(test.faulty),
            self.failed.eq(test.failed),
            self.repaired_lanes.eq(Mux(test.failed, 0, ones(test.faulty))),
        ]
        # What was under way at the end of the test still returns.
        since = Signal(LOOPBACK_LATENCY + 1)
        m.d.sync += since.eq(Cat(test.done, since))
        m.d.comb += self.done.eq(since[-1])
        return m
