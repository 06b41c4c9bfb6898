"""Times that the host sets, in units of its choice, turned into cycles.

Source: OCP HBF v0.7.0, section 5.9.2.15: a timer is a value of 24 bits and a unit.
"""

from fractions import Fraction
from math import ceil

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UNITS_NS", "VALUE_BITS", "TimerScaler", "timer_cycles", "timer_setting"]

UNITS_NS = (1, 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9)
"""What a unit is, by its code: nano-, micro- and milliseconds, seconds, minutes, hours."""

VALUE_BITS = 24
CYCLES_BITS = 32
FRACTION_BITS = 16
"""Bits behind the binary point of the cycles of a unit."""
IGNORED_BITS = 12
"""Of them, those that make no further cycle: less than a 16th of one."""

_SUM_BITS = CYCLES_BITS + FRACTION_BITS
_MOST = (1 << CYCLES_BITS) - 1


def _unit_cycles(clock_ghz: float) -> list[int]:
    """Cycles of each unit, in steps of ``2 ** -FRACTION_BITS``, rounded up."""
    # The decimal that was written down, not the binary fraction next to it.
    clock = Fraction(str(clock_ghz))
    return [ceil(unit_ns * clock * (1 << FRACTION_BITS)) for unit_ns in UNITS_NS]


def timer_setting(time_ns: float) -> tuple[int, int]:
    """The value and the unit of a time.

    The largest unit of which it is a whole multiple; if there is none, the smallest in which it
    fits, rounded up.

    Raises:
        ValueError: if ``time_ns`` is negative, or longer than a timer can be.
    """
    if time_ns < 0:
        raise ValueError(f"time_ns must not be negative, not {time_ns!r}")
    settings = [Fraction(str(time_ns)) / unit_ns for unit_ns in UNITS_NS]
    fitting = [unit for unit, value in enumerate(settings) if ceil(value) < 1 << VALUE_BITS]
    if not fitting:
        raise ValueError(f"time_ns must fit {VALUE_BITS} bits of hours, not {time_ns!r}")
    whole = [unit for unit in fitting if settings[unit].denominator == 1 and time_ns]
    unit = max(whole, default=fitting[0])
    return ceil(settings[unit]), unit


def timer_cycles(value: int, unit: int, clock_ghz: float) -> int:
    """The cycles of a timer, as `TimerScaler` computes them."""
    up = (1 << FRACTION_BITS) - (1 << IGNORED_BITS)
    return min((value * _unit_cycles(clock_ghz)[unit] + up) >> FRACTION_BITS, _MOST)


class TimerScaler(wiring.Component):
    """Multiplies a timer's value by the cycles of its unit, a bit of the value a cycle.

    The cycles of a unit are a constant, rounded up to 2**-16 of a cycle, and the product is rounded
    up, but for less than a 16th of a cycle. So a time is at most that 16th shorter than what was
    set, and longer by less than a cycle and 2**-16 of a cycle for each of its units. Beyond 32
    bits it saturates.

    Latency: `latency` cycles from ``start``; until then the cycles of before stand.

    Parameters:
        clock_ghz: The clock.
        reset: Value and unit after reset.

    Members:
        start: In(1). ``value`` and ``unit`` are new; not while ``busy``.
        value: In(24).
        unit: In(3). A code of `UNITS_NS`.
        busy: Out(1). A product is under way.
        cycles: Out(32). The last product.

    Raises:
        ValueError: if ``clock_ghz`` is not positive.
    """

    latency = VALUE_BITS + 2

    start: Signal
    value: Signal
    unit: Signal
    busy: Signal
    cycles: Signal

    def __init__(self, clock_ghz: float, reset: tuple[int, int]):
        if not clock_ghz > 0:
            raise ValueError(f"clock_ghz must be positive, not {clock_ghz!r}")
        self._factors = _unit_cycles(clock_ghz)
        self._reset_cycles = timer_cycles(*reset, clock_ghz)
        super().__init__(
            {
                "start": In(1),
                "value": In(VALUE_BITS),
                "unit": In(3),
                "busy": Out(1),
                "cycles": Out(CYCLES_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        """A shift register of the value, a sum that doubles, and the rounding at the end."""
        m = Module()

        # A unit longer than all 32 bits of cycles saturates with a value of one.
        most = (1 << _SUM_BITS) - 1
        factor = Signal(_SUM_BITS)
        with m.Switch(self.unit):
            for unit, unit_cycles in enumerate(self._factors):
                with m.Case(unit):
                    m.d.comb += factor.eq(min(unit_cycles, most))

        rest = Signal(VALUE_BITS, reset_less=True)
        left = Signal(range(VALUE_BITS + 1))
        total = Signal(_SUM_BITS, reset_less=True)
        saturated = Signal(reset_less=True)
        last = Signal()
        cycles = Signal(CYCLES_BITS, init=self._reset_cycles)
        grown = Signal(_SUM_BITS + 2)
        rounded = Signal(CYCLES_BITS + 1)
        m.d.comb += [
            self.cycles.eq(cycles),
            self.busy.eq((left != 0) | last),
            grown.eq((total << 1) + Mux(rest[-1], factor, 0)),
            rounded.eq(total[FRACTION_BITS:] + total[IGNORED_BITS:FRACTION_BITS].any()),
        ]

        m.d.sync += last.eq(left == 1)
        with m.If(self.start):
            m.d.sync += [
                rest.eq(self.value),
                left.eq(VALUE_BITS),
                total.eq(0),
                saturated.eq(0),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                rest.eq(Cat(0, rest[:-1])),
                left.eq(left - 1),
                total.eq(grown),
                saturated.eq(saturated | grown[_SUM_BITS:].any()),
            ]
        with m.If(last):
            m.d.sync += cycles.eq(Mux(saturated | rounded[-1], _MOST, rounded))

        return m
