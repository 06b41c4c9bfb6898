"""SiLU of a gate times up."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Config
from neardecode.config.tables import reciprocal_table
from neardecode.config.vector import (
    LOG2_E,
    LOG2_E_BITS,
    RECIPROCAL_BITS,
    SIGMOID_FRACTION_BITS,
    SIGMOID_MANTISSA_BITS,
    SIGMOID_WHOLE_BITS,
)
from neardecode.lib.lines import StraightLines
from neardecode.lib.once import once
from neardecode.lib.power import PowerOfTwo
from neardecode.vector.stages import Words, check_lanes, clamped, move_together, rounded

__all__ = ["GatePairs", "SiluGate"]


class GatePairs(data.StructLayout):
    """Neighbouring elements of gate and up.

    Fields:
        gates, ups: Words.
        last: The vector's last.
    """

    def __init__(self, config: Config, lanes: int):
        words = data.ArrayLayout(signed(config.vector.word_bits), lanes)
        super().__init__({"gates": words, "ups": words, "last": unsigned(1)})


@once
class SiluLane(wiring.Component):
    """One gate's product.

    Latency: that of `SiluGate`, in cycles in which it advances.

    Parameters:
        config: A configuration.

    Members:
        advance: In(1). Its registers take what is before them.
        gate, up: In. Words.
        value: Out. A word.
        saturated: Out(1). It was clamped.
    """

    advance: Signal
    gate: Signal
    up: Signal
    value: Signal
    saturated: Signal

    def __init__(self, config: Config):
        self._vector = config.vector
        word = signed(config.vector.word_bits)
        super().__init__(
            {
                "advance": In(1),
                "gate": In(word),
                "up": In(word),
                "value": Out(word),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Stage by stage, as `SiluGate` says."""
        m = Module()
        vector = self._vector
        bits = vector.word_bits
        fraction_bits = SIGMOID_FRACTION_BITS

        def word(name: str) -> Signal:
            return Signal(signed(bits), name=name)

        # The argument's exponent.
        gate, up = self.gate, self.up
        gate_0, gate_1, up_0, up_1, up_2 = map(word, ("gate_0", "gate_1", "up_0", "up_1", "up_2"))
        magnitude = Signal(bits)
        argument_bits = fraction_bits + SIGMOID_WHOLE_BITS
        argument = Signal(argument_bits)
        size = Signal(bits + fraction_bits + 1)
        exponent = Signal(argument_bits + 1)
        m.d.comb += [
            magnitude.eq(Mux(gate < 0, -gate, gate)),
            size.eq(rounded(magnitude, vector.word_fraction_bits - fraction_bits)),
            argument.eq(Mux(size[argument_bits:].any(), ~0, size)),
        ]

        # Two to the power of less it: -exponent = -whole + fraction.
        m.submodules.power = power = PowerOfTwo(fraction_bits, SIGMOID_MANTISSA_BITS)
        m.submodules.lines = lines = StraightLines(reciprocal_table(RECIPROCAL_BITS))
        negated = Signal(argument_bits + 2)
        whole = Signal(SIGMOID_WHOLE_BITS + 1)
        moved = Signal(RECIPROCAL_BITS + 1)
        sigmoid = Signal(RECIPROCAL_BITS + 1)
        m.d.comb += [
            negated.eq(-exponent),
            power.fraction.eq(negated[:fraction_bits]),
            whole.eq(-(negated.as_signed() >> fraction_bits)),
            moved.eq(power.mantissa << RECIPROCAL_BITS - SIGMOID_MANTISSA_BITS + 1 >> whole),
            lines.argument.eq(Mux(moved[-1], ~0, moved)),
        ]

        swished = Signal(signed(bits + 1))
        shift = 2 * vector.word_fraction_bits - vector.gated_fraction_bits
        half = bits // 2
        lower = Signal(signed(bits + 1 + half + 1))
        upper = Signal(signed(2 * bits + 1 - half))
        exact = (upper << half) + lower
        gated, saturated = clamped(m, rounded(exact, shift), bits, "gated")
        with m.If(self.advance):
            m.d.sync += [
                exponent.eq(argument * LOG2_E >> LOG2_E_BITS),
                gate_0.eq(gate),
                up_0.eq(up),
                sigmoid.eq(Mux(gate_0 < 0, (1 << RECIPROCAL_BITS) - lines.value, lines.value)),
                gate_1.eq(gate_0),
                up_1.eq(up_0),
                swished.eq(rounded(gate_1 * sigmoid, RECIPROCAL_BITS)),
                up_2.eq(up_1),
                lower.eq(swished * up_2[:half]),
                upper.eq(swished * (up_2 >> half)),
                self.value.eq(gated),
                self.saturated.eq(saturated),
            ]
        return m


class SiluGate(wiring.Component):
    """``gate / (1 + exp(-gate)) * up``.

    Stage by stage: |gate| of 12 fraction bits, below 16, times log2(e); two to the power of less
    that, and the reciprocal of one more; gate times the sigmoid, rounded to a word; that times the
    two halves of up; their sum, rounded to ``gated_fraction_bits`` and clamped.

    Latency: 5. Rate: ``lanes`` elements a cycle; a result that is not taken holds the block.

    Parameters:
        config: A configuration.
        lanes: Elements a transfer, a power of two.

    Members:
        i: In(stream of `GatePairs`).
        o: Out(stream of `Words`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    latency = 5
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
                "i": In(stream.Signature(GatePairs(config, lanes))),
                "o": Out(stream.Signature(Words(config.vector.word_bits, lanes))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A lane beside the other."""
        m = Module()
        advance = move_together(m, self)
        given, result = self.i.payload, self.o.payload
        lasts = [Signal(name=f"last_{stage}") for stage in range(self.latency)]
        m.d.comb += result.last.eq(lasts[-1])
        for lane in range(self._lanes):
            m.submodules[f"lane_{lane}"] = each = SiluLane(self._config)
            m.d.comb += [
                each.advance.eq(advance),
                each.gate.eq(given.gates[lane]),
                each.up.eq(given.ups[lane]),
                result.values[lane].eq(each.value),
                result.saturated[lane].eq(each.saturated),
            ]
        with m.If(advance):
            m.d.sync += lasts[0].eq(given.last)
            m.d.sync += [lasts[stage].eq(lasts[stage - 1]) for stage in range(1, self.latency)]
        return m
