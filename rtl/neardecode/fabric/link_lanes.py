"""The lanes of one end of a link: spare ones in the place of faulty ones."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Repair
from neardecode.fabric.link_training import LinkTraining
from neardecode.lib.lanes import LaneGather, LaneSpread

__all__ = ["LinkLanes"]


class LinkLanes(wiring.Component):
    """Puts a frame on the lanes in every cycle, and takes one from them.

    After reset the lanes are tested, where there are spare ones. Latency: none on the way out, one
    cycle on the way in.

    Parameters:
        width: Bits of a frame.
        latency: Registers between this end's lanes and the other's.
        repair: Spare lanes; None: there are none, and no test.

    Members:
        frame_out: In(width).
        frame_in: Out(width).
        lanes_out, lanes_in: Out(lanes), In(lanes).
        running: Out(1). What comes in are frames.
        failed: Out(1). A group has more faulty lanes than spares.
    """

    frame_out: Signal
    frame_in: Signal
    lanes_out: Signal
    lanes_in: Signal
    running: Signal
    failed: Signal

    def __init__(self, width: int, latency: int, repair: Repair | None):
        self._latency = latency
        self._repair = repair
        self._training = None
        lanes = width
        if repair is not None:
            # The last group may carry fewer bits of the frame than the others.
            self._spread_bits = width + -width % repair.groups
            self._training = LinkTraining(self._spread_bits, repair, latency + 1)
            lanes = self._spread_bits + repair.groups * repair.spares
        super().__init__(
            {
                "frame_out": In(width),
                "frame_in": Out(width),
                "lanes_out": Out(lanes),
                "lanes_in": In(lanes),
                "running": Out(1),
                "failed": Out(1),
            }
        )

    @property
    def training_cycles(self) -> int:
        """Cycles from reset to `running`."""
        training = 0 if self._training is None else self._training.cycles
        return training + self._latency + 3

    def elaborate(self, platform) -> Module:
        """A register, and around it what repairs."""
        m = Module()
        arrived = Signal(len(self.lanes_in))
        m.d.sync += arrived.eq(self.lanes_in)
        trained = Signal()
        if self._training is None or self._repair is None:
            m.d.comb += [
                trained.eq(1),
                self.lanes_out.eq(self.frame_out),
                self.frame_in.eq(arrived),
            ]
        else:
            groups, spares = self._repair.groups, self._repair.spares
            m.submodules.training = training = self._training
            m.submodules.spread = spread = LaneSpread(self._spread_bits, groups, spares)
            m.submodules.gather = gather = LaneGather(self._spread_bits, groups, spares)
            m.d.comb += [
                trained.eq(training.done),
                self.failed.eq(training.failed),
                training.returned.eq(arrived),
                spread.bits.eq(self.frame_out),
                spread.faulty.eq(training.outgoing),
                self.lanes_out.eq(Mux(training.done, spread.lanes, training.drive)),
                gather.lanes.eq(arrived),
                gather.faulty.eq(training.incoming),
                self.frame_in.eq(gather.bits),
            ]
        # What was on its way when the test ended is no frame.
        settled = Signal(range(self._latency + 4))
        m.d.comb += self.running.eq(settled == self._latency + 3)
        with m.If(trained & ~self.running):
            m.d.sync += settled.eq(settled + 1)
        return m
