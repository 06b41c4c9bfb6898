"""One block times one vector: from an integer dot product to the terms of a row's sum."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.align import Align
from neardecode.compute.lanes import Lanes
from neardecode.compute.scales import EXPONENT_BITS, FACTOR_BITS, scale_signature
from neardecode.config import Compute as ComputeConfig
from neardecode.lib.blockformat import E8M0_BIAS

__all__ = ["BlockTerm"]


class BlockTerm(wiring.Component):
    """Multiplies a dot product by its scale and aligns it to the accumulator's binary point.

    The dot product and the activations' exponent are kept for a cycle. Where every scale is a power
    of two, the scale comes with them and the term is there in the next cycle; otherwise the scale
    comes one cycle later, the products are kept too, and the term is there after two.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.

    Members:
        keep: In(1). Keep what comes.
        dot: In(signed(dot_bits)).
        exponent: In(8). The activations', E8M0.
        sum: In(signed(sum_bits)). Of the activations. Only where a format has minimums.
        keep_product: In(1). Keep the products. Only where a scale has a mantissa.
        scale: In. The scale.
        least: In. The minimum. Only where a format has minimums.
        has_least: In(1). The block has a minimum. Only where a format has minimums.
        narrow: In(1). With the term: its block has a minimum.
        term: Out(signed(term_bits)). With the minimum's.
        wrong: Out(1). A term was clamped, or a scale is invalid.
    """

    keep: Signal
    dot: Signal
    exponent: Signal
    sum: Signal
    keep_product: Signal
    scale: wiring.PureInterface
    least: wiring.PureInterface
    has_least: Signal
    narrow: Signal
    term: Signal
    wrong: Signal

    def __init__(self, config: ComputeConfig, lanes: Lanes):
        self._config, self._lanes = config, lanes
        members = {
            "keep": In(1),
            "dot": In(signed(lanes.dot_bits)),
            "exponent": In(8),
            "scale": In(scale_signature()),
            "narrow": In(1),
            "term": Out(signed(config.term_bits)),
            "wrong": Out(1),
        }
        if lanes.mantissas:
            members["keep_product"] = In(1)
        if lanes.minimums:
            members |= {
                "sum": In(signed(lanes.sum_bits)),
                "least": In(scale_signature()),
                "has_least": In(1),
            }
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """One term, or two."""
        m = Module()
        exponent = Signal(8)
        with m.If(self.keep):
            m.d.sync += exponent.eq(self.exponent)
        now = exponent if self._lanes.mantissas else self.exponent
        term, wrong = self._aligned(m, "dot", self.dot, self.scale, now, self.narrow)
        if self._lanes.minimums:
            least, least_wrong = self._aligned(
                m, "least", self.sum, self.least, now, Const(1, 1), self.has_least
            )
            # Both are narrow where the second is not zero.
            term, wrong = term + least, wrong | least_wrong
        m.d.comb += [self.term.eq(term), self.wrong.eq(wrong)]
        return m

    def _aligned(
        self,
        m: Module,
        name: str,
        given: Signal,
        scale,
        exponent: Value,
        narrow: Value,
        counts: Value | None = None,
    ) -> tuple[Value, Value]:
        """The term of an integer and its scale, and whether it is wrong."""
        bias = E8M0_BIAS + self._config.activation_bits - 2 - self._config.fraction_bits
        integer = Signal(given.shape(), name=f"{name}_kept")
        with m.If(self.keep):
            m.d.sync += integer.eq(given)
        shift = Signal(signed(EXPONENT_BITS), name=f"{name}_shift")
        invalid = Signal(name=f"{name}_invalid")
        keep, product = self.keep, integer
        if self._lanes.mantissas:
            keep = self.keep_product
            product = Signal(signed(len(integer) + FACTOR_BITS - 1), name=f"{name}_product")
            factor = scale.factor if counts is None else Mux(counts, scale.factor, 0)
            with m.If(keep):
                m.d.sync += product.eq(integer * factor)
        with m.If(keep):
            m.d.sync += [
                shift.eq(scale.exponent + exponent - bias),
                invalid.eq(scale.invalid if counts is None else scale.invalid & counts),
            ]
        m.submodules[name] = align = Align(len(product), self._config.term_bits)
        m.d.comb += [
            align.integer.eq(product),
            align.shift.eq(shift),
            align.narrow.eq(narrow),
        ]
        return align.term, align.clamped | invalid
