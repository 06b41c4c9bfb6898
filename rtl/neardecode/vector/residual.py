"""The residual stream: words that layers add to; and accumulators as words."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Config
from neardecode.vector.stages import (
    Elements,
    Words,
    check_lanes,
    clamped,
    move_together,
    rounded,
)

__all__ = ["AccumulatorWords", "Addends", "ResidualAdd"]


class Addends(data.StructLayout):
    """Neighbouring elements of the residual stream and of what is added to it.

    Fields:
        residual: Words.
        accumulators: A slice's results.
        last: The vector's last.
    """

    def __init__(self, config: Config, lanes: int):
        super().__init__(
            {
                "residual": data.ArrayLayout(signed(config.vector.word_bits), lanes),
                "accumulators": data.ArrayLayout(signed(config.compute.accumulator_bits), lanes),
                "last": unsigned(1),
            }
        )


class ResidualAdd(wiring.Component):
    """Round accumulators to ``residual_fraction_bits``, a half upwards, add, clamp.

    Latency: 1. Rate: ``lanes`` elements a cycle; a result that is not taken holds the block.

    Parameters:
        config: A configuration.
        lanes: Elements a transfer, a power of two.

    Members:
        i: In(stream of `Addends`).
        o: Out(stream of `Words`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    latency = 1
    """Cycles from ``i`` to ``o``."""

    i: stream.Interface
    o: stream.Interface
    awake: Signal

    def __init__(self, config: Config, lanes: int = 1):
        check_lanes(lanes)
        self._config = config
        self._lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(Addends(config, lanes))),
                "o": Out(stream.Signature(Words(config.vector.word_bits, lanes))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """One adder a lane, and its rounder."""
        m = Module()
        vector = self._config.vector
        dropped = self._config.compute.fraction_bits - vector.residual_fraction_bits
        advance = move_together(m, self)
        given, result = self.i.payload, Signal(Words(vector.word_bits, self._lanes))
        m.d.comb += self.o.payload.eq(result)
        for lane in range(self._lanes):
            total = given.residual[lane] + rounded(given.accumulators[lane], dropped)
            word, saturated = clamped(m, total, vector.word_bits, f"sum_{lane}")
            with m.If(advance):
                m.d.sync += [result.values[lane].eq(word), result.saturated[lane].eq(saturated)]
        with m.If(advance):
            m.d.sync += result.last.eq(given.last)
        return m


class AccumulatorWords(wiring.Component):
    """Round accumulators to ``word_fraction_bits``, a half upwards, and clamp.

    Latency: 1. Rate: ``lanes`` elements a cycle; a result that is not taken holds the block.

    Parameters:
        config: A configuration.
        lanes: Elements a transfer, a power of two.

    Members:
        i: In(stream of `Elements` of ``accumulator_bits``).
        o: Out(stream of `Words`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    latency = 1
    """Cycles from ``i`` to ``o``."""

    i: stream.Interface
    o: stream.Interface
    awake: Signal

    def __init__(self, config: Config, lanes: int = 1):
        check_lanes(lanes)
        self._config = config
        self._lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(Elements(config.compute.accumulator_bits, lanes))),
                "o": Out(stream.Signature(Words(config.vector.word_bits, lanes))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A rounder a lane."""
        m = Module()
        vector = self._config.vector
        dropped = self._config.compute.fraction_bits - vector.word_fraction_bits
        advance = move_together(m, self)
        given, result = self.i.payload, Signal(Words(vector.word_bits, self._lanes))
        m.d.comb += self.o.payload.eq(result)
        for lane in range(self._lanes):
            word, saturated = clamped(
                m, rounded(given.values[lane], dropped), vector.word_bits, f"word_{lane}"
            )
            with m.If(advance):
                m.d.sync += [result.values[lane].eq(word), result.saturated[lane].eq(saturated)]
        with m.If(advance):
            m.d.sync += result.last.eq(given.last)
        return m
