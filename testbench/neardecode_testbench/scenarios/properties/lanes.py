"""Lane repair: with no more bad lanes than spare ones, every bit arrives."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Module

from neardecode.lib.lanes import LaneGather, LaneSpread
from neardecode.lib.population import ones

__all__ = ["LaneRepairProperties"]


class LaneRepairProperties(Elaboratable):
    """Bits spread over lanes, of which the faulty carry anything, and gathered again.

    Args:
        spread: One end.
        gather: The other end.
        groups, spares: What both were made with.
    """

    def __init__(self, spread: LaneSpread, gather: LaneGather, groups: int, spares: int):
        self.spread = spread
        self.gather = gather
        self.groups = groups
        self.spares = spares

    def elaborate(self, platform) -> Module:
        """Both ends, with any lanes between them faulty."""
        m = Module()
        m.submodules.spread = spread = self.spread
        m.submodules.gather = gather = self.gather
        faulty = spread.faulty
        lanes = len(faulty)
        m.d.comb += [
            spread.bits.eq(AnySeq(len(spread.bits))),
            faulty.eq(AnySeq(lanes)),
            gather.faulty.eq(faulty),
            gather.lanes.eq((spread.lanes & ~faulty) | (AnySeq(lanes) & faulty)),
            Assert(gather.bits == spread.bits, "every bit arrives"),
        ]
        size = lanes // self.groups
        for group in range(self.groups):
            bad = ones(faulty[group * size : (group + 1) * size])
            m.d.comb += [
                Assume(bad <= self.spares, "there are spares enough"),
                Cover(bad == self.spares, "all spares are used"),
            ]
        return m
