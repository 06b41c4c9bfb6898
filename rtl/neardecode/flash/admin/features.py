"""What Set Feature sets: how the host wants reads to be retried, and when to be warned.

Source: OCP HBF v0.7.0, sections 5.2.4.1 and 5.2.4.2; addresses and meanings are ours.
"""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Flash
from neardecode.flash.blocks.ports import BlockAddress
from neardecode.flash.status import AdminStatus

__all__ = ["READ_LIMIT", "Feature", "FeatureAccess", "Features"]

READ_LIMIT = 1_000_000
"""Reads of a block, after reset, above which its data should be refreshed."""

ADDRESS_BITS = 28


class Feature(enum.Enum, shape=ADDRESS_BITS):
    """Addresses of features."""

    RETRY_MODE = 0x00
    """0: the controller retries a page that it cannot correct; 1: the host does."""
    THRESHOLD = 0x01
    """Wrong bits in a codeword above which a read ends with status 5."""
    READ_LIMIT = 0x02
    """Reads of a block above which its data should be refreshed."""
    RETRY_STAGES = 0x03
    """Read-retry stages that may be used."""
    MARK_BAD = 0x10
    """Can only be set. Bank in 15:0 and block in 47:16: it is not to be used any more."""


class FeatureAccess(data.StructLayout):
    """A Get or a Set.

    Fields:
        en: There is one in this cycle.
        write: It is a Set.
        address: The feature.
        value: What to set.
    """

    def __init__(self, value_bits: int):
        super().__init__(
            {
                "en": unsigned(1),
                "write": unsigned(1),
                "address": unsigned(ADDRESS_BITS),
                "value": unsigned(value_bits),
            }
        )


class Features(wiring.Component):
    """The registers behind Set Feature and Get Feature.

    An access is refused with ``INVALID_FIELD`` if the controller has no feature at the address,
    or none that can be read; with ``INVALID_VALUE`` if all the bits of the value together are not
    one that the feature may have. Without ``ecc`` there is only `Feature.READ_LIMIT` and
    `Feature.MARK_BAD`.

    Latency: one cycle, also for what is set. Rate: one access a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        access: In(`FeatureAccess`).
        refusal: Out(`AdminStatus`). How the last access ended.
        value: Out(32). What the last access read; zero if it was refused.
        host_retry: Out(1).
        threshold: Out(7).
        read_limit: Out(32).
        retry_stages: Out(3).
        mark_bad: Out(`BlockAddress`).
    """

    access: data.View
    refusal: Signal
    value: Signal
    host_retry: Signal
    threshold: Signal
    read_limit: Signal
    retry_stages: Signal
    mark_bad: data.View

    def __init__(self, config: Flash):
        self._config = config
        super().__init__(
            {
                "access": In(FeatureAccess(8 * config.beat_bytes)),
                "refusal": Out(AdminStatus),
                "value": Out(32),
                "host_retry": Out(1),
                "threshold": Out(7),
                "read_limit": Out(32),
                "retry_stages": Out(3),
                "mark_bad": Out(BlockAddress(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A register a feature."""
        m = Module()
        config, access = self._config, self.access

        # The feature, its port, its reset value and the most that it may be.
        registers = [(Feature.READ_LIMIT, self.read_limit, READ_LIMIT, 0xFFFFFFFF)]
        if config.ecc is not None:
            most, stages = config.ecc.correctable, config.ecc.retry_stages
            registers += [
                (Feature.RETRY_MODE, self.host_retry, 0, 1),
                (Feature.THRESHOLD, self.threshold, 3 * most // 4, most),
                (Feature.RETRY_STAGES, self.retry_stages, stages, stages),
            ]

        m.d.sync += self.mark_bad.en.eq(0)
        with m.If(access.en):
            m.d.sync += [self.value.eq(0), self.refusal.eq(AdminStatus.INVALID_FIELD)]
        with m.Switch(access.address):
            for feature, port, reset, most in registers:
                register = Signal(len(port), name=feature.name.lower(), init=reset)
                m.d.comb += port.eq(register)
                with m.Case(feature), m.If(access.en):
                    m.d.sync += self.refusal.eq(AdminStatus.OK)
                    with m.If(~access.write):
                        m.d.sync += self.value.eq(register)
                    with m.Elif(access.value > most):
                        m.d.sync += self.refusal.eq(AdminStatus.INVALID_VALUE)
                    with m.Else():
                        m.d.sync += register.eq(access.value)
            with m.Case(Feature.MARK_BAD), m.If(access.en & access.write):
                bank, block, rest = access.value[:16], access.value[16:48], access.value[48:]
                m.d.sync += [
                    self.refusal.eq(AdminStatus.OK),
                    self.mark_bad.bank.eq(bank),
                    self.mark_bad.block.eq(block),
                    self.mark_bad.en.eq(1),
                ]
                with m.If((bank >= config.banks) | (block >= config.blocks_a_bank) | rest.any()):
                    m.d.sync += [
                        self.refusal.eq(AdminStatus.INVALID_VALUE),
                        self.mark_bad.en.eq(0),
                    ]

        return m
