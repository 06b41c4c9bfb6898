"""RMSNorm: a sum of squares of the residual stream, then its elements times factor and weight."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Config
from neardecode.config.vector import NORM_UNIT_BITS, NORM_WEIGHT_BITS, RECIPROCAL_BITS
from neardecode.lib.once import once
from neardecode.vector.inverse import Factor, Inverse
from neardecode.vector.stages import Elements, Words, check_lanes, clamped, move_together

__all__ = ["Normalise", "RootMeanSquare", "WeightedElements"]

WEIGHT_FRACTION_BITS = 5
"""Bits of the number of a weight's fraction bits."""


def _square_bits(config: Config) -> int:
    """Bits of the sum of squares of a vector of ``norm_elements``, and of an epsilon."""
    vector = config.vector
    return 2 * vector.word_bits - 1 + ceil_log2(vector.norm_elements)


class RootMeanSquare(wiring.Component):
    """The reciprocal root of a vector's sum of squares and an epsilon.

    The sum is exact, so the order of elements and the number of lanes change nothing.

    Latency: 3 cycles from a vector's last elements. Rate: ``lanes`` elements a cycle, without a gap
    between vectors; a factor that is not taken holds the block.

    Parameters:
        config: A configuration.
        lanes: Elements a transfer, a power of two.

    Members:
        i: In(stream of `Elements` of ``word_bits``): the residual stream.
        epsilon: In. Added to the sum, in its units; constant while a vector is taken.
        o: Out(stream of `Factor`). One a vector.
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    latency = 3
    """Cycles from a vector's last elements to its factor."""

    i: stream.Interface
    epsilon: Signal
    o: stream.Interface
    awake: Signal

    def __init__(self, config: Config, lanes: int = 1):
        check_lanes(lanes)
        self._vector = config.vector
        self._lanes = lanes
        bits = _square_bits(config)
        self._inverse = Inverse(bits, root=True)
        super().__init__(
            {
                "i": In(stream.Signature(Elements(config.vector.word_bits, lanes))),
                "epsilon": In(config.vector.word_bits),
                "o": Out(stream.Signature(Factor(self._inverse.exponent_bits))),
                "awake": Out(1),
            }
        )

    @property
    def exponent_bits(self) -> int:
        """Bits of a factor's exponent."""
        return self._inverse.exponent_bits

    def elaborate(self, platform) -> Module:
        """Squares, their sum, its inverse."""
        m = Module()
        bits = len(self._inverse.x)
        squared = Signal()
        advance = move_together(m, self, gives=self.i.payload.last, stirs=squared)
        m.submodules.inverse = inverse = self._inverse
        factor = Signal.like(self.o.payload)
        # A square by halves: three small products, and no carry through all of them in a cycle.
        half = self._vector.word_bits // 2
        upper = self._vector.word_bits - half
        halves = data.StructLayout(
            {"high": 2 * upper - 1, "middle": signed(upper + half), "low": 2 * half}
        )
        squares = [Signal(halves, name=f"square_{lane}") for lane in range(self._lanes)]
        square_sum = sum(
            (square.high << 2 * half) + (square.middle << half + 1) + square.low
            for square in squares
        )
        last = Signal()
        first = Signal(init=1)
        total = Signal(bits)
        m.d.comb += [self.o.payload.eq(factor), inverse.x.eq(total)]
        with m.If(advance):
            m.d.sync += [
                squared.eq(self.i.valid),
                last.eq(self.i.payload.last),
                factor.eq(inverse.factor),
            ]
            for square, value in zip(squares, self.i.payload.values, strict=True):
                high, low = value >> half, value[:half]
                m.d.sync += [
                    square.high.eq(high * high),
                    square.middle.eq(high * low),
                    square.low.eq(low * low),
                ]
            with m.If(squared):
                m.d.sync += [
                    total.eq(Mux(first, self.epsilon, total) + square_sum),
                    first.eq(last),
                ]
        return m


class WeightedElements(data.StructLayout):
    """Neighbouring elements of the residual stream, and a norm's weights for them.

    Fields:
        values: Words.
        weights: Integers, times sqrt(width).
        fraction_bits: Of the weights, from 0 to 30.
        last: The vector's last.
    """

    def __init__(self, config: Config, lanes: int):
        super().__init__(
            {
                "values": data.ArrayLayout(signed(config.vector.word_bits), lanes),
                "weights": data.ArrayLayout(signed(NORM_WEIGHT_BITS), lanes),
                "fraction_bits": unsigned(WEIGHT_FRACTION_BITS),
                "last": unsigned(1),
            }
        )


