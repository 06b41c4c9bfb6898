"""One lane of the sums of accumulate mode: a product to a term, a term to a sum."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.align import Align
from neardecode.compute.lanes import WIDE_BITS
from neardecode.compute.scales import EXPONENT_BITS
from neardecode.config import Compute as ComputeConfig
from neardecode.lib.once import once

__all__ = ["SumLane"]


@once
class SumLane(wiring.Component):
    """One lane of one vector: a product to a term, a term to a sum.

    Parameters:
        config: The compute section of a configuration.

    Members:
        keep_product: In(1). Keep the product for the next cycle.
        product: In(signed).
        shift: In(signed(EXPONENT_BITS)). Of the product that was kept.
        keep_term: In(1). Keep the term of the product kept.
        clamped: Out(1). It is clamped.
        begins: In(1). The sum begins anew.
        adds: In(1). The term counts.
        rescale: In. Bits by which the old sum is shifted right.
        old: In(signed(accumulator_bits)).
        new: Out(signed(accumulator_bits)). With the term kept.
    """

    keep_product: Signal
    product: Signal
    shift: Signal
    keep_term: Signal
    clamped: Signal
    begins: Signal
    adds: Signal
    rescale: Signal
    old: Signal
    new: Signal

    def __init__(self, config: ComputeConfig):
        self._config = config
        bits = config.accumulator_bits
        super().__init__(
            {
                "keep_product": In(1),
                "product": In(signed(WIDE_BITS + config.activation_bits)),
                "shift": In(signed(EXPONENT_BITS)),
                "keep_term": In(1),
                "clamped": Out(1),
                "begins": In(1),
                "adds": In(1),
                "rescale": In(ceil_log2(bits)),
                "old": In(signed(bits)),
                "new": Out(signed(bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two registers, a shifter after each."""
        m = Module()
        product = Signal.like(self.product, name="kept")
        m.submodules.align = align = Align(len(product), self._config.sum_term_bits)
        term = Signal(signed(self._config.sum_term_bits))
        with m.If(self.keep_product):
            m.d.sync += product.eq(self.product)
        with m.If(self.keep_term):
            m.d.sync += term.eq(align.term)
        m.d.comb += [
            align.integer.eq(product),
            align.shift.eq(self.shift),
            self.clamped.eq(align.clamped),
            self.new.eq(Mux(self.begins, 0, self.old >> self.rescale) + Mux(self.adds, term, 0)),
        ]
        return m
