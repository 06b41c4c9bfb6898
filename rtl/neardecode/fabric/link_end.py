"""One end of a protected link: units out and in, over lanes that lose and change bits."""

from collections.abc import Sequence

from amaranth.hdl import Assert, Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc import Processor
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import ProtectedLinkCause, ProtectedLinkEvent, Protection
from neardecode.fabric.landing import LandingBuffer
from neardecode.fabric.link_credits import AbsoluteCredits
from neardecode.fabric.link_frame import Delivered, FrameBody
from neardecode.fabric.link_lanes import LinkLanes
from neardecode.fabric.replay import ReplaySender
from neardecode.fabric.replay_receiver import ReplayReceiver
from neardecode.lib.counters import CycleCounters, EventCounters
from neardecode.lib.crc import checksum

__all__ = ["LinkEnd"]


class LinkEnd(wiring.Component):
    """Joined with another of its kind, lanes to lanes, carries streams both ways.

    Every cycle a frame leaves, with a unit or without, and with it what this end has received.
    Whatever happens to frames, the units of a channel arrive each once, unchanged and in order;
    only with the policy ``substitute`` may one be another's, and is marked.

    Both ends are reset together. Without errors a unit stands at the far end ``latency + 6``
    cycles after it was taken; rate one unit a cycle over all channels, if the window is at least
    ``2 * latency + 9`` and the buffer ``2 * latency + 11``. A frame that was hit costs
    ``2 * latency + 10`` cycles. A channel that nobody takes from holds ``buffer_units`` units and
    stops, the others go on; of those that have room the first goes first.

    Parameters:
        shape: Shape of a unit.
        protection: The link.

    Members:
        units: In(stream of shape), an array by channel.
        delivered: Out(stream of `Delivered`), an array by channel.
        lanes_out, lanes_in: Out(lanes), In(lanes). To and from the other end.
        running: Out(1). The lanes are tested.
        failed: Out(1). A group of lanes has more faulty ones than spares.
        counting: In(1). Counters run.
        cycles: Out(counts by `ProtectedLinkCause`).
        events: Out(counts by `ProtectedLinkEvent`).

    Raises:
        ValueError: if a frame is longer than its checksum is known to be good for.
    """

    units: Sequence
    delivered: Sequence
    lanes_out: Signal
    lanes_in: Signal
    running: Signal
    failed: Signal
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(self, shape: ShapeLike, protection: Protection):
        self._shape = shape
        self._protection = protection
        self._body = FrameBody(shape, protection)
        frame_bits = self._body.size + protection.checksum_bits
        self._sign = Processor(checksum(protection.checksum_bits, self._body.size))
        self._check = Processor(checksum(protection.checksum_bits, frame_bits))
        self._lanes = LinkLanes(frame_bits, protection.latency, protection.repair)
        # Sent, heard, answered and heard again: four registers each way beside the lanes' own.
        self._sender = ReplaySender(
            data.StructLayout({"unit": shape, "channel": range(protection.channels)}),
            protection.window,
            settling=2 * protection.latency + 8,
        )
        self._receiver = ReplayReceiver(shape, protection)
        self._cycles = CycleCounters(ProtectedLinkCause)
        self._events = EventCounters(ProtectedLinkEvent)
        lanes = len(self._lanes.lanes_out)
        super().__init__(
            {
                "units": In(stream.Signature(shape)).array(protection.channels),
                "delivered": Out(stream.Signature(Delivered(shape))).array(protection.channels),
                "lanes_out": Out(lanes),
                "lanes_in": In(lanes),
                "running": Out(1),
                "failed": Out(1),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                "events": Out(self._events.counts.shape()),
            }
        )

    @property
    def training_cycles(self) -> int:
        """Cycles from reset to `running`."""
        return self._lanes.training_cycles

    def elaborate(self, platform) -> Module:
        """Streams to the sender, frames out, frames in, units to the buffers."""
        m = Module()
        m.submodules.sender = sender = self._sender
        m.submodules.receiver = receiver = self._receiver
        m.submodules.lanes = lanes = self._lanes
        m.submodules.sign = sign = self._sign
        m.submodules.check = check = self._check

        outgoing, sent = Signal(self._body), Signal(self._body)
        incoming = Signal(self._body)
        good = Signal()
        m.d.comb += [
            outgoing.filled.eq(sender.filled),
            outgoing.sequence.eq(sender.sequence),
            # The sender's memory is undefined where nothing was written yet.
            outgoing.channel.eq(Mux(sender.filled, sender.unit.channel, 0)),
            Value.cast(outgoing.unit).eq(Mux(sender.filled, Value.cast(sender.unit.unit), 0)),
            outgoing.progress.expected.eq(receiver.expected),
            outgoing.progress.behind.eq(receiver.behind),
            *(sign.start.eq(1), sign.valid.eq(1), sign.data.eq(outgoing)),
            lanes.frame_out.eq(Cat(sent, sign.crc)),  # pyright: ignore[reportArgumentType]
            self.lanes_out.eq(lanes.lanes_out),
            lanes.lanes_in.eq(self.lanes_in),
            *(check.start.eq(1), check.valid.eq(1), check.data.eq(lanes.frame_in)),
            good.eq(lanes.running & check.match_detected),  # pyright: ignore[reportArgumentType]
            *(receiver.good.eq(good), receiver.frame.eq(incoming)),
            sender.heard.eq(good),
            sender.expected.eq(incoming.progress.expected),
            sender.behind.eq(incoming.progress.behind),
            *(self.running.eq(lanes.running), self.failed.eq(lanes.failed)),
        ]
        m.d.sync += [sent.eq(outgoing), Value.cast(incoming).eq(lanes.frame_in)]
        self._choose(m, good, incoming)
        self._land(m, incoming, outgoing)
        self._count_events(m, good)
        return m

    def _choose(self, m: Module, good: Value, incoming: data.View) -> None:
        """The first channel with a unit for which the far end has room."""
        sender = self._sender
        wait = Cat(units.valid for units in self.units)
        may = Signal(len(wait))
        chosen = Signal(len(wait))
        for channel, units in enumerate(self.units):
            m.submodules[f"room_{channel}"] = room = AbsoluteCredits(self._protection.buffer_units)
            m.d.comb += [
                room.sends.eq(units.valid & units.ready),
                room.heard.eq(good),
                room.released.eq(incoming.progress.released[channel]),
                may[channel].eq(units.valid & room.available),
                chosen[channel].eq(may[channel] & ~may[:channel].any()),
                units.ready.eq(self.running & sender.units.ready & chosen[channel]),
            ]
            with m.If(chosen[channel]):
                m.d.comb += [
                    Value.cast(sender.units.payload.unit).eq(Value.cast(units.payload)),
                    sender.units.payload.channel.eq(channel),
                ]
        m.d.comb += sender.units.valid.eq(self.running & may.any())

        m.submodules.cycle_counters = cycles = self._cycles
        with m.If(sender.first):
            m.d.comb += cycles.cause.eq(ProtectedLinkCause.BUSY.value)
        with m.Elif(sender.again):
            m.d.comb += cycles.cause.eq(ProtectedLinkCause.REPLAY.value)
        with m.Elif(~self.running):
            m.d.comb += cycles.cause.eq(ProtectedLinkCause.TRAINING.value)
        with m.Elif(may.any()):
            m.d.comb += cycles.cause.eq(ProtectedLinkCause.WINDOW.value)
        with m.Elif(wait.any()):
            m.d.comb += cycles.cause.eq(ProtectedLinkCause.CREDIT.value)
        with m.Else():
            m.d.comb += cycles.cause.eq(ProtectedLinkCause.IDLE.value)
        m.d.comb += [cycles.counting.eq(self.counting), self.cycles.eq(cycles.counts)]

    def _land(self, m: Module, incoming: data.View, outgoing: data.View) -> None:
        """A buffer a channel, and the count of what left it."""
        receiver = self._receiver
        for channel, delivered in enumerate(self.delivered):
            buffer = LandingBuffer(Delivered(self._shape), self._protection.buffer_units)
            m.submodules[f"buffer_{channel}"] = buffer
            released = outgoing.progress.released[channel]
            left = Signal(len(released), name=f"left_{channel}")
            connect(m, buffer.o, flipped(delivered))
            m.d.comb += [
                buffer.i.valid.eq(receiver.valid & (incoming.channel == channel)),
                buffer.i.payload.eq(receiver.delivered),
                released.eq(left),
            ]
            with m.If(delivered.valid & delivered.ready):
                m.d.sync += left.eq(left + 1)
            m.d.sync += Assert(
                ~(buffer.i.valid & ~buffer.i.ready), "a unit came without a free entry"
            )

    def _count_events(self, m: Module, good: Value) -> None:
        """What befell frames and units."""
        receiver = self._receiver
        m.submodules.event_counters = events = self._events
        strobes = {
            ProtectedLinkEvent.ERRORS: self.running & ~good,
            ProtectedLinkEvent.REPLAYS: self._sender.replays,
            ProtectedLinkEvent.DUPLICATES: receiver.duplicate,
            ProtectedLinkEvent.TIMEOUTS: receiver.timeouts,
            ProtectedLinkEvent.SUBSTITUTES: receiver.valid & receiver.delivered.substitute,
        }
        for event, strobe in strobes.items():
            m.d.comb += events.strobes[event.value].eq(strobe)
        m.d.comb += [events.counting.eq(self.counting), self.events.eq(events.counts)]
