"""The registers of a channel, joined to what they set and what they show."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.admin.register_map import RESET_KEY, WARM_RESET, register_map
from neardecode.flash.admin.registers import RegisterAccess, RegisterFile
from neardecode.flash.admin.timers import TimerScaler, timer_setting
from neardecode.flash.blocks.ports import COUNT_BITS, BlockAddress, BlockWear
from neardecode.flash.status import AdminStatus

__all__ = ["ChannelRegisters"]

_HOST_CONTROLLED = 0b10


class ChannelRegisters(wiring.Component):
    """The register file, its timers and its interrupts.

    Latency: that of `RegisterFile`; timers are in force when ``busy`` is low again, at most
    ``TimerScaler.latency`` cycles after the access. A pending interrupt is set a cycle after its
    cause; a cause that comes while its bit is being cleared is not lost.

    Parameters:
        config: The flash section of a configuration, with ``host``.
        clock_ghz: The clock.

    Members:
        access, refusal, value: As `RegisterFile`'s.
        busy: Out(1). A timer that was written is not in force yet, or the wear of a block that was
            chosen not there.
        logged, retired: In(1). Strobes, causes of an interrupt: an error was logged, a block
            was retired.
        reset: Out(1). Strobe, a cycle after the access that asks for a warm reset.
        io_ready, scratchpad_ready, fatal, light_status, cattrip_status, shutdown, reduced,
            maximum_erases, average_erases, enabled, outstanding_limit, host_wear_levelling,
            release, light, severe, light_enabled, severe_enabled, clear_cattrip,
            accumulate_cycles, gather_cycles, interrupt, inspect, inspected, wear, zone,
            zone_erases: As `Admin`'s.

    Raises:
        ValueError: if ``config`` has no host, or ``clock_ghz`` is not positive.
    """

    access: data.View
    refusal: Signal
    value: Signal
    busy: Signal
    logged: Signal
    retired: Signal
    reset: Signal
    io_ready: Signal
    scratchpad_ready: Signal
    fatal: Signal
    light_status: Signal
    cattrip_status: Signal
    shutdown: Signal
    reduced: Signal
    maximum_erases: Signal
    average_erases: Signal
    enabled: Signal
    outstanding_limit: Signal
    host_wear_levelling: Signal
    release: Signal
    light: Signal
    severe: Signal
    light_enabled: Signal
    severe_enabled: Signal
    clear_cattrip: Signal
    accumulate_cycles: Signal
    gather_cycles: Signal
    interrupt: Signal
    inspect: data.View
    inspected: Signal
    wear: data.View
    zone: Signal
    zone_erases: Signal

    def __init__(self, config: Flash, clock_ghz: float):
        registers = register_map(config, clock_ghz)
        assert config.host is not None
        self._file = RegisterFile(registers)
        self._timers = [
            TimerScaler(clock_ghz, timer_setting(time_ns))
            for time_ns in (config.host.accumulate_ns, config.host.gather_ns)
        ]
        self._most = config.host.reads + config.host.writes
        self._bank_bits = ceil_log2(config.banks)
        super().__init__(
            {
                "access": In(RegisterAccess()),
                "refusal": Out(AdminStatus),
                "value": Out(32),
                "busy": Out(1),
                "logged": In(1),
                "retired": In(1),
                "reset": Out(1),
                **dict.fromkeys(
                    (
                        *("io_ready", "scratchpad_ready", "fatal", "light_status"),
                        *("cattrip_status", "shutdown", "reduced"),
                    ),
                    In(1),
                ),
                "maximum_erases": In(32),
                "average_erases": In(32),
                "enabled": Out(1),
                "outstanding_limit": Out(range(self._most + 1)),
                "host_wear_levelling": Out(1),
                **dict.fromkeys(("release", "light", "severe"), Out(7)),
                **dict.fromkeys(("light_enabled", "severe_enabled", "clear_cattrip"), Out(1)),
                **dict.fromkeys(("accumulate_cycles", "gather_cycles"), Out(32)),
                "interrupt": Out(1),
                "inspect": Out(BlockAddress(config)),
                "inspected": In(1),
                "wear": In(BlockWear()),
                "zone": Out(exact_log2(config.host.zones)),
                "zone_erases": In(COUNT_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        """Wires between fields and ports, two timers, three pending bits."""
        m = Module()
        m.submodules.file = file = self._file
        settings, statuses, actions = file.settings, file.statuses, file.actions

        m.d.comb += [
            file.access.eq(self.access),
            self.refusal.eq(file.refusal),
            self.value.eq(file.value),
            statuses.sts_spr.eq(self.scratchpad_ready),
            statuses.sts_isr.eq(self.io_ready),
            # Done, or it could not be told: from shutdown only a power cycle leads back.
            statuses.bucsts_shst.eq(Mux(self.shutdown, 2, 0)),
            statuses.bucsts_bucfs.eq(self.fatal),
            statuses.bucsts_rdy.eq(self.io_ready),
            statuses.tmon_ltms.eq(self.light_status),
            statuses.tmon_ces.eq(self.cattrip_status),
            statuses.maxpec_maxpec.eq(self.maximum_erases),
            statuses.avgpec_avgpec.eq(self.average_erases),
            statuses.redcap_redcap.eq(self.reduced),
            self.enabled.eq(settings.bucc_en),
            self.host_wear_levelling.eq(settings.bucc_wls == _HOST_CONTROLLED),
            self.release.eq(settings.tttemp_rtt),
            self.light.eq(settings.tttemp_ltt),
            self.severe.eq(settings.tttemp_stt),
            self.light_enabled.eq(settings.tttemp_lte),
            self.severe_enabled.eq(settings.tttemp_ste),
            self.clear_cattrip.eq(actions.tmon_ces),
            self.reset.eq((actions.bucr_bucrc == RESET_KEY) & (settings.bucr_ucrst == WARM_RESET)),
        ]
        with m.Switch(settings.bucc_mocs):
            m.d.comb += self.outstanding_limit.eq(1)
            for code in range(1, self._most.bit_length() - 1):
                with m.Case(code):
                    m.d.comb += self.outstanding_limit.eq(2 << code)

        for place, (timer, cycles) in enumerate(
            zip(self._timers, (self.accumulate_cycles, self.gather_cycles), strict=True)
        ):
            m.submodules[f"timer_{place}"] = timer
            # The two share a register's strobe; to scale again what did not change is harmless.
            m.d.comb += [
                timer.start.eq(file.written.tmr),
                timer.value.eq(settings[f"tmr_value{place}"]),
                timer.unit.eq(settings[f"tmr_unit{place}"]),
                cycles.eq(timer.cycles),
            ]
        # The wear of a block is fetched when it is chosen; that of one chosen before a reset, which
        # the block table still shows, is of no block.
        fetching, fetched = Signal(), Signal()
        m.d.sync += [
            fetching.eq((fetching | file.written.block) & ~self.inspected),
            fetched.eq(fetched | self.inspected),
        ]
        m.d.comb += [
            self.inspect.en.eq(file.written.block),
            self.inspect.bank.eq(settings.block_block[: self._bank_bits]),
            self.inspect.block.eq(settings.block_block[self._bank_bits :]),
            statuses.blkrc_blkrc.eq(Mux(fetched, self.wear.reads, 0)),
            statuses.blkpec_blkpec.eq(Mux(fetched, self.wear.erases, 0)),
            self.zone.eq(settings.zone_zone),
            statuses.zonepec_zonepec.eq(self.zone_erases),
            self.busy.eq(file.written.tmr | self._timers[0].busy | file.written.block | fetching),
        ]

        now = Cat(self.light_status, self.cattrip_status, self.shutdown)
        before = Signal(len(now))
        causes = Cat(self.logged, (now ^ before).any(), self.retired)
        pending = Signal(len(causes))
        m.d.sync += [
            before.eq(now),
            pending.eq(
                causes
                | (
                    pending
                    & ~Cat(actions.icause_error, actions.icause_thermal, actions.icause_retired)
                )
            ),
        ]
        m.d.comb += [
            Cat(statuses.icause_error, statuses.icause_thermal, statuses.icause_retired).eq(
                pending
            ),
            self.interrupt.eq(
                (
                    pending
                    & Cat(
                        settings.ienable_error, settings.ienable_thermal, settings.ienable_retired
                    )
                ).any()
            ),
        ]

        return m
