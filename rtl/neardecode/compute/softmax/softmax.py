"""Streaming softmax: tiles of scores become weights and a partial sum."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.compute.command import Probability
from neardecode.compute.softmax.layouts import RESCALE_BITS, Partial, Rescale, Score
from neardecode.compute.softmax.tiles import TileBuffer
from neardecode.config import Config, SoftmaxCause
from neardecode.lib.power import PowerOfTwo

__all__ = ["Softmax"]

BIAS = 127
BELOW_BITS = 5
"""A probability of 2 ** -32 and less, rounded down to a power of two, is zero."""


class Softmax(wiring.Component):
    """Turn tiles of scores into probabilities relative to the row's running maximum.

    For each tile first how far the row's sums move to the right, then its probabilities in the
    order of its scores; after a row's last tile its partial. The maximum is an integer, so that
    every rescale is a shift. A tile has at most ``vector.tile_rows`` scores; the next tile's come
    in while one's probabilities go out.

    Latency: a tile's first probability stands `latency` = 4 cycles after its last score was taken,
    if the tile before it has left, and its rescale 2 cycles after it; a partial stands one cycle
    after its last probability was taken. Rate: one score and one probability a cycle; between the
    last probability of a tile and the first of the next lies one cycle, three where the first
    closes its row and its partial is taken at once.

    Parameters:
        config: A configuration.

    Members:
        scores: In(stream of `Score`).
        rescales: Out(stream of `Rescale`). One a tile.
        probabilities: Out(stream of `Probability`).
        partials: Out(stream of `Partial`). One a row.
        cause: Out(`SoftmaxCause`). Where this cycle goes.
    """

    latency = 4
    """Cycles from a tile's last score to its first probability."""

    scores: stream.Interface
    rescales: stream.Interface
    probabilities: stream.Interface
    partials: stream.Interface
    cause: Signal

    def __init__(self, config: Config):
        self._compute = config.compute
        self._vector = config.vector
        super().__init__(
            {
                "scores": In(stream.Signature(Score(config.compute))),
                "rescales": Out(stream.Signature(Rescale())),
                "probabilities": Out(stream.Signature(Probability(config.compute))),
                "partials": Out(stream.Signature(Partial(config.vector))),
                "cause": Out(range(len(SoftmaxCause))),
            }
        )

    def elaborate(self, platform) -> Module:
        """A tile's start, a read, a subtraction with its power, a sum."""
        m = Module()
        vector = self._vector
        fraction_bits = vector.score_fraction_bits
        mantissa_bits = self._compute.activation_bits - 1
        m.submodules.tiles = tiles = TileBuffer(self._compute, vector)
        connect(m, flipped(self.scores), tiles.scores)

        advance = Signal()
        start = Signal()
        fetched = Signal(data.StructLayout({"start": 1, "score": 1}))
        weight_layout = data.StructLayout(
            {
                "start": 1,
                "score": 1,
                "mantissa": mantissa_bits,
                "below": BELOW_BITS,
                "closes": 1,
            }
        )
        weight = Signal(weight_layout)

        # A tile's start goes down the pipeline ahead of its scores: there the sum is moved. It may
        # leave while the last score of the tile before is at stage 1, which is the last to need
        # that one's maximum.
        maximum = Signal(signed(vector.maximum_bits))
        rescale = Signal(Rescale())
        rescale_waits = Signal()
        partial_waits = Signal()
        partial_left = Signal()
        saturated = Signal()
        closing = Signal()
        reading = Signal()
        ended = Signal()
        summary = tiles.summaries.payload
        larger = Signal(signed(vector.maximum_bits))
        distance = Signal(vector.maximum_bits)
        m.d.comb += [
            ended.eq(fetched.score & tiles.last),
            partial_left.eq(partial_waits & self.partials.ready),
            start.eq(
                tiles.summaries.valid
                & (~reading | ended)
                & (~closing | partial_left)
                & ~rescale_waits
                & advance
            ),
            tiles.summaries.ready.eq(start),
            tiles.read.eq(reading & ~ended & advance),
            larger.eq(Mux(summary.opens | (summary.largest > maximum), summary.largest, maximum)),
            # Not negative, and where the row opens not used.
            distance.eq(larger - maximum),
        ]
        with m.If(self.rescales.ready):
            m.d.sync += rescale_waits.eq(0)
        with m.If(partial_left):
            m.d.sync += [partial_waits.eq(0), closing.eq(0)]
        with m.If(ended & advance):
            m.d.sync += reading.eq(0)
        with m.If(start):
            largest_shift = (1 << RESCALE_BITS) - 1
            m.d.sync += [
                reading.eq(1),
                maximum.eq(larger),
                rescale.opens.eq(summary.opens),
                rescale.shift.eq(
                    Mux(
                        summary.opens,
                        0,
                        Mux(distance > largest_shift, largest_shift, distance),
                    )
                ),
                rescale_waits.eq(1),
                saturated.eq(summary.saturated | (saturated & ~summary.opens)),
                closing.eq(summary.closes),
            ]

        # Stage 1: the score below the maximum, and its power.
        m.submodules.power = power = PowerOfTwo(fraction_bits, mantissa_bits)
        below = Signal(vector.maximum_bits + 1)
        m.d.comb += [
            power.fraction.eq(tiles.score[:fraction_bits]),
            below.eq(maximum - (tiles.score >> fraction_bits)),
        ]
        with m.If(advance):
            m.d.sync += [
                fetched.start.eq(start),
                fetched.score.eq(tiles.read),
                weight.start.eq(fetched.start),
                weight.score.eq(fetched.score),
                weight.mantissa.eq(Mux(below[BELOW_BITS:] != 0, 0, power.mantissa)),
                weight.below.eq(below),
                weight.closes.eq(tiles.last & closing),
            ]

        # Stage 2: the weight leaves, and enters the sum; both moves take one shifter.
        total = Signal(vector.sum_bits)
        moved = Signal(vector.sum_bits)
        m.d.comb += [
            advance.eq(~weight.score | self.probabilities.ready),
            moved.eq(
                Mux(
                    weight.start,
                    total,
                    weight.mantissa << vector.sum_fraction_bits - mantissa_bits + 1,
                )
                >> Mux(weight.start, rescale.shift, weight.below)
            ),
            self.probabilities.valid.eq(weight.score),
            self.probabilities.payload.mantissa.eq(weight.mantissa),
            self.probabilities.payload.exponent.eq(
                Mux(weight.mantissa[-1], BIAS + 1 - weight.below, 0)
            ),
            self.rescales.valid.eq(rescale_waits),
            self.rescales.payload.eq(rescale),
            self.partials.valid.eq(partial_waits),
            self.partials.payload.maximum.eq(maximum),
            self.partials.payload.total.eq(total),
            self.partials.payload.saturated.eq(saturated),
        ]
        with m.If(weight.start):
            m.d.sync += total.eq(Mux(rescale.opens, 0, moved))
        with m.Elif(weight.score & self.probabilities.ready):
            m.d.sync += [
                total.eq(total + moved),
                partial_waits.eq(weight.closes),
            ]

        with m.If(weight.score & self.probabilities.ready):
            m.d.comb += self.cause.eq(SoftmaxCause.BUSY.value)
        with m.Elif(
            weight.score
            | (rescale_waits & ~self.rescales.ready)
            | (partial_waits & ~self.partials.ready)
        ):
            m.d.comb += self.cause.eq(SoftmaxCause.OUTPUT.value)
        with m.Elif(reading | fetched.score | tiles.summaries.valid | partial_waits):
            m.d.comb += self.cause.eq(SoftmaxCause.START.value)
        with m.Elif(tiles.begun):
            m.d.comb += self.cause.eq(SoftmaxCause.SCORES.value)
        with m.Else():
            m.d.comb += self.cause.eq(SoftmaxCause.IDLE.value)
        return m
