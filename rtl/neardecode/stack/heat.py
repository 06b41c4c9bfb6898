"""A vault's thermal node: what its commands heat, when it refreshes twice as often, and slows."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import HeatConstants, VaultEvent
from neardecode.lib.heat import TEMPERATURE_BITS, HeatThrottle, ThermalNode

__all__ = ["VaultHeat"]


class VaultHeat(wiring.Component):
    """Temperature out of a vault's events. Latency: one cycle, one more to ``hot``.

    Parameters:
        constants: The thermal constants of a configuration.

    Members:
        strobes: In. The vault's events, by `VaultEvent`.
        temperature: Out(9). Half degrees above 0 C.
        hot: Out(1). Refresh twice as often; it ends the hysteresis lower than it begins.
        throttle, permit: Out. As in `HeatThrottle`.
    """

    strobes: Signal
    temperature: Signal
    hot: Signal
    throttle: Signal
    permit: Signal

    def __init__(self, constants: HeatConstants):
        self._constants = constants
        super().__init__(
            {
                "strobes": In(len(VaultEvent)),
                "temperature": Out(TEMPERATURE_BITS),
                "hot": Out(1),
                "throttle": Out(range(16)),
                "permit": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The node and what it drives."""
        m = Module()
        constants, strobes = self._constants, self.strobes
        m.submodules.node = node = ThermalNode(
            constants.weights, constants.window, constants.ambient
        )
        m.submodules.slow = slow = HeatThrottle(
            constants.throttle, constants.step, constants.hysteresis
        )
        m.d.comb += [
            node.events.eq(
                Cat(
                    strobes[VaultEvent.READS.value] | strobes[VaultEvent.WRITES.value],
                    strobes[VaultEvent.ACTIVATES.value],
                    strobes[VaultEvent.REFRESHES.value],
                )
            ),
            self.temperature.eq(node.temperature),
            slow.temperature.eq(node.temperature),
            self.throttle.eq(slow.throttle),
            self.permit.eq(slow.permit),
        ]
        with m.If(node.temperature > constants.hot):
            m.d.sync += self.hot.eq(1)
        with m.Elif(node.temperature + constants.hysteresis <= constants.hot):
            m.d.sync += self.hot.eq(0)
        return m
