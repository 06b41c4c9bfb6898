"""Blocks of zeros: counted, and told where a beat has nothing else."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.command import FORMAT_BITS
from neardecode.compute.lanes import Lanes, choose
from neardecode.config import BlockFormat
from neardecode.lib.population import ones

__all__ = ["ZeroBlocks"]

COUNT_BITS = 48


class ZeroBlocks(wiring.Component):
    """Counts the blocks of rows whose elements are all zero. Latency: a cycle.

    Parameters:
        lanes: The slice's.
        blocks: Most blocks of a row.

    Members:
        strips: In. As `LaneElements` spreads them.
        format: In(FORMAT_BITS). The value of the beat's `BlockFormat`.
        inside: In(blocks). Those that belong to a row.
        skipped: In. Blocks that were left out before the beat.
        count: In(1). The beat counts.
        blocks: Out(48). Blocks of zeros so far.
        matters: Out(1). The beat's rows gain something; in this cycle.
    """

    strips: data.View
    format: Signal
    inside: Signal
    skipped: Signal
    count: Signal
    blocks: Signal
    matters: Signal

    def __init__(self, lanes: Lanes, blocks: int):
        self._lanes = lanes
        super().__init__(
            {
                "strips": In(lanes.strip_layout),
                "format": In(FORMAT_BITS),
                "inside": In(lanes.blocks),
                "skipped": In(range(blocks + 1)),
                "count": In(1),
                "blocks": Out(COUNT_BITS),
                "matters": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A block is one strip, or two."""
        m = Module()
        lanes = self._lanes
        zero = Signal(lanes.blocks)
        empty = [self.strips[strip].as_value() == 0 for strip in range(lanes.strips)]
        paired = lanes.paired(self.format)
        for block in range(lanes.blocks):
            strips = [empty[block]]
            if lanes.pairs:
                strips.append(empty[(block + lanes.blocks // 2) % lanes.blocks] | ~paired)
            m.d.comb += zero[block].eq(Cat(strips).all() & self.inside[block])
        with m.If(self.count):
            m.d.sync += self.blocks.eq(self.blocks + ones(zero) + self.skipped)
        # Q4_1 adds its minimums times all activations.
        minimums = choose(
            self.format, {x.format: int(x.format is BlockFormat.Q4_1) for x in lanes.layouts}
        )
        m.d.comb += self.matters.eq(~Cat(empty).all() | minimums)
        return m
