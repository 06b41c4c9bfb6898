"""The admin commands of a channel, one at a time, and the registers behind them.

Source: OCP HBF v0.7.0, sections 5.2.4 and 5.9; decisions of ours are in ``REGISTERS.md``.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import View
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.admin.channel_registers import ChannelRegisters
from neardecode.flash.admin.command import (
    AdminAnswer,
    AdminCommand,
    AdminData,
    AdminScreen,
    Capacity,
    EraseSetting,
    LogPage,
    admin_entry_bits,
)
from neardecode.flash.admin.features import Features
from neardecode.flash.admin.logs import ErrorEvent, ErrorLog, SmartEvent, SmartLog
from neardecode.flash.admin.zone_pairs import ZonePairs
from neardecode.flash.blocks.ports import BlockAddress, ZoneSwap
from neardecode.flash.status import AdminStatus, Opcode

__all__ = ["Admin"]

_INNER = ("access", "refusal", "value", "busy", "logged", "retired", "reset")
"""Ports of the registers that are not the controller's."""


class Admin(wiring.Component):
    """Does admin commands and holds the registers.

    One command at a time, from its acceptance to its last answer; a refused one changes nothing.
    A write has one answer, a read as many as it has beats, refused or not.

    Latency, from the acceptance of a command (and of the last beat of its data) to its first
    answer: 2 cycles if it is refused at sight; 4 for registers and features (29 for a write of
    ``TMR``, 3 after ``inspected`` for one of ``BLOCK``); 4 for a log, then 3 a beat;
    ``8 * beat_bytes`` + 3 for the bitmap, one less for each further beat; ``beat_bytes / 2`` + 3
    for a remapping; for an erase 1 after ``erase_done``. What a command sets is set when its answer
    is offered.

    Parameters:
        config: The flash section of a configuration, with ``host``.
        clock_ghz: The clock.

    Members:
        commands: In(stream of `AdminCommand`).
        data: In(stream of `AdminData`). Of write commands, in their order; taken after its command.
        answers: Out(stream of `AdminAnswer`).
        io_ready, scratchpad_ready, fatal, light_status, cattrip_status, shutdown, reduced: In(1).
            For ``STS``, ``BUCSTS``, ``TMON`` and ``REDCAP``.
        maximum_erases, average_erases: In(32).
        counts: In(ArrayLayout(48, 12)). For the smart log, by `SmartEvent`.
        errors: In(`ErrorEvent`), two. To be logged, the first one first.
        enabled: Out(1). ``BUCC.EN``.
        outstanding_limit: Out. Commands, reads and writes together, by ``BUCC.MOCS``.
        host_wear_levelling: Out(1). By ``BUCC.WLS``.
        reset: Out(1). Strobe: a warm reset of the channel, with the answer to the write of
            ``BUCR``. It does not reset this component by itself.
        release, light, severe: Out(7). ``TTTEMP``.
        light_enabled, severe_enabled: Out(1). ``TTTEMP``.
        clear_cattrip: Out(1). Strobe.
        accumulate_cycles, gather_cycles: Out(32). The timers 0 and 1 of ``TMR``.
        host_retry: Out(1). The host retries reads.
        cecc_threshold: Out(7). Wrong bits in a codeword above which a read warns.
        read_limit: Out(32). Reads of a block above which a read warns.
        retry_stages: Out(3). Read-retry stages that may be used.
        mark_bad: Out(`BlockAddress`).
        swap: Out(`ZoneSwap`). At most one a cycle.
        scan: Out(`BlockAddress`).
        scanned_retired: In(3). What the scan of the last cycle found, 0 for a block in use.
        erase_request: Out(1). Level: erase, until ``erase_done``.
        erase_zones: Out(32). Which zones, meanwhile; zero for none.
        erase_scratchpad: Out(1). The scratchpad too, meanwhile.
        erase_done: In(1). It is erased; may come in any cycle of the request.
        interrupt: Out(1). An enabled cause is pending.
        inspect: Out(`BlockAddress`). The host chose a block: its wear is wanted.
        inspected: In(1). ``wear`` is that of this block from the next cycle on.
        wear: In(`BlockWear`).
        zone: Out. The zone that the host chose.
        zone_erases: In(32). Its mean erases.

    Raises:
        ValueError: if ``config`` has no host, or ``clock_ghz`` is not positive.
    """

    commands: stream.Interface
    data: stream.Interface
    answers: stream.Interface
    io_ready: Signal
    scratchpad_ready: Signal
    fatal: Signal
    light_status: Signal
    cattrip_status: Signal
    shutdown: Signal
    reduced: Signal
    maximum_erases: Signal
    average_erases: Signal
    counts: View
    errors: list[View]
    enabled: Signal
    outstanding_limit: Signal
    host_wear_levelling: Signal
    reset: Signal
    release: Signal
    light: Signal
    severe: Signal
    light_enabled: Signal
    severe_enabled: Signal
    clear_cattrip: Signal
    accumulate_cycles: Signal
    gather_cycles: Signal
    host_retry: Signal
    cecc_threshold: Signal
    read_limit: Signal
    retry_stages: Signal
    mark_bad: View
    swap: View
    scan: View
    scanned_retired: Signal
    erase_request: Signal
    erase_zones: Signal
    erase_scratchpad: Signal
    erase_done: Signal
    interrupt: Signal
    inspect: View
    inspected: Signal
    wear: View
    zone: Signal
    zone_erases: Signal

    def __init__(self, config: Flash, clock_ghz: float):
        entry_bits = admin_entry_bits(config)
        assert config.host is not None
        self._config = config
        self._registers = ChannelRegisters(config, clock_ghz)
        self._features = Features(config)
        self._smart = SmartLog(config.beat_bytes)
        # Kept here so that properties may speak of them.
        self._command = Signal(AdminCommand(entry_bits), name="command", reset_less=True)
        self._left = Signal(7, name="left")
        registers = self._registers.signature.members
        features = self._features.signature.members
        self._shown = {
            **{name: registers[name] for name in registers if name not in _INNER},
            **{name: features[name] for name in ("host_retry", "read_limit", "retry_stages")},
        }
        super().__init__(
            {
                "commands": In(stream.Signature(AdminCommand(entry_bits))),
                "data": In(stream.Signature(AdminData(config.beat_bytes))),
                "answers": Out(stream.Signature(AdminAnswer(entry_bits, config.beat_bytes))),
                "counts": self._smart.signature.members["counts"],
                "errors": In(ErrorEvent(config)).array(2),
                **self._shown,
                "cecc_threshold": features["threshold"],
                "mark_bad": features["mark_bad"],
                "reset": Out(1),
                "swap": Out(ZoneSwap(config.host.zones)),
                "scan": Out(BlockAddress(config)),
                "scanned_retired": In(3),
                "erase_request": Out(1),
                "erase_zones": Out(32),
                "erase_scratchpad": Out(1),
                "erase_done": In(1),
            }
        )

    @property
    def entry_bits(self) -> int:
        """Bits of a command's entry."""
        return admin_entry_bits(self._config)

    def elaborate(self, platform) -> Module:
        """The parts, and a state machine that takes a command through them."""
        m = Module()
        config = self._config
        assert config.host is not None
        m.submodules.registers = registers = self._registers
        m.submodules.features = features = self._features
        m.submodules.smart = smart = self._smart
        m.submodules.log = log = ErrorLog(config)
        m.submodules.screen = screen = AdminScreen(config)
        m.submodules.pairs = pairs = ZonePairs(config.host.zones)

        for name, member in self._shown.items():
            part = features if name in features.signature.members else registers
            inside, outside = getattr(part, name), getattr(self, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)
        # A count grows by at most one in a cycle: its lowest bit tells.
        retired = self.counts[SmartEvent.BLOCKS_RETIRED.value][0]
        retired_before = Signal()
        reduced_before = Signal()
        m.d.sync += [retired_before.eq(retired), reduced_before.eq(self.reduced)]
        m.d.comb += [
            self.cecc_threshold.eq(features.threshold),
            self.mark_bad.eq(features.mark_bad),
            registers.logged.eq(self.errors[0].en | self.errors[1].en),
            registers.retired.eq((retired != retired_before) | (self.reduced & ~reduced_before)),
            *(inside.eq(error) for inside, error in zip(log.errors, self.errors, strict=True)),
            smart.counts.eq(self.counts),
            smart.state.maximum_erases.eq(self.maximum_erases),
            smart.state.average_erases.eq(self.average_erases),
            smart.state.errors.eq(log.number),
            smart.state.fatal.eq(self.fatal),
            smart.state.light.eq(self.light_status),
            smart.state.cattrip.eq(self.cattrip_status),
            smart.state.reduced.eq(self.reduced),
        ]

        command, left = self._command, self._left
        opcode, operand, write = command.address[:8], command.address[8:], command.write
        status = Signal(AdminStatus)
        position = Signal(16, reset_less=True)
        one_beat = Signal(reset_less=True)
        first = Signal(reset_less=True)
        beat_bits = 8 * config.beat_bytes
        beat = Signal(beat_bits, reset_less=True)
        m.d.comb += [
            screen.command.eq(command),
            screen.word.eq(beat),
            screen.one_beat.eq(one_beat),
            screen.host_wear_levelling.eq(self.host_wear_levelling),
            screen.errors.eq(position < log.entries),
            features.access.write.eq(write),
            features.access.address.eq(operand),
            features.access.value.eq(beat),
            registers.access.write.eq(write),
            registers.access.mmio.eq(command.user[2]),
            registers.access.offset.eq(operand),
            registers.access.data.eq(beat),
            log.index.eq(position),
            smart.index.eq(position),
            pairs.pair.eq(beat),
            self.swap.eq(pairs.swap),
            self.answers.payload.entry.eq(command.entry),
            self.answers.payload.write.eq(write),
            self.answers.payload.status.eq(status),
            self.answers.payload.data.eq(beat),
            self.answers.payload.last.eq(left == 1),
        ]

        # Of the bits of a beat or of the pairs of zones, one a cycle.
        count = Signal(range(beat_bits + 1))
        last_pair = Signal()
        asked = Signal()
        index = Cat(count[: exact_log2(beat_bits)], position)
        bank_bits = ceil_log2(config.banks)
        blocks = config.banks * config.blocks_a_bank
        m.d.comb += [
            last_pair.eq(count == beat_bits // len(pairs.pair.as_value()) - 1),
            self.scan.bank.eq(index[:bank_bits]),
            self.scan.block.eq(index[bank_bits:]),
        ]
        m.d.sync += asked.eq(self.scan.en)

        capacity = Capacity(operand[:2])
        erases = EraseSetting(operand[2:4]) != EraseSetting.NONE
        all_zones = (1 << config.host.zones) - 1
        m.d.comb += self.erase_scratchpad.eq(
            (capacity == Capacity.ALL) | (capacity == Capacity.SCRATCHPAD)
        )
        with m.Switch(capacity):
            with m.Case(Capacity.ZONES):
                m.d.comb += self.erase_zones.eq(beat)
            with m.Case(Capacity.ALL, Capacity.FLASH):
                m.d.comb += self.erase_zones.eq(all_zones)

        reset_due = Signal()
        with m.If(registers.reset):
            m.d.sync += reset_due.eq(1)

        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.commands.ready.eq(1)
                m.d.sync += [
                    command.eq(self.commands.payload),
                    position.eq(self.commands.payload.address[16:32]),
                    left.eq(Mux(self.commands.payload.write, 1, self.commands.payload.beats)),
                    first.eq(1),
                    beat.eq(0),
                ]
                with m.If(self.commands.valid):
                    with m.If(self.commands.payload.write):
                        m.next = "Data"
                    with m.Else():
                        m.next = "Screen"
            with m.State("Data"):
                m.d.comb += self.data.ready.eq(1)
                with m.If(self.data.valid):
                    with m.If(first):
                        m.d.sync += [
                            beat.eq(self.data.payload.data),
                            one_beat.eq(self.data.payload.last),
                            first.eq(0),
                        ]
                    with m.If(self.data.payload.last):
                        m.next = "Screen"
            with m.State("Screen"):
                m.d.comb += [log.take.eq(1), pairs.clear.eq(1)]
                m.d.sync += [status.eq(screen.refusal), count.eq(0)]
                m.next = "Answer"
                with m.If(screen.refusal == AdminStatus.OK), m.Switch(opcode):
                    with m.Case(Opcode.SET_FEATURE, Opcode.GET_FEATURE):
                        m.d.comb += features.access.en.eq(1)
                        m.next = "Accessed"
                    with m.Case(Opcode.REGISTER):
                        m.d.comb += registers.access.en.eq(1)
                        m.next = "Accessed"
                    with m.Case(Opcode.SECURE_ERASE), m.If(erases):
                        m.next = "Erase"
                    with m.Case(Opcode.GET_LOG_PAGE):
                        m.next = "Look"
                    with m.Case(Opcode.ZONE_REMAPPING):
                        m.next = "Check"
                    with m.Case(Opcode.REDUCED_CAPACITY):
                        m.next = "Scan"
            with m.State("Accessed"):
                with m.If(opcode == Opcode.REGISTER):
                    m.d.sync += [status.eq(registers.refusal), beat.eq(registers.value)]
                with m.Else():
                    m.d.sync += [status.eq(features.refusal), beat.eq(features.value)]
                m.next = "Settle"
            with m.State("Settle"), m.If(~registers.busy):
                m.next = "Answer"
            with m.State("Erase"):
                m.d.comb += self.erase_request.eq(1)
                with m.If(self.erase_done):
                    m.next = "Answer"
            with m.State("Check"):
                m.d.comb += pairs.check.eq(1)
                m.d.sync += [beat.eq(beat.rotate_right(32)), count.eq(count + 1)]
                with m.If(last_pair):
                    m.d.sync += count.eq(0)
                    m.next = "Checked"
            with m.State("Checked"):
                m.next = "Swap"
                with m.If(pairs.bad):
                    m.d.sync += status.eq(AdminStatus.INVALID_FIELD)
                    m.next = "Answer"
            with m.State("Swap"):
                m.d.comb += pairs.apply.eq(1)
                m.d.sync += [beat.eq(beat.rotate_right(32)), count.eq(count + 1)]
                with m.If(last_pair):
                    m.next = "Answer"
            with m.State("Scan"):
                m.d.comb += self.scan.en.eq(count < min(beat_bits, blocks))
                m.d.sync += count.eq(count + 1)
                with m.If(count != 0):
                    found = asked & self.scanned_retired.any()
                    m.d.sync += beat.eq(Cat(beat[1:], found))
                with m.If(count == beat_bits):
                    m.next = "Answer"
            with m.State("Look"):
                m.next = "Looked"
            with m.State("Looked"):
                error = LogPage(operand[:4]) == LogPage.ERROR
                m.d.sync += beat.eq(Mux(error, log.entry, smart.beat))
                m.next = "Answer"
            with m.State("Answer"):
                m.d.comb += self.answers.valid.eq(1)
                m.d.sync += count.eq(0)
                with m.If(self.answers.ready):
                    m.d.sync += [left.eq(left - 1), position.eq(position + 1)]
                    with m.If(left == 1):
                        m.d.comb += self.reset.eq(reset_due)
                        m.d.sync += reset_due.eq(0)
                        m.next = "Idle"
                    with m.Elif(status == AdminStatus.OK):
                        m.next = "Look"
                        with m.If(opcode == Opcode.REDUCED_CAPACITY):
                            m.next = "Scan"

        return m
