"""Which lanes of a link are good, found out after reset, and told to the sender."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Repair
from neardecode.lib.lanes import LaneTest
from neardecode.lib.population import ones

__all__ = ["LinkTraining"]

ROUNDS = 3


class LinkTraining(wiring.Component):
    """Tests the lanes that come in, and tells the far end which of them are faulty.

    Both ends leave reset in the same cycle and follow the same schedule. A lane is faulty if it
    failed in every one of three rounds of `LaneTest`, so that a flipped bit costs no lane. Then the
    far end is told, a lane a cycle, on all lanes at once: the majority of them says it. Takes
    ``ROUNDS * (latency + 8) + lanes + latency`` cycles.

    Parameters:
        width: Bits to carry.
        repair: Groups of lanes and their spares.
        latency: Cycles from ``drive`` to the far end's ``returned``.

    Members:
        drive: Out(lanes).
        returned: In(lanes). What the far end drives.
        incoming: Out(lanes). Faulty lanes of this end's input.
        outgoing: Out(lanes). Faulty lanes of this end's output.
        done: Out(1).
        failed: Out(1). A group of either direction has more faulty lanes than spares.

    Raises:
        ValueError: as `neardecode.lib.lanes.check_lanes`.
    """

    drive: Signal
    returned: Signal
    incoming: Signal
    outgoing: Signal
    done: Signal
    failed: Signal

    def __init__(self, width: int, repair: Repair, latency: int):
        self._repair = repair
        self._latency = latency
        self._group_lanes = width // repair.groups + repair.spares
        self._test = LaneTest(repair.groups, self._group_lanes, repair.spares, latency)
        self._lanes = repair.groups * self._group_lanes
        super().__init__(
            {
                "drive": Out(self._lanes),
                "returned": In(self._lanes),
                "incoming": Out(self._lanes),
                "outgoing": Out(self._lanes),
                "done": Out(1),
                "failed": Out(1),
            }
        )

    @property
    def cycles(self) -> int:
        """Cycles from reset to ``done``."""
        return ROUNDS * (self._latency + 8) + self._lanes + self._latency

    def elaborate(self, platform) -> Module:
        """Rounds of a test, then a shift register each way."""
        m = Module()
        restart = Signal()
        m.submodules.test = test = ResetInserter(restart)(self._test)
        m.d.comb += test.returned.eq(self.returned)

        round_ = Signal(range(ROUNDS + 1))
        told = Signal(range(self._lanes + self._latency + 1))
        telling = Signal(self._lanes)
        majority = Signal()
        m.d.comb += majority.eq(ones(self.returned) > self._lanes // 2)
        with m.If(round_ != ROUNDS):
            m.d.comb += [self.drive.eq(test.drive), restart.eq(test.done)]
            with m.If(test.done):
                faulty = Signal(self._lanes)
                m.d.comb += faulty.eq(test.faulty & Mux(round_ == 0, ~0, self.incoming))
                m.d.sync += [round_.eq(round_ + 1), self.incoming.eq(faulty), telling.eq(faulty)]
        with m.Elif(~self.done):
            m.d.comb += self.drive.eq(telling[0].replicate(self._lanes))
            m.d.sync += [told.eq(told + 1), telling.eq(telling >> 1)]
            with m.If(told >= self._latency):
                m.d.sync += self.outgoing.eq(Cat(self.outgoing[1:], majority))
        m.d.comb += self.done.eq(told == self._lanes + self._latency)
        m.d.sync += self.failed.eq(
            Cat(
                ones(faulty[first : first + self._group_lanes]) > self._repair.spares
                for faulty in (self.incoming, self.outgoing)
                for first in range(0, self._lanes, self._group_lanes)
            ).any()
        )
        return m
