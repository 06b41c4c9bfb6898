"""What a channel does as it gets hot.

Source: OCP HBF v0.7.0, section 9.2, table 34, figure 36, and registers TMON and TTTEMP.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ThermalGovernor", "ThermalMode"]

TEMPERATURE_BITS = 9
"""Of a temperature in half degrees above 0 C: up to 255.5 C."""
BASE = 120
"""60 C in half degrees, from which the thresholds count."""


class ThermalMode(enum.Enum, shape=2):
    """The four modes."""

    NORMAL = 0
    LIGHT = 1
    SEVERE = 2
    SHUTDOWN = 3


class ThermalGovernor(wiring.Component):
    """Chooses the mode by the temperature, with hysteresis.

    Light throttling begins at ``light`` and ends at ``release``; severe throttling begins at
    ``severe`` and ends ``hysteresis`` below it, into light throttling unless it is cold enough to
    do without or that is disabled; at ``shutdown`` the channel is shut down. To
    disable a threshold ends the mode that it began. While throttled a sense may begin in one cycle
    of ``light_period``.

    Only a power cycle ends a shutdown, so this block's reset is that of the power, not of the
    channel; ``cattrip_status`` outlives the channel's reset in the same way.

    Latency: 1 cycle from the temperature to the mode.

    Parameters:
        light_period: Cycles for each sense in light throttling.
        hysteresis: Half degrees by which it has to cool to leave severe throttling.
        shutdown: Half degrees above 0 C.

    Members:
        temperature: In(9). The sensor, in half degrees above 0 C.
        release, light, severe: In(7). Thresholds, in half degrees above 60 C.
        light_enabled, severe_enabled: In(1).
        clear_cattrip: In(1). Clear the sticky status, unless ``cattrip`` is high.
        mode: Out(`ThermalMode`).
        permit: Out(1). A sense or a program may begin in this cycle.
        halt: Out(1). Severe, or shut down: nothing new is taken.
        cattrip: Out(1). The pin: high while severe or shut down.
        cattrip_status: Out(1). It was high since it was cleared.
        light_status: Out(1). Light throttling.
        link_error: Out(1). Shut down.

    Raises:
        ValueError: if ``light_period`` is not from 2, ``hysteresis`` from 0 to 60 degrees, or
            ``shutdown`` from 60 degrees to what the sensor can tell.
    """

    temperature: Signal
    release: Signal
    light: Signal
    severe: Signal
    light_enabled: Signal
    severe_enabled: Signal
    clear_cattrip: Signal
    mode: enum.EnumView
    permit: Signal
    halt: Signal
    cattrip: Signal
    cattrip_status: Signal
    light_status: Signal
    link_error: Signal

    def __init__(self, light_period: int = 256, hysteresis: int = 4, shutdown: int = 250):
        if not isinstance(light_period, int) or light_period < 2:
            raise ValueError(f"light_period must be an integer from 2, not {light_period!r}")
        for name, value, low, high in (
            ("hysteresis", hysteresis, 0, BASE),
            ("shutdown", shutdown, BASE, (1 << TEMPERATURE_BITS) - 2),
        ):
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")
        self._light_period = light_period
        self._hysteresis = hysteresis
        self._shutdown = shutdown
        super().__init__(
            {
                "temperature": In(TEMPERATURE_BITS),
                "release": In(7),
                "light": In(7),
                "severe": In(7),
                "light_enabled": In(1),
                "severe_enabled": In(1),
                "clear_cattrip": In(1),
                "mode": Out(ThermalMode),
                "permit": Out(1),
                "halt": Out(1),
                "cattrip": Out(1),
                "cattrip_status": Out(1),
                "light_status": Out(1),
                "link_error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Comparisons, the mode, the pace of light throttling."""
        m = Module()
        hot, mild = Signal(), Signal()
        severe, cooled = Signal(), Signal()
        warm = Signal()
        mode = self.mode
        m.d.comb += [
            warm.eq(self.light_enabled & (self.temperature >= BASE + self.light)),
            mild.eq(~self.light_enabled | (self.temperature <= BASE + self.release)),
            severe.eq(self.severe_enabled & (self.temperature >= BASE + self.severe)),
            cooled.eq(
                ~self.severe_enabled | (self.temperature <= BASE - self._hysteresis + self.severe)
            ),
            hot.eq(self.temperature >= self._shutdown),
        ]
        with m.If((mode == ThermalMode.SHUTDOWN) | hot):
            m.d.sync += mode.eq(ThermalMode.SHUTDOWN)
        with m.Elif(severe):
            m.d.sync += mode.eq(ThermalMode.SEVERE)
        with m.Elif((mode == ThermalMode.SEVERE) & ~cooled):
            m.d.sync += mode.eq(ThermalMode.SEVERE)
        with m.Elif(warm | ((mode != ThermalMode.NORMAL) & ~mild)):
            m.d.sync += mode.eq(ThermalMode.LIGHT)
        with m.Else():
            m.d.sync += mode.eq(ThermalMode.NORMAL)

        pace = Signal(range(self._light_period))
        m.d.sync += pace.eq(Mux(pace == self._light_period - 1, 0, pace + 1))
        tripped = Signal()
        m.d.sync += tripped.eq((tripped & ~self.clear_cattrip) | self.cattrip)
        m.d.comb += [
            self.halt.eq((mode == ThermalMode.SEVERE) | (mode == ThermalMode.SHUTDOWN)),
            self.cattrip.eq(self.halt),
            self.cattrip_status.eq(tripped | self.cattrip),
            self.light_status.eq(mode == ThermalMode.LIGHT),
            self.link_error.eq(mode == ThermalMode.SHUTDOWN),
            self.permit.eq((mode == ThermalMode.NORMAL) | (pace == 0)),
        ]
        return m
