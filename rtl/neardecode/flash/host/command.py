"""What a host's command asks for, and whether it may be carried out at all.

Source: OCP HBF v0.7.0, sections 5.2.4, 5.3 and 5.4, tables 8, 12 and 13.
"""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.axi import AxiAddress
from neardecode.flash.sections import host_of
from neardecode.flash.status import AdminStatus, PacketType, ReadStatus

__all__ = ["Command", "CommandDecoder", "Source"]

LONGEST_ADMIN = 64
"""Beats of the longest admin command."""


class Source(data.StructLayout):
    """Who asks: the host for a read, the host for a write, or the slice.

    Fields:
        write, slice: One of them at most.
    """

    def __init__(self):
        super().__init__({"write": unsigned(1), "slice": unsigned(1)})


class Command(data.StructLayout):
    """A command, taken apart.

    Fields:
        source: Who asks.
        axi: The host's command as it came.
        type: What it is for.
        bank, row: The page of flash, the row being the logical one.
        first, beats: The beats of the page, or the first one of the scratchpad.
        stage: The read-retry stage.
        batch: A batch read.
        fresh, tag: The slice's.
        status: What refuses it, if not zero; the same numbers for reads and writes.
    """

    def __init__(self, config: Flash, tag_bits: int):
        host = host_of(config)
        super().__init__(
            {
                "source": Source(),
                "axi": AxiAddress(host),
                "type": PacketType,
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.pages_a_bank)),
                "first": unsigned(
                    max(
                        ceil_log2(config.page_beats),
                        ceil_log2(host.scratchpad_bytes // config.beat_bytes),
                    )
                ),
                "beats": unsigned(7),
                "stage": unsigned(3),
                "batch": unsigned(1),
                "fresh": unsigned(1),
                "tag": unsigned(tag_bits),
                "status": unsigned(4),
            }
        )


class CommandDecoder(wiring.Component):
    """Takes a command of the host apart and refuses what cannot be carried out.

    An admin command is left to the admin, if it is not longer than any of them. For flash and
    scratchpad, first that holds: a user field that is not defined, an address that is not aligned
    to a beat, or a burst that is longer than a page or crosses one (3); an address beyond the
    capacity (1); commands are not enabled (13).

    Latency: none, it has no state.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        axi: In(`AxiAddress`).
        write: In(1). It is a write.
        enabled: In(1). Commands to flash and scratchpad are accepted.
        type, bank, row, first, beats, stage, batch, status: Out. As in `Command`.
    """

    axi: data.View
    write: Signal
    enabled: Signal
    type: data.View
    bank: Signal
    row: Signal
    first: Signal
    beats: Signal
    stage: Signal
    batch: Signal
    status: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host_of(config)
        fields = Command(config, 0).members
        names = ("type", "bank", "row", "first", "beats", "stage", "batch", "status")
        super().__init__(
            {
                "axi": In(AxiAddress(self._host)),
                "write": In(1),
                "enabled": In(1),
                **{name: Out(fields[name]) for name in names},
            }
        )

    def elaborate(self, platform) -> Module:
        """Fields, then checks."""
        m = Module()
        config, host = self._config, self._host
        axi = self.axi
        byte_bits = exact_log2(config.beat_bytes)
        beat_bits = exact_log2(config.page_beats)
        bank_bits = ceil_log2(config.banks)
        row_bits = ceil_log2(config.pages_a_bank)
        page = axi.addr[byte_bits + beat_bits :]
        first = axi.addr[byte_bits : byte_bits + beat_bits]
        scratch = axi.addr[byte_bits:]
        scratch_beats = host.scratchpad_bytes // config.beat_bytes
        stages = 0 if config.ecc is None else config.ecc.retry_stages

        flash = Signal()
        user_wrong = Signal()
        shape_wrong = Signal()
        beyond = Signal()
        m.d.comb += [
            self.type.eq(axi.user[:2]),
            flash.eq(self.type == PacketType.FLASH),
            self.bank.eq(page[:bank_bits]),
            self.row.eq(page[bank_bits : bank_bits + row_bits]),
            self.first.eq(Mux(flash, first, scratch[: len(self.first)])),
            self.beats.eq(axi.len + 1),
            self.stage.eq(axi.user[6:9]),
            self.batch.eq(axi.user[2] & flash & ~self.write),
            user_wrong.eq(
                (self.type == PacketType.RESERVED)
                | axi.user[3:6].any()
                | (axi.user[6:9].any() & (self.write | ~flash))
                | (axi.user[6:9] > stages)
            ),
            shape_wrong.eq(
                axi.addr[:byte_bits].any()
                | (axi.len >= config.page_beats)
                | (flash & ((first + axi.len) >= config.page_beats))
            ),
            beyond.eq(
                Mux(
                    flash,
                    page[bank_bits + row_bits :].any(),
                    (scratch + axi.len) >= scratch_beats,
                )
            ),
        ]
        with m.If(self.type == PacketType.ADMIN):
            m.d.comb += self.status.eq(
                Mux(axi.len >= LONGEST_ADMIN, AdminStatus.UNSUPPORTED.value, 0)
            )
        with m.Elif(user_wrong | shape_wrong):
            m.d.comb += self.status.eq(ReadStatus.INVALID_USER.value)
        with m.Elif(beyond):
            m.d.comb += self.status.eq(ReadStatus.INVALID_ADDRESS.value)
        with m.Elif(~self.enabled):
            m.d.comb += self.status.eq(ReadStatus.NOT_ENABLED.value)
        return m
