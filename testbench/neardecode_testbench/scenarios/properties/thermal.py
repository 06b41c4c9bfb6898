"""The thermal governor: no mode too low for its heat, hysteresis, a trip that is not forgotten."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Cover, Elaboratable, Module, Mux, Signal

from neardecode.flash.thermal import ThermalGovernor, ThermalMode

__all__ = ["ThermalProperties"]

BASE = 120
"""60 C in half degrees."""


class ThermalProperties(Elaboratable):
    """Each cycle's mode, from the mode, the heat and the thresholds of the cycle before.

    Temperature and thresholds jump as they like.

    Args:
        governor: The governor.
        light_period, hysteresis, shutdown: What it was made with.
    """

    def __init__(
        self, governor: ThermalGovernor, light_period: int, hysteresis: int, shutdown: int
    ):
        self.governor = governor
        self.light_period = light_period
        self.hysteresis = hysteresis
        self.shutdown = shutdown

    def elaborate(self, platform) -> Module:
        """The governor in a free environment, and what it was a cycle ago."""
        m = Module()
        m.submodules.governor = governor = self.governor
        inputs = ("temperature", "release", "light", "severe")
        switches = ("light_enabled", "severe_enabled", "clear_cattrip")
        for name in (*inputs, *switches):
            port = getattr(governor, name)
            m.d.comb += port.eq(AnySeq(len(port)))
        mode = Signal(2)
        m.d.comb += mode.eq(governor.mode.as_value())

        normal, light, severe, shut = (each.value for each in ThermalMode)
        heat = governor.temperature
        # ``past`` falls with the reset, and with it all that is said about a cycle before.
        past = Signal()
        was = Signal(2)
        was_warm, was_mild = Signal(), Signal()
        was_severe, was_cool = Signal(), Signal()
        was_hot, was_status, was_cleared = Signal(), Signal(), Signal()
        m.d.sync += [
            past.eq(1),
            was.eq(mode),
            was_warm.eq(governor.light_enabled & (heat >= BASE + governor.light)),
            was_mild.eq(~governor.light_enabled | (heat <= BASE + governor.release)),
            was_severe.eq(governor.severe_enabled & (heat >= BASE + governor.severe)),
            was_cool.eq(
                ~governor.severe_enabled | (heat + self.hysteresis <= BASE + governor.severe)
            ),
            was_hot.eq(heat >= self.shutdown),
            was_status.eq(governor.cattrip_status),
            was_cleared.eq(governor.clear_cattrip),
        ]
        # Cycles in a row without a permit, and since the last one within light throttling.
        without = Signal(range(self.light_period + 2))
        since = Signal(range(self.light_period + 1))
        m.d.sync += [
            without.eq(Mux(governor.permit, 0, without + (without <= self.light_period))),
            since.eq(since + (since != self.light_period)),
        ]
        with m.If(mode != light):
            m.d.sync += since.eq(self.light_period)
        with m.Elif(governor.permit):
            m.d.sync += since.eq(1)

        def follows(condition, conclusion, message: str):
            return Assert(~past | ~condition | conclusion, message)

        m.d.comb += [
            follows(was_warm, mode != normal, "never normal from the light threshold on"),
            follows((was == light) & (mode == normal), was_mild, "light ends at release only"),
            follows((was == normal) & (mode == light), was_warm, "light begins at its threshold"),
            follows(was_severe, mode >= severe, "severe or worse from the severe threshold on"),
            follows(
                (was != severe) & (mode == severe), was_severe, "severe begins at its threshold"
            ),
            follows((was == severe) & (mode < severe), was_cool, "severe ends when it has cooled"),
            follows(
                (was == severe) & was_cool & ~was_severe & ~was_hot,
                mode < severe,
                "severe ends as soon as it has cooled",
            ),
            follows(was == shut, mode == shut, "a shutdown stays"),
            follows(was_hot, mode == shut, "shut down when hot"),
            follows((was != shut) & (mode == shut), was_hot, "not shut down unless hot"),
            follows(
                was_status & (~was_cleared | (was >= severe)),
                governor.cattrip_status,
                "a trip is not forgotten",
            ),
            follows(
                was_cleared & (mode < severe) & (was < severe),
                ~governor.cattrip_status,
                "a trip is cleared",
            ),
            Assert(governor.cattrip == (mode >= severe), "the pin is high when severe or worse"),
            Assert(governor.halt == (mode >= severe), "nothing begins when severe or worse"),
            Assert(~governor.cattrip | governor.cattrip_status, "a trip is seen at once"),
            Assert(governor.light_status == (mode == light), "the light status is the mode"),
            Assert(governor.link_error == (mode == shut), "the link fails when shut down"),
            Assert((mode != normal) | governor.permit, "nothing is held back when normal"),
            Assert(without < self.light_period, "throttling permits one in every period"),
            Assert(
                (mode != light) | ~governor.permit | (since == self.light_period),
                "light throttling permits one in every period and no more",
            ),
            Cover(past & (was == severe) & (mode == light), "severe cools to light"),
            Cover(past & (was == light) & (mode == normal), "light cools to normal"),
            Cover(past & (was == light) & (mode == severe), "light heats to severe"),
            Cover((mode == shut) & past & (was == severe), "severe heats to a shutdown"),
            Cover(governor.cattrip_status & ~governor.cattrip, "a trip is over and known"),
            Cover((mode == light) & (without == self.light_period - 1), "a period passes"),
        ]
        return m
