"""The block dot unit: the arithmetic of a MAC slice in dot mode."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.activation import activation_beat
from neardecode.config import BLOCK_ELEMENTS
from neardecode.config import Compute as ComputeConfig

__all__ = ["BlockDot"]

ELEMENT_BITS = 8
KEY_EXPONENT_BIAS = 127 + ELEMENT_BITS - 2


class BlockDot(wiring.Component):
    """Multiplies a beat of MXINT8 blocks by as many activation blocks and adds up rows.

    A block's integer dot product, of at most ``2^(5 + 7 + activation_bits - 1)`` in magnitude, is
    shifted by the sum of the two exponents to the accumulator's binary point, rounded down, and
    clamped to `Compute.term_bits` signed bits. ``blocks_a_row`` such terms fit the accumulator,
    since ``2^(term_bits - 1) * blocks_a_row = 2^(accumulator_bits - 1)``, so no sum overflows.

    Latency 3 cycles from a row's last beat to its result, rate one beat a cycle; a cycle in which
    ``enable`` is low does not count.

    Parameters:
        config: The compute section of a configuration.
        blocks_a_beat: Blocks of a beat.

    Members:
        enable: In(1). The pipeline moves.
        valid: In(1). A beat is there.
        first: In(1). It is its row's first.
        last: In(1). It is its row's last.
        elements: In. The beat.
        scales: In. The blocks' E8M0 scales.
        activations: In(`activation_beat`).
        done: Out(1). A row is done.
        value: Out(accumulator_bits).
        saturated: Out(1). A term was clamped.
    """

    latency = 3
    """Cycles from a row's last beat to its result."""

    enable: Signal
    valid: Signal
    first: Signal
    last: Signal
    elements: data.View
    scales: data.View
    activations: data.View
    done: Signal
    value: Signal
    saturated: Signal

    def __init__(self, config: ComputeConfig, blocks_a_beat: int):
        self._config = config
        self._blocks_a_beat = blocks_a_beat
        super().__init__(
            {
                "enable": In(1),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "elements": In(
                    data.ArrayLayout(
                        data.ArrayLayout(signed(ELEMENT_BITS), BLOCK_ELEMENTS), blocks_a_beat
                    )
                ),
                "scales": In(data.ArrayLayout(8, blocks_a_beat)),
                "activations": In(activation_beat(config, blocks_a_beat)),
                "done": Out(1),
                "value": Out(signed(config.accumulator_bits)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Multiply and add, align, accumulate."""
        m = Module()
        config = self._config
        dot_bits = ELEMENT_BITS + config.activation_bits + ceil_log2(BLOCK_ELEMENTS)
        # Shifts beyond these bounds give the same term: all sign, or clamped unless zero.
        left_most = config.term_bits
        right_most = dot_bits - 1
        bias = KEY_EXPONENT_BIAS + 127 + config.activation_bits - 2 - config.fraction_bits

        stages = [Signal(data.StructLayout({"valid": 1, "first": 1, "last": 1})) for _ in range(2)]
        with m.If(self.enable):
            m.d.sync += [
                stages[0].eq(Cat(self.valid, self.first, self.last)),
                stages[1].eq(stages[0]),
            ]

        terms = []
        clamped = []
        for index in range(self._blocks_a_beat):
            products = [
                element * activation
                for element, activation in zip(
                    self.elements[index], self.activations.elements[index], strict=True
                )
            ]
            dot = Signal(signed(dot_bits), name=f"dot_{index}")
            shift = Signal(signed(10), name=f"shift_{index}")
            with m.If(self.enable & self.valid):
                m.d.sync += [
                    dot.eq(_sum(products)),
                    shift.eq(self.scales[index] + self.activations.exponents[index] - bias),
                ]

            left = Signal(range(left_most + 1), name=f"left_{index}")
            right = Signal(range(right_most + 1), name=f"right_{index}")
            wide = Signal(signed(dot_bits + left_most), name=f"wide_{index}")
            term = Signal(signed(config.term_bits), name=f"term_{index}")
            over = Signal(name=f"over_{index}")
            most = (1 << (config.term_bits - 1)) - 1
            m.d.comb += [
                left.eq(Mux(shift < 0, 0, Mux(shift > left_most, left_most, shift))),
                right.eq(Mux(shift > 0, 0, Mux(shift < -right_most, right_most, -shift))),
                wide.eq((dot >> right) << left),
                over.eq((wide > most) | (wide < -most - 1)),
                term.eq(Mux(over, Mux(wide < 0, -most - 1, most), wide)),
            ]
            terms.append(term)
            clamped.append(over)

        total = Signal(signed(config.term_bits + ceil_log2(self._blocks_a_beat)))
        total_clamped = Signal()
        with m.If(self.enable & stages[0].valid):
            m.d.sync += [total.eq(_sum(terms)), total_clamped.eq(Cat(clamped).any())]

        more = ~stages[1].first
        with m.If(self.enable):
            m.d.sync += self.done.eq(stages[1].valid & stages[1].last)
            with m.If(stages[1].valid):
                m.d.sync += [
                    self.value.eq(total + Mux(more, self.value, 0)),
                    self.saturated.eq(total_clamped | (more & self.saturated)),
                ]
        return m


def _sum(values: list[Value]) -> Value:
    """Adds values up in a balanced tree."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return _sum(values[:half]) + _sum(values[half:])