@once
class NormalisedLane(wiring.Component):
    """An element times its vector's factor, rounded, times its weight.

    Latency: 4 cycles in which it advances.

    Parameters:
        config, exponent_bits: As `Normalise`.

    Members:
        advance: In(1). Its registers take what is before them.
        given: In. A word.
        factor: In. The vector's.
        weight: In. The element's.
        exponent: In. Of the factor, one stage later.
        places: In. The weight's fraction bits, three stages later.
        value: Out. A word.
        saturated: Out(1). It was clamped.
    """

    advance: Signal
    given: Signal
    factor: Signal
    weight: Signal
    exponent: Signal
    places: Signal
    value: Signal
    saturated: Signal

    def __init__(self, config: Config, exponent_bits: int):
        self._vector = config.vector
        word = signed(config.vector.word_bits)
        super().__init__(
            {
                "advance": In(1),
                "given": In(word),
                "factor": In(Factor(exponent_bits)["value"].shape),
                "weight": In(signed(NORM_WEIGHT_BITS)),
                "exponent": In(exponent_bits),
                "places": In(WEIGHT_FRACTION_BITS),
                "value": Out(word),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Product, shift, product, shift."""
        m = Module()
        bits, word_fraction_bits = self._vector.word_bits, self._vector.word_fraction_bits
        product_bits = bits + RECIPROCAL_BITS + 1
        product = Signal(signed(product_bits))
        unit = Signal(signed(NORM_UNIT_BITS + 2))
        weighted = Signal(signed(NORM_UNIT_BITS + 2 + NORM_WEIGHT_BITS))
        weights = [Signal(signed(NORM_WEIGHT_BITS), name=f"weight_{stage}") for stage in (0, 1)]
        # An element is at most the root of its own square, so that a unit is at most 1. The
        # product moves to the right by RECIPROCAL_BITS + exponent - NORM_UNIT_BITS: first left
        # by so many that the rest is never negative.
        guard = NORM_UNIT_BITS - RECIPROCAL_BITS
        moved = Signal(signed(product_bits + guard + 1))
        m.d.comb += moved.eq((product << guard + 1) >> self.exponent)
        word, saturated = clamped(
            m,
            ((weighted << word_fraction_bits + 1) >> (self.places + NORM_UNIT_BITS)) + 1 >> 1,
            bits,
            "word",
        )
        with m.If(self.advance):
            m.d.sync += [
                product.eq(self.given * self.factor),
                weights[0].eq(self.weight),
                unit.eq((moved + 1) >> 1),
                weights[1].eq(weights[0]),
                weighted.eq(unit * weights[1]),
                self.value.eq(word),
                self.saturated.eq(saturated),
            ]
        return m


class Normalise(wiring.Component):
    """Elements times their vector's factor, rounded to `NORM_UNIT_BITS`, times weights.

    A vector waits for its factor. Rounding is to nearest, a half upwards; results are clamped.

    Latency: 4. Rate: ``lanes`` elements a cycle; a result that is not taken holds the block.

    Parameters:
        config: A configuration.
        exponent_bits: Of a factor.
        lanes: Elements a transfer, a power of two.

    Members:
        factors: In(stream of `Factor`). One a vector, taken with its last elements.
        i: In(stream of `WeightedElements`).
        o: Out(stream of `Words`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    latency = 4
    """Cycles from ``i`` to ``o``."""

    factors: stream.Interface
    i: stream.Interface
    o: stream.Interface
    awake: Signal

    def __init__(self, config: Config, exponent_bits: int, lanes: int = 1):
        check_lanes(lanes)
        self._config = config
        self._exponent_bits = exponent_bits
        self._lanes = lanes
        super().__init__(
            {
                "factors": In(stream.Signature(Factor(exponent_bits))),
                "i": In(stream.Signature(WeightedElements(config, lanes))),
                "o": Out(stream.Signature(Words(config.vector.word_bits, lanes))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A lane beside the other."""
        m = Module()
        given, factor, result = self.i.payload, self.factors.payload, self.o.payload
        advance = move_together(m, self, waits=~self.factors.valid)
        m.d.comb += self.factors.ready.eq(self.i.valid & self.i.ready & given.last)

        exponent = Signal(self._exponent_bits)
        places = [Signal(WEIGHT_FRACTION_BITS, name=f"places_{stage}") for stage in range(3)]
        lasts = [Signal(name=f"last_{stage}") for stage in range(self.latency)]
        m.d.comb += result.last.eq(lasts[-1])
        with m.If(advance):
            m.d.sync += [
                exponent.eq(factor.exponent),
                places[0].eq(given.fraction_bits),
                lasts[0].eq(given.last),
            ]
            m.d.sync += [places[stage].eq(places[stage - 1]) for stage in (1, 2)]
            m.d.sync += [lasts[stage].eq(lasts[stage - 1]) for stage in (1, 2, 3)]
        for lane in range(self._lanes):
            m.submodules[f"lane_{lane}"] = each = NormalisedLane(self._config, self._exponent_bits)
            m.d.comb += [
                each.advance.eq(advance),
                each.given.eq(given.values[lane]),
                each.factor.eq(factor.value),
                each.weight.eq(given.weights[lane]),
                each.exponent.eq(exponent),
                each.places.eq(places[2]),
                result.values[lane].eq(each.value),
                result.saturated[lane].eq(each.saturated),
            ]
        return m
