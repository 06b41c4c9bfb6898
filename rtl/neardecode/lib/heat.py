"""How hot a die gets from what it does, and what is done about it."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TEMPERATURE_BITS", "HeatThrottle", "ThermalNode"]

TEMPERATURE_BITS = 9
"""Of a temperature in half degrees above 0 C: up to 255.5 C."""
FRACTION_BITS = 24
"""Of the excess over ambient, behind a half degree."""
LEAK_SHIFT = 8
"""A window is this power of two shorter than the time constant."""


class ThermalNode(wiring.Component):
    """A first-order thermal node: events heat it, and it cools towards ambient.

    The excess over ambient is kept in 2^-24 half degrees. Each event adds its weight; at the end
    of every ``window`` cycles, 2^-8 of the excess leaks away, so that the time constant is 256
    windows. Saturates at the sensor's end.

    Latency: an event is in the temperature one cycle later. Rate: every event in every cycle.

    Parameters:
        weights: What each kind of event adds, in 2^-24 half degrees.
        window: Cycles between two leaks.
        ambient: Half degrees above 0 C.

    Members:
        events: In(len(weights)).
        temperature: Out(9). Half degrees above 0 C, rounded down.

    Raises:
        ValueError: if a weight is negative, there is none, ``window`` is not positive, or
            ``ambient`` not from 0 to what the sensor can tell.
    """

    events: Signal
    temperature: Signal

    def __init__(self, weights: Sequence[int], window: int, ambient: int):
        if not weights or any(not isinstance(each, int) or each < 0 for each in weights):
            raise ValueError(f"weights must be integers from 0, at least one, not {weights!r}")
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"window must be a positive integer, not {window!r}")
        if not isinstance(ambient, int) or not 0 <= ambient < 1 << TEMPERATURE_BITS:
            raise ValueError(f"ambient must be from 0 to 511, not {ambient!r}")
        self._weights, self._window, self._ambient = tuple(weights), window, ambient
        super().__init__({"events": In(len(weights)), "temperature": Out(TEMPERATURE_BITS)})

    def elaborate(self, platform) -> Module:
        """The excess, what is added, and what leaks."""
        m = Module()
        most = ((1 << TEMPERATURE_BITS) - 1 - self._ambient) << FRACTION_BITS
        excess = Signal(TEMPERATURE_BITS + FRACTION_BITS)
        phase = Signal(range(self._window))
        ends = phase == self._window - 1
        gain: Value = sum(
            (
                Mux(event, weight, 0)
                for event, weight in zip(self.events, self._weights, strict=True)
            ),
            start=Value.cast(0),
        )
        later = Signal(len(excess) + 4 + max(self._weights).bit_length())
        m.d.comb += [
            later.eq(excess - Mux(ends, excess >> LEAK_SHIFT, 0) + gain),
            self.temperature.eq(self._ambient + (excess >> FRACTION_BITS)),
        ]
        m.d.sync += [
            phase.eq(Mux(ends, 0, phase + 1)),
            excess.eq(Mux(later > most, most, later)),
        ]
        return m


class HeatThrottle(wiring.Component):
    """How many of 16 cycles a reader rests: one more for each step above a threshold.

    A step is taken when the temperature is above ``threshold`` and the steps already taken, and
    given back ``hysteresis`` below where it was taken. Latency: one cycle a step.

    Parameters:
        threshold, step, hysteresis: In half degrees.

    Members:
        temperature: In(9). Half degrees above 0 C.
        throttle: Out(range(16)). Cycles of 16 to rest.
        permit: Out(1). This is not one of them.

    Raises:
        ValueError: if a number is not a positive integer, or the last step is beyond the sensor.
    """

    temperature: Signal
    throttle: Signal
    permit: Signal

    def __init__(self, threshold: int, step: int, hysteresis: int):
        for name, value in (("threshold", threshold), ("step", step), ("hysteresis", hysteresis)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if threshold + 15 * step >= 1 << TEMPERATURE_BITS:
            raise ValueError(f"threshold must leave 15 steps below 512, not {threshold!r}")
        self._threshold, self._step, self._hysteresis = threshold, step, hysteresis
        super().__init__(
            {"temperature": In(TEMPERATURE_BITS), "throttle": Out(range(16)), "permit": Out(1)}
        )

    def elaborate(self, platform) -> Module:
        """The steps taken, and the place in 16 cycles."""
        m = Module()
        phase = Signal(4)
        edge = Signal(TEMPERATURE_BITS)
        m.d.comb += [
            edge.eq(self._threshold + self.throttle * self._step),
            self.permit.eq(phase >= self.throttle),
        ]
        m.d.sync += phase.eq(phase + 1)
        with m.If((self.temperature > edge) & (self.throttle != 15)):
            m.d.sync += self.throttle.eq(self.throttle + 1)
        with m.Elif(
            (self.throttle != 0) & (self.temperature + self._hysteresis + self._step <= edge)
        ):
            m.d.sync += self.throttle.eq(self.throttle - 1)
        return m
