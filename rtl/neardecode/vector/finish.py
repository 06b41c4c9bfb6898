"""The end of a softmax: a row's weighted sums over the sum of its weights."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Config
from neardecode.config.vector import RECIPROCAL_BITS
from neardecode.vector.inverse import Factor, Inverse
from neardecode.vector.stages import Elements, Words, check_lanes, clamped, move_together

__all__ = ["SoftmaxFinish"]


class SoftmaxFinish(wiring.Component):
    """Multiply accumulators by the reciprocal of their row's sum.

    Rounded to ``word_fraction_bits``, to nearest, a half upwards, and clamped. A row waits for its
    sum.

    Latency: 2, and one more from a row's sum. Rate: ``lanes`` elements a cycle; a result that is
    not taken holds the block; between rows lies a cycle.

    Parameters:
        config: A configuration.
        lanes: Elements a transfer, a power of two.

    Members:
        totals: In(stream of unsigned ``sum_bits``). One a row.
        i: In(stream of `Elements` of ``accumulator_bits``).
        o: Out(stream of `Words`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    latency = 2
    """Cycles from ``i`` to ``o``."""

    totals: stream.Interface
    i: stream.Interface
    o: stream.Interface
    awake: Signal

    def __init__(self, config: Config, lanes: int = 1):
        check_lanes(lanes)
        self._config = config
        self._lanes = lanes
        vector = config.vector
        super().__init__(
            {
                "totals": In(stream.Signature(unsigned(vector.sum_bits))),
                "i": In(stream.Signature(Elements(config.compute.accumulator_bits, lanes))),
                "o": Out(stream.Signature(Words(vector.word_bits, lanes))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The factor of a row is kept until its last elements are taken."""
        m = Module()
        vector, compute = self._config.vector, self._config.compute
        m.submodules.inverse = inverse = Inverse(vector.sum_bits, root=False)
        factor = Signal(Factor(inverse.exponent_bits))
        known = Signal()
        given = self.i.payload
        advance = move_together(m, self, waits=~known, stirs=self.totals.valid)
        m.d.comb += [
            inverse.x.eq(self.totals.payload),
            self.totals.ready.eq(~known),
        ]
        with m.If(self.totals.valid & self.totals.ready):
            m.d.sync += [factor.eq(inverse.factor), known.eq(1)]
        with m.If(self.i.valid & self.i.ready & given.last):
            m.d.sync += known.eq(0)

        # A sum's exponent moves the product to the right by so many bits more than this.
        constant = (
            RECIPROCAL_BITS
            - vector.sum_fraction_bits
            + compute.fraction_bits
            - vector.word_fraction_bits
        )
        left, right = max(1 - constant, 1), max(constant, 0)
        exponent = Signal(inverse.exponent_bits)
        last = Signal()
        result = Signal(Words(vector.word_bits, self._lanes))
        m.d.comb += self.o.payload.eq(result)
        with m.If(advance):
            m.d.sync += [
                exponent.eq(factor.exponent),
                last.eq(given.last),
                result.last.eq(last),
            ]
        for lane in range(self._lanes):
            product_bits = compute.accumulator_bits + RECIPROCAL_BITS + 1
            product = Signal(signed(product_bits), name=f"product_{lane}")
            moved = Signal(signed(product_bits + left), name=f"moved_{lane}")
            m.d.comb += moved.eq((product << left) >> exponent)
            word, saturated = clamped(
                m, (moved >> right) + 1 >> 1, vector.word_bits, f"word_{lane}"
            )
            with m.If(advance):
                m.d.sync += [
                    product.eq(given.values[lane] * factor.value),
                    result.values[lane].eq(word),
                    result.saturated[lane].eq(saturated),
                ]
        return m
