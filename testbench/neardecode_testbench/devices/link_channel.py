"""What lies between the ends of a link: lanes that flip, stick, and now and then carry nothing."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode_testbench.devices.faults import (
    CANDIDATES,
    RATE_BITS,
    Flips,
    Xorshift,
    generator_seed,
)

__all__ = ["ChannelFaults", "ChannelFaultsInterface", "LinkChannel"]

EVENT_BITS = 32


class ChannelFaultsInterface(wiring.PureInterface):
    """The wires of a channel's faults; see `ChannelFaults`."""

    error_rate: Signal
    burst_rate: Signal
    burst_cycles: Signal
    outage_rate: Signal
    outage_cycles: Signal
    stuck: Signal
    stuck_value: Signal


class ChannelFaults(wiring.Signature):
    """What shall go wrong on the lanes of one direction; all zero, nothing does.

    Parameters:
        lanes: How many lanes there are.

    Members:
        error_rate: Out(20). Each of `CANDIDATES` bits of a frame, anywhere in it, flips with this
            probability, in 2**-20.
        burst_rate, outage_rate: Out(32). One begins in a cycle with this probability, in 2**-32.
        burst_cycles: Out(16). For so long every lane is random.
        outage_cycles: Out(24). For so long every lane is 0.
        stuck, stuck_value: Out(lanes). Dead lanes, and what they carry.
    """

    def __init__(self, lanes: int):
        super().__init__(
            {
                "error_rate": Out(RATE_BITS),
                "burst_rate": Out(EVENT_BITS),
                "burst_cycles": Out(16),
                "outage_rate": Out(EVENT_BITS),
                "outage_cycles": Out(24),
                "stuck": Out(lanes),
                "stuck_value": Out(lanes),
            }
        )

    @staticmethod
    def error_steps(rate: float, lanes: int) -> int:
        """The ``error_rate`` that flips a bit with a probability of ``rate``."""
        return round(rate * lanes / CANDIDATES * (1 << RATE_BITS))

    @staticmethod
    def event_steps(rate: float) -> int:
        """The ``burst_rate`` or ``outage_rate`` of an event that begins in a cycle by ``rate``."""
        return round(rate * (1 << EVENT_BITS))

    def create(self, *, path=None, src_loc_at=0) -> ChannelFaultsInterface:
        """The wires of one channel's faults."""
        return ChannelFaultsInterface(self, path=path, src_loc_at=1 + src_loc_at)


class LinkChannel(wiring.Component):
    """One direction of a link's lanes.

    Parameters:
        lanes: How many.
        latency: Registers, in cycles.
        seed: Of what goes wrong.

    Members:
        i: In(lanes).
        o: Out(lanes). ``latency`` cycles later.
        faults: In(`ChannelFaults`).
        mask: In(lanes). Bits that are flipped at the far end in this cycle, beside others.
        hits: Out(48). Frames that flips, bursts or outages changed.
    """

    i: Signal
    o: Signal
    faults: ChannelFaultsInterface
    mask: Signal
    hits: Signal

    def __init__(self, lanes: int, latency: int, seed: int):
        self._lanes = lanes
        self._latency = latency
        self._flips = Flips(lanes, seed)
        self._events = Xorshift(generator_seed(seed, CANDIDATES))
        super().__init__(
            {
                "i": In(lanes),
                "o": Out(lanes),
                "faults": In(ChannelFaults(lanes)),
                "mask": In(lanes),
                "hits": Out(48),
            }
        )

    def elaborate(self, platform) -> Module:
        """Registers, then whatever goes wrong."""
        m = Module()
        m.submodules.flips = flips = self._flips
        m.submodules.events = events = self._events
        faults = self.faults

        lanes: Value = self.i
        for stage in range(self._latency):
            delayed = Signal(self._lanes, name=f"delayed_{stage}")
            m.d.sync += delayed.eq(lanes)
            lanes = delayed

        burst, outage = Signal(16), Signal(24)
        starts_burst, starts_outage = Signal(), Signal()
        m.d.comb += [
            events.step.eq(1),
            starts_burst.eq(events.bits[:EVENT_BITS] < faults.burst_rate),
            starts_outage.eq(events.bits[EVENT_BITS:] < faults.outage_rate),
        ]
        for left, starts, cycles in (
            (burst, starts_burst, faults.burst_cycles),
            (outage, starts_outage, faults.outage_cycles),
        ):
            with m.If(starts & (left == 0)):
                m.d.sync += left.eq(cycles)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)

        carried, changed = Signal(self._lanes), Signal(self._lanes)
        m.d.comb += [
            flips.valid.eq(1),
            flips.rate.eq(faults.error_rate),
            flips.garbage.eq(burst != 0),
            carried.eq(lanes),
            changed.eq(Mux(outage != 0, Const(0, self._lanes), carried ^ flips.mask ^ self.mask)),
            self.o.eq((changed & ~faults.stuck) | (faults.stuck_value & faults.stuck)),
        ]
        with m.If(changed != carried):
            m.d.sync += self.hits.eq(self.hits + 1)
        return m
