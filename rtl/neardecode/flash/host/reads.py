"""The answers to the host's reads: which one goes next, and its beats."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.axi import Answer, AxiReadBeat, axi_response
from neardecode.flash.read.buffers import BufferRead, BufferReadInterface
from neardecode.flash.read.fill import PageOutcome
from neardecode.flash.read.pages import Served, Ticket
from neardecode.flash.sections import host_of
from neardecode.flash.status import PacketType, ReadStatus
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.response_order import Opening, ResponseOrder

__all__ = ["HostReads", "OpenRead", "ReadKind"]


class ReadKind(enum.Enum, shape=3):
    """Where the data of a read comes from."""

    NOTHING = 0
    BUFFER = 1
    UNIT = 2
    SCRATCHPAD = 3
    ADMIN = 4


class OpenRead(data.StructLayout):
    """A read whose answer is to be given.

    Fields:
        id, type: The command's.
        page: The page of flash that it names, for the error log.
        kind: Where its data comes from.
        place: The ticket of its page, or its unit.
        first, beats: Which beats.
        status: How it ended, where that is known already.
        info: The information beside it.
    """

    def __init__(self, config: Flash):
        host = host_of(config)
        place = max(Ticket(config).size, exact_log2(host.units))
        beats = max(config.page_beats, host.scratchpad_bytes // config.beat_bytes)
        super().__init__(
            {
                "id": unsigned(host.id_bits),
                "type": PacketType,
                "page": unsigned(ceil_log2(config.pages)),
                "kind": ReadKind,
                "place": unsigned(place),
                "first": unsigned(ceil_log2(beats)),
                "beats": unsigned(9),
                "status": unsigned(4),
                "info": unsigned(3),
            }
        )


class HostReads(wiring.Component):
    """Gives every read its beats, in order within an id.

    Latency, from a read that is opened as done to its first beat: 5 cycles, while nothing is before
    it. Rate: one beat a cycle, without a gap between reads.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        opens: In(stream of `OpenRead`).
        known: In(1). What becomes of the read at ``opens`` is known.
        entry: Out. The entry that it gets.
        done: In(1). What becomes of ``done_entry`` is known.
        done_entry: In.
        level: Out. Reads that are open.
        ticket: Out(`Ticket`). Whose outcome is needed.
        outcome: In(`PageOutcome`).
        served: Out(`Served`).
        buffer: Out(`BufferRead`).
        unit_en, unit, unit_beat: Out. A beat of a page being written is read.
        unit_data: In. The beat, a cycle later.
        unit_served: Out(1). The reader of ``unit`` is done.
        scratch_en, scratch_address: Out. A beat of the scratchpad is read.
        scratch_data: In. The beat, a cycle later.
        admin: In(stream of data and answer). The beats of the admin's answer.
        r: Out(stream of `AxiReadBeat`).
        failed: Out(1). In this cycle the last beat of a read of flash is asked for that ends with
            an error, `failure` at page `failed_page`.
        failure: Out(`Answer`).
        failed_page: Out.
    """

    opens: stream.Interface
    known: Signal
    entry: Signal
    done: Signal
    done_entry: Signal
    level: Signal
    ticket: data.View
    outcome: data.View
    served: data.View
    buffer: BufferReadInterface
    unit_en: Signal
    unit: Signal
    unit_beat: Signal
    unit_data: Signal
    unit_served: Signal
    scratch_en: Signal
    scratch_address: Signal
    scratch_data: Signal
    admin: stream.Interface
    r: stream.Interface
    failed: Signal
    failure: data.View
    failed_page: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        index = exact_log2(host.reads)
        width = 8 * config.beat_bytes
        admin = data.StructLayout({"data": unsigned(width), "status": unsigned(4), "info": 3})
        super().__init__(
            {
                "opens": In(stream.Signature(OpenRead(config))),
                "known": In(1),
                "entry": Out(index),
                "done": In(1),
                "done_entry": In(index),
                "level": Out(range(host.reads + 1)),
                "ticket": Out(Ticket(config)),
                "outcome": In(PageOutcome()),
                "served": Out(Served(config)),
                "buffer": Out(BufferRead(config)),
                "unit_en": Out(1),
                "unit": Out(exact_log2(host.units)),
                "unit_beat": Out(ceil_log2(config.page_beats)),
                "unit_data": In(width),
                "unit_served": Out(1),
                "scratch_en": Out(1),
                "scratch_address": Out(exact_log2(host.scratchpad_bytes // config.beat_bytes)),
                "scratch_data": In(width),
                "admin": In(stream.Signature(admin)),
                "r": Out(stream.Signature(AxiReadBeat(host, config.beat_bytes))),
                "failed": Out(1),
                "failure": Out(Answer()),
                "failed_page": Out(ceil_log2(config.pages)),
            }
        )

    def elaborate(self, platform) -> Module:
        """The order, the record of every open read, and two stages from a beat to the port."""
        m = Module()
        config, host = self._config, self._host
        layout = OpenRead(config)
        m.submodules.order = order = ResponseOrder(host.id_bits, host.reads)
        m.submodules.records = records = Memory(shape=layout, depth=host.reads, init=[])
        opened = records.write_port()
        released = records.read_port(domain="comb")
        opening: data.View = order.opens.payload
        assert isinstance(opening.shape(), Opening)
        m.d.comb += [
            order.opens.valid.eq(self.opens.valid),
            self.opens.ready.eq(order.opens.ready),
            opening.id.eq(self.opens.payload.id),
            opening.done.eq(self.known),
            opening.urgent.eq(self.opens.payload.type != PacketType.FLASH),
            self.entry.eq(order.entry),
            order.done.eq(self.done),
            order.done_entry.eq(self.done_entry),
            self.level.eq(order.level),
            opened.addr.eq(order.entry),
            opened.data.eq(self.opens.payload),
            opened.en.eq(self.opens.valid & self.opens.ready),
            released.addr.eq(order.releases.payload),
        ]

        # A beat is asked of its source in one cycle and taken from it in the next.
        record = released.data
        m.submodules.beats = beats = StreamFIFO(AxiReadBeat(host, config.beat_bytes), 3)
        count = Signal(8)
        position = Signal(len(record.first))
        room = Signal()
        want = Signal()
        issue = Signal()
        last = Signal()
        answer = Signal(Answer())
        asked = Signal()
        asked_kind = Signal(ReadKind)
        asked_data = Signal(8 * config.beat_bytes)
        asked_last = Signal()
        asked_id = Signal(host.id_bits)
        asked_answer = Signal(Answer())
        failed = Signal()
        from_buffer = record.kind == ReadKind.BUFFER
        from_unit = record.kind == ReadKind.UNIT
        from_scratchpad = record.kind == ReadKind.SCRATCHPAD
        from_admin = record.kind == ReadKind.ADMIN
        m.d.comb += [
            room.eq(beats.level + asked < 3),
            want.eq(order.releases.valid & room),
            last.eq(count == record.beats - 1),
            position.eq(record.first + count),
            issue.eq(
                want & Mux(from_buffer, self.buffer.granted, Mux(from_admin, self.admin.valid, 1))
            ),
            order.releases.ready.eq(issue & last),
            self.ticket.eq(record.place),
            self.buffer.want.eq(want & from_buffer),
            self.buffer.slot.bank.eq(self.ticket.bank),
            self.buffer.slot.way.eq(self.ticket.place[0]),
            self.buffer.beat.eq(position),
            self.served.en.eq(issue & last & from_buffer),
            self.served.ticket.eq(self.ticket),
            self.unit_en.eq(want & from_unit),
            self.unit.eq(record.place),
            self.unit_beat.eq(position),
            self.unit_served.eq(issue & last & from_unit),
            self.scratch_en.eq(want & from_scratchpad),
            self.scratch_address.eq(position),
            self.admin.ready.eq(want & from_admin),
            answer.type.eq(record.type),
        ]
        with m.If(from_buffer):
            m.d.comb += [
                answer.status.eq(self.outcome.status),
                answer.info.eq(self.outcome.info),
            ]
        with m.Elif(from_admin):
            m.d.comb += [
                answer.status.eq(self.admin.payload.status),
                answer.info.eq(self.admin.payload.info),
            ]
        with m.Else():
            m.d.comb += [answer.status.eq(record.status), answer.info.eq(record.info)]
        m.d.comb += failed.eq(
            (answer.status != ReadStatus.OK.value)
            & ~(from_buffer & (answer.status == ReadStatus.CORRECTED.value))
        )
        m.d.comb += [
            self.failed.eq(issue & last & failed & (record.type == PacketType.FLASH)),
            self.failure.eq(answer),
            self.failed_page.eq(record.page),
        ]
        with m.If(issue):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        m.d.sync += [
            asked.eq(issue),
            asked_kind.eq(Mux(failed, ReadKind.NOTHING, record.kind)),
            asked_data.eq(self.admin.payload.data),
            asked_last.eq(last),
            asked_id.eq(record.id),
            asked_answer.eq(answer),
        ]
        beat = beats.i.payload
        with m.Switch(asked_kind):
            with m.Case(ReadKind.BUFFER):
                m.d.comb += beat.data.eq(self.buffer.data)
            with m.Case(ReadKind.UNIT):
                m.d.comb += beat.data.eq(self.unit_data)
            with m.Case(ReadKind.SCRATCHPAD):
                m.d.comb += beat.data.eq(self.scratch_data)
            with m.Case(ReadKind.ADMIN):
                m.d.comb += beat.data.eq(asked_data)
        warning = (asked_answer.type == PacketType.FLASH) & (
            asked_answer.status == ReadStatus.CORRECTED.value
        )
        m.d.comb += [
            beats.i.valid.eq(asked),
            beat.id.eq(asked_id),
            beat.last.eq(asked_last),
            beat.user.eq(asked_answer),
            beat.resp.eq(Mux(warning, 0, axi_response(asked_answer))),
        ]
        connect(m, beats.o, flipped(self.r))
        return m
