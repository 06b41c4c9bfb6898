"""Admin commands and their answers, and the first look at a command: is it one at all?

Source: OCP HBF v0.7.0, tables 8 and 9 and section 5.2.4.
"""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Flash
from neardecode.flash.admin.register_map import ERROR_ENTRIES, SMART_BYTES
from neardecode.flash.status import AdminStatus, Opcode, PacketType

__all__ = [
    "AdminAnswer",
    "AdminCommand",
    "AdminData",
    "AdminScreen",
    "Capacity",
    "EraseSetting",
    "LogPage",
    "admin_entry_bits",
]


class AdminCommand(data.StructLayout):
    """A whole command.

    Fields:
        write: It came on the write channel.
        address: All of it: the opcode in 7:0, its operand above.
        user: All of it: the type of packet in 1:0.
        beats: From 1 to 64: of the answer to a read, or of the data of a write.
        entry: Returned with every answer.
    """

    def __init__(self, entry_bits: int):
        super().__init__(
            {
                "write": unsigned(1),
                "address": unsigned(36),
                "user": unsigned(9),
                "beats": unsigned(7),
                "entry": unsigned(entry_bits),
            }
        )


class AdminData(data.StructLayout):
    """A beat of a write command's data.

    Fields:
        data: Its bytes.
        last: It is the command's last.
    """

    def __init__(self, beat_bytes: int):
        super().__init__({"data": unsigned(8 * beat_bytes), "last": unsigned(1)})


class AdminAnswer(data.StructLayout):
    """The answer to a write, or a beat of the answer to a read.

    Fields:
        entry, write: Of the command.
        status, info: How it ended; the information is zero.
        data: What was read; without meaning where ``write``, zero where the read was refused.
        last: It is the command's last.
    """

    def __init__(self, entry_bits: int, beat_bytes: int):
        super().__init__(
            {
                "entry": unsigned(entry_bits),
                "write": unsigned(1),
                "status": AdminStatus,
                "info": unsigned(3),
                "data": unsigned(8 * beat_bytes),
                "last": unsigned(1),
            }
        )


class LogPage(enum.Enum, shape=4):
    """Bits 11:8 of a Get Log Page."""

    SMART = 0
    ERROR = 1
    UCIE = 2
    TELEMETRY = 3


class Capacity(enum.Enum, shape=2):
    """Bits 9:8 of a Secure Erase: what is erased."""

    ALL = 0
    FLASH = 1
    ZONES = 2
    SCRATCHPAD = 3


class EraseSetting(enum.Enum, shape=2):
    """Bits 11:10 of a Secure Erase: how it is erased."""

    NONE = 0
    ERASE = 1
    CRYPTOGRAPHIC = 2
    RESERVED = 3


def admin_entry_bits(config: Flash) -> int:
    """Bits of a command's entry: one of the reads or of the writes that are outstanding."""
    if config.host is None:
        raise ValueError("config must have a host")
    return exact_log2(max(config.host.reads, config.host.writes))


