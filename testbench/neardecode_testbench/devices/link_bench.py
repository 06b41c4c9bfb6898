"""Two ends of a protected link, and a channel each way."""

from collections.abc import Sequence

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Protection
from neardecode.fabric.link_end import LinkEnd
from neardecode.fabric.link_frame import Delivered
from neardecode_testbench.devices.link_channel import (
    ChannelFaults,
    ChannelFaultsInterface,
    LinkChannel,
)

__all__ = ["ProtectedLinkBench"]

SIDES = ("near", "far")


class ProtectedLinkBench(wiring.Component):
    """Units go in at either end and come out at the other.

    Parameters:
        shape: Shape of a unit.
        protection: The link.
        seed: Of what goes wrong.

    Members:
        near_units, far_units: In(stream of shape), arrays by channel.
        near_delivered, far_delivered: Out(stream of `Delivered`), arrays by channel.
        near_faults, far_faults: In(`ChannelFaults`). On the lanes that leave that end.
        near_masks, far_masks: In(stream of lanes). Bits flipped where those lanes arrive, in the
            cycle of the transfer.
        near_hits, far_hits: Out(48). Frames changed on the lanes that leave that end.
        running, failed: Out(1). Both ends are running; either failed.
        counting: In(1). Counters run.
        near_cycles, far_cycles: Out(counts by `ProtectedLinkCause`).
        near_events, far_events: Out(counts by `ProtectedLinkEvent`).
    """

    near_units: Sequence
    far_units: Sequence
    near_delivered: Sequence
    far_delivered: Sequence
    near_faults: ChannelFaultsInterface
    far_faults: ChannelFaultsInterface
    near_masks: stream.Interface
    far_masks: stream.Interface
    near_hits: Signal
    far_hits: Signal
    running: Signal
    failed: Signal
    counting: Signal
    near_cycles: data.View
    far_cycles: data.View
    near_events: data.View
    far_events: data.View

    def __init__(self, shape: ShapeLike, protection: Protection, seed: int = 1):
        self.ends = {side: LinkEnd(shape, protection) for side in SIDES}
        self.lanes = len(self.ends["near"].lanes_out)
        self._channels = {
            side: LinkChannel(self.lanes, protection.latency, 2 * seed + index)
            for index, side in enumerate(SIDES)
        }
        channels = protection.channels
        members = {"running": Out(1), "failed": Out(1), "counting": In(1)}
        for side in SIDES:
            members |= {
                f"{side}_units": In(stream.Signature(shape)).array(channels),
                f"{side}_delivered": Out(stream.Signature(Delivered(shape))).array(channels),
                f"{side}_faults": In(ChannelFaults(self.lanes)),
                f"{side}_masks": In(stream.Signature(self.lanes)),
                f"{side}_hits": Out(48),
                f"{side}_cycles": Out(self.ends[side].cycles.shape()),
                f"{side}_events": Out(self.ends[side].events.shape()),
            }
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """Lanes out of each end, through a channel, into the other."""
        m = Module()
        near, far = (self.ends[side] for side in SIDES)
        for side, end, other in (("near", near, far), ("far", far, near)):
            m.submodules[side] = end
            m.submodules[f"{side}_channel"] = channel = self._channels[side]
            masks = getattr(self, f"{side}_masks")
            for name in ("units", "delivered"):
                for outside, inside in zip(
                    getattr(self, f"{side}_{name}"), getattr(end, name), strict=True
                ):
                    connect(m, flipped(outside), inside)
            connect(m, flipped(getattr(self, f"{side}_faults")), channel.faults)
            with m.If(masks.valid):
                m.d.comb += channel.mask.eq(masks.payload)
            m.d.comb += [
                masks.ready.eq(1),
                channel.i.eq(end.lanes_out),
                other.lanes_in.eq(channel.o),
                end.counting.eq(self.counting),
                getattr(self, f"{side}_hits").eq(channel.hits),
                getattr(self, f"{side}_cycles").eq(end.cycles),
                getattr(self, f"{side}_events").eq(end.events),
            ]
        m.d.comb += [
            self.running.eq(near.running & far.running),
            self.failed.eq(near.failed | far.failed),
        ]
        return m
