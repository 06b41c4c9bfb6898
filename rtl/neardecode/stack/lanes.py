"""The data TSVs of a vault: tested after reset, and led around those that are bad."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Stack
from neardecode.lib.clock_gate import Gated
from neardecode.lib.lanes import LaneGather, LaneSpread, LaneTest

__all__ = ["TsvLanes"]

LOOPBACK_LATENCY = 1
"""Cycles in which the DRAM returns what it is given."""


class TsvLanes(wiring.Component):
    """Bits to TSVs and back.

    The test takes the first `test_cycles` cycles after reset. Latency: none from then on.

    Parameters:
        config: The stack section of a configuration.

    Members:
        outgoing: In(8 * stored_bytes). A beat to write, above it its strobe.
        incoming: Out(8 * beat_bytes). The beat that was read.
        write_lanes, read_lanes, loopback: As in `DramBus`.
        faulty: Out(lanes). Those that are led around, for the DRAM to do so too.
        done: Out(1). The test is over.
        failed: Out(1). A group has more bad lanes than spare ones.
        repaired: Out(1). Some lane is bad, and is led around.
    """

    test_cycles = LOOPBACK_LATENCY + 7 + LOOPBACK_LATENCY + 1

    outgoing: Signal
    incoming: Signal
    write_lanes: Signal
    read_lanes: Signal
    loopback: Signal
    faulty: Signal
    done: Signal
    failed: Signal
    repaired: Signal

    def __init__(self, config: Stack):
        self._config = config
        super().__init__(
            {
                "outgoing": In(8 * config.stored_bytes),
                "incoming": Out(8 * config.beat_bytes),
                "write_lanes": Out(config.lanes),
                "read_lanes": In(config.lanes),
                "loopback": Out(1),
                "faulty": Out(config.lanes),
                "done": Out(1),
                "failed": Out(1),
                "repaired": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Spread, gather, and the test before all."""
        m = Module()
        config = self._config
        width, groups, spares = 8 * config.stored_bytes, config.repair.groups, config.repair.spares
        m.submodules.spread = spread = LaneSpread(width, groups, spares)
        m.submodules.gather = gather = LaneGather(width, groups, spares)
        test = LaneTest(groups, width // groups + spares, spares, LOOPBACK_LATENCY)
        m.submodules.test = Gated(test)
        m.d.comb += [
            spread.bits.eq(self.outgoing),
            spread.faulty.eq(test.faulty),
            gather.lanes.eq(self.read_lanes),
            gather.faulty.eq(test.faulty),
            test.returned.eq(self.read_lanes),
            self.write_lanes.eq(Mux(test.done, spread.lanes, test.drive)),
            self.incoming.eq(gather.bits),
            self.loopback.eq(test.loopback),
            self.faulty.eq(test.faulty),
            self.failed.eq(test.failed),
            self.repaired.eq(test.repaired),
        ]
        # What was under way at the end of the test still returns.
        since = Signal(LOOPBACK_LATENCY + 1)
        m.d.sync += since.eq(Cat(test.done, since))
        m.d.comb += self.done.eq(since[-1])
        return m