class AdminScreen(wiring.Component):
    """Says of a command, from all that it carries, why it is refused, or that it is not.

    Registers, features and pairs of zones are not looked at. The first that holds:

    1. ``UNSUPPORTED``: the opcode is none of the controller's, or not on this channel.
    2. ``DENIED``: the user field is not that of the command.
    3. ``UNSUPPORTED``: more than one beat where the command has one, or a Zone Remapping while the
       host does not level wear.
    4. What the section of the command says.

    A bit that the specification reserves in an address must be zero; in data it is not looked at.

    Latency: none.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        command: In(`AdminCommand`).
        word: In(32). The lowest bits of a write's data.
        one_beat: In(1). The data of a write was one beat.
        host_wear_levelling: In(1).
        errors: In(1). There is an entry in the error log, as far back as asked for.
        refusal: Out(`AdminStatus`).
    """

    command: data.View
    word: Signal
    one_beat: Signal
    host_wear_levelling: Signal
    errors: Signal
    refusal: Signal

    def __init__(self, config: Flash):
        self._config = config
        super().__init__(
            {
                "command": In(AdminCommand(admin_entry_bits(config))),
                "word": In(32),
                "one_beat": In(1),
                "host_wear_levelling": In(1),
                "errors": In(1),
                "refusal": Out(AdminStatus),
            }
        )

    def elaborate(self, platform) -> Module:
        """What is particular to each opcode, and the order of the rules."""
        m = Module()
        config, command = self._config, self.command
        assert config.host is not None
        operand, write = command.address[8:], command.write

        known, register, ordinary, many = Signal(), Signal(), Signal(), Signal()
        allowed = Signal()
        particular = Signal(AdminStatus)
        m.d.comb += [
            allowed.eq(1),
            # Only registers have a use for the third bit of the user field.
            ordinary.eq(
                (PacketType(command.user[:2]) == PacketType.ADMIN)
                & (register | ~command.user[2])
                & ~command.user[3:].any()
            ),
        ]
        # Of a log or the bitmap: the first beat and the one behind the last.
        start = operand[8:24]
        end = Signal(range((1 << 16) + 64))
        m.d.comb += end.eq(start + command.beats)
        smart_beats = -(-SMART_BYTES // config.beat_bytes)
        bitmap_beats = -(-config.banks * config.blocks_a_bank // (8 * config.beat_bytes))

        with m.Switch(command.address[:8]):
            with m.Case(Opcode.SET_FEATURE):
                m.d.comb += known.eq(write)
            with m.Case(Opcode.GET_FEATURE):
                m.d.comb += known.eq(~write)
            with m.Case(Opcode.SECURE_ERASE):
                setting = EraseSetting(operand[2:4])
                zones = Signal(config.host.zones)
                m.d.comb += [known.eq(write), zones.eq(self.word)]
                with m.If(
                    operand[4:].any()
                    | (setting == EraseSetting.CRYPTOGRAPHIC)
                    | (setting == EraseSetting.RESERVED)
                ):
                    m.d.comb += particular.eq(AdminStatus.INVALID_FIELD)
                with m.Elif(
                    (Capacity(operand[:2]) == Capacity.ZONES)
                    & (self.word[config.host.zones :].any() | ~zones.any())
                ):
                    m.d.comb += particular.eq(AdminStatus.INVALID_VALUE)
            with m.Case(Opcode.GET_LOG_PAGE):
                page = LogPage(operand[:4])
                error = Signal()
                m.d.comb += [
                    known.eq(~write),
                    many.eq(1),
                    error.eq(page == LogPage.ERROR),
                ]
                with m.If(operand[4:8].any() | operand[24:].any() | operand[1:4].any()):
                    m.d.comb += particular.eq(AdminStatus.INVALID_FIELD)
                with m.Elif(end > Mux(error, ERROR_ENTRIES, smart_beats)):
                    m.d.comb += particular.eq(AdminStatus.INVALID_VALUE)
                with m.Elif(error & ~self.errors):
                    m.d.comb += particular.eq(AdminStatus.DENIED)
            with m.Case(Opcode.ZONE_REMAPPING):
                m.d.comb += [known.eq(write), allowed.eq(self.host_wear_levelling)]
                with m.If(operand.any()):
                    m.d.comb += particular.eq(AdminStatus.INVALID_VALUE)
            with m.Case(Opcode.REDUCED_CAPACITY):
                m.d.comb += [known.eq(~write), many.eq(1)]
                with m.If(operand[:8].any() | operand[24:].any()):
                    m.d.comb += particular.eq(AdminStatus.INVALID_FIELD)
                with m.Elif(end > bitmap_beats):
                    m.d.comb += particular.eq(AdminStatus.INVALID_VALUE)
            with m.Case(Opcode.REGISTER):
                m.d.comb += [known.eq(1), register.eq(1)]
                with m.If(operand[24:].any()):
                    m.d.comb += particular.eq(AdminStatus.INVALID_FIELD)

        one = (command.beats == 1) & (self.one_beat | ~write)
        with m.If(~known):
            m.d.comb += self.refusal.eq(AdminStatus.UNSUPPORTED)
        with m.Elif(~ordinary):
            m.d.comb += self.refusal.eq(AdminStatus.DENIED)
        with m.Elif(~(many | one) | ~allowed):
            m.d.comb += self.refusal.eq(AdminStatus.UNSUPPORTED)
        with m.Else():
            m.d.comb += self.refusal.eq(particular)

        return m
