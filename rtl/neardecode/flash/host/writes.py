"""The host's write data on its way, the scratchpad, and the answers to writes."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.axi import AxiResponse, AxiWriteBeat, axi_response
from neardecode.flash.sections import host_of
from neardecode.flash.status import PacketType, WriteStatus
from neardecode.flash.write.ports import WriteEnd
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.response_order import ResponseOrder

__all__ = ["HostWrites", "OpenWrite", "WriteTarget"]


class WriteTarget(enum.Enum, shape=2):
    """Where the data of a write goes."""

    FLASH = 0
    SCRATCHPAD = 1
    ADMIN = 2


class OpenWrite(data.StructLayout):
    """A write whose data is to come and whose answer is to be given.

    Fields:
        id, type: The command's.
        page: The page of flash that it names, for the error log.
        target: Where its data goes.
        first, beats: Which beats of the scratchpad, if it goes there.
    """

    def __init__(self, config: Flash):
        host = host_of(config)
        super().__init__(
            {
                "id": unsigned(host.id_bits),
                "type": PacketType,
                "page": unsigned(ceil_log2(config.pages)),
                "target": WriteTarget,
                "first": unsigned(exact_log2(host.scratchpad_bytes // config.beat_bytes)),
                "beats": unsigned(9),
            }
        )


class HostWrites(wiring.Component):
    """Leads write data to where it belongs, and answers in order within an id.

    A beat for the scratchpad is stored in the cycle in which it is taken. Latency, from the last
    beat of a write to the scratchpad to its answer: 4 cycles, while nothing is before it. Rate: one
    beat a cycle; one answer a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        opens: In(stream of `OpenWrite`).
        entry: Out. The entry that the write at ``opens`` gets.
        level: Out. Writes that are open.
        w: In(stream of `AxiWriteBeat`).
        flash, admin: Out(stream of `AxiWriteBeat`). The data of their commands.
        flash_ends, admin_ends: In(stream of `WriteEnd`).
        scratch_pending: Out(1). Data for the scratchpad is still to come.
        scratch_en: In(1). A beat of the scratchpad is read.
        scratch_address: In.
        scratch_data: Out. The beat, a cycle later.
        scratch_clear: In(1). Clear the scratchpad, while nothing is open for it.
        scratch_cleared: Out(1). It is, in this cycle.
        b: Out(stream of `AxiResponse`).
        failed: Out(1). In this cycle the answer to a write to flash is taken that tells of an
            error, at page `failed_page`.
        failed_page: Out.
    """

    opens: stream.Interface
    entry: Signal
    level: Signal
    w: stream.Interface
    flash: stream.Interface
    admin: stream.Interface
    flash_ends: stream.Interface
    admin_ends: stream.Interface
    scratch_pending: Signal
    scratch_en: Signal
    scratch_address: Signal
    scratch_data: Signal
    scratch_clear: Signal
    scratch_cleared: Signal
    b: stream.Interface
    failed: Signal
    failed_page: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        self._scratch_beats = host.scratchpad_bytes // config.beat_bytes
        beat = stream.Signature(AxiWriteBeat(config.beat_bytes))
        end = stream.Signature(WriteEnd(host.writes))
        super().__init__(
            {
                "opens": In(stream.Signature(OpenWrite(config))),
                "entry": Out(exact_log2(host.writes)),
                "level": Out(range(host.writes + 1)),
                "w": In(beat),
                "flash": Out(beat),
                "admin": Out(beat),
                "flash_ends": In(end),
                "admin_ends": In(end),
                "scratch_pending": Out(1),
                "scratch_en": In(1),
                "scratch_address": In(exact_log2(self._scratch_beats)),
                "scratch_data": Out(8 * config.beat_bytes),
                "scratch_clear": In(1),
                "scratch_cleared": Out(1),
                "b": Out(stream.Signature(AxiResponse(host))),
                "failed": Out(1),
                "failed_page": Out(ceil_log2(config.pages)),
            }
        )

    def elaborate(self, platform) -> Module:
        """The order, the data's way, the scratchpad."""
        m = Module()
        config, host = self._config, self._host
        m.submodules.order = order = ResponseOrder(host.id_bits, host.writes)
        named = data.StructLayout(
            {"id": host.id_bits, "type": PacketType, "page": ceil_log2(config.pages)}
        )
        m.submodules.named = names = Memory(shape=named, depth=host.writes, init=[])
        ended = data.StructLayout({"status": 4, "info": 3})
        m.submodules.ended = ends = Memory(shape=ended, depth=host.writes, init=[])
        name_write, name_read = names.write_port(), names.read_port(domain="comb")
        end_write, end_read = ends.write_port(), ends.read_port(domain="comb")
        way = data.StructLayout({"entry": len(order.entry), "write": OpenWrite(config)})
        m.submodules.ways = ways = StreamFIFO(way, 8)

        write = self.opens.payload
        opened = Signal()
        m.d.comb += [
            self.opens.ready.eq(order.opens.ready & ways.i.ready),
            opened.eq(self.opens.valid & self.opens.ready),
            order.opens.valid.eq(self.opens.valid & ways.i.ready),
            order.opens.payload.id.eq(write.id),
            order.opens.payload.urgent.eq(write.type != PacketType.FLASH),
            self.entry.eq(order.entry),
            self.level.eq(order.level),
            name_write.addr.eq(order.entry),
            name_write.data.id.eq(write.id),
            name_write.data.type.eq(write.type),
            name_write.data.page.eq(write.page),
            name_write.en.eq(opened),
            ways.i.valid.eq(opened),
            ways.i.payload.entry.eq(order.entry),
            ways.i.payload.write.eq(write),
        ]

        head = ways.o.payload
        m.submodules.scratchpad = scratchpad = Memory(
            shape=unsigned(8 * config.beat_bytes), depth=self._scratch_beats, init=[]
        )
        store, load = scratchpad.write_port(), scratchpad.read_port()
        count = Signal(8)
        wrong = Signal()
        wrong_now = Signal()
        moved = Signal()
        done = Signal()
        scratch_end = Signal(WriteEnd(host.writes))
        scratch_ended = Signal()
        to_scratchpad = Signal()
        m.d.comb += [
            to_scratchpad.eq(head.write.target == WriteTarget.SCRATCHPAD),
            self.flash.payload.eq(self.w.payload),
            self.admin.payload.eq(self.w.payload),
            moved.eq(self.w.valid & self.w.ready),
            done.eq(moved & self.w.payload.last),
            ways.o.ready.eq(done),
            # A burst that is shorter or longer than announced.
            wrong_now.eq(wrong | (self.w.payload.last != (count == head.write.beats - 1))),
        ]
        with m.If(ways.o.valid), m.Switch(head.write.target):
            with m.Case(WriteTarget.FLASH):
                m.d.comb += [
                    self.flash.valid.eq(self.w.valid),
                    self.w.ready.eq(self.flash.ready),
                ]
            with m.Case(WriteTarget.ADMIN):
                m.d.comb += [
                    self.admin.valid.eq(self.w.valid),
                    self.w.ready.eq(self.admin.ready),
                ]
            with m.Case(WriteTarget.SCRATCHPAD):
                m.d.comb += self.w.ready.eq(~scratch_ended)
        with m.If(done):
            m.d.sync += [count.eq(0), wrong.eq(0)]
        with m.Elif(moved):
            m.d.sync += [count.eq(count + (count != 255)), wrong.eq(wrong_now)]

        clearing = Signal(range(self._scratch_beats))
        m.d.comb += [
            store.addr.eq(head.write.first + count),
            store.data.eq(self.w.payload.data),
            # What comes beyond the announced length is not stored.
            store.en.eq(moved & to_scratchpad & (count < head.write.beats)),
            load.addr.eq(self.scratch_address),
            load.en.eq(self.scratch_en),
            self.scratch_data.eq(load.data),
            self.scratch_cleared.eq(self.scratch_clear & clearing.all()),
        ]
        with m.If(self.scratch_clear):
            m.d.comb += [store.addr.eq(clearing), store.data.eq(0), store.en.eq(1)]
            m.d.sync += clearing.eq(clearing + 1)

        scratch_open = Signal(4)
        m.d.comb += self.scratch_pending.eq(scratch_open != 0)
        m.d.sync += scratch_open.eq(
            scratch_open
            + (opened & (write.target == WriteTarget.SCRATCHPAD))
            - (done & to_scratchpad)
        )
        with m.If(done & to_scratchpad):
            m.d.sync += [
                scratch_ended.eq(1),
                scratch_end.entry.eq(head.entry),
                scratch_end.status.eq(
                    Mux(wrong_now, WriteStatus.INVALID_USER.value, WriteStatus.OK.value)
                ),
            ]
        with m.Else():
            m.d.sync += scratch_ended.eq(0)

        end = Signal(WriteEnd(host.writes))
        m.d.comb += [
            end.eq(self.flash_ends.payload),
            order.done.eq(self.flash_ends.valid | self.admin_ends.valid | scratch_ended),
            order.done_entry.eq(end.entry),
            end_write.addr.eq(end.entry),
            end_write.data.status.eq(end.status),
            end_write.data.info.eq(end.info),
            end_write.en.eq(order.done),
        ]
        with m.If(scratch_ended):
            m.d.comb += end.eq(scratch_end)
        with m.Elif(self.admin_ends.valid):
            m.d.comb += [end.eq(self.admin_ends.payload), self.admin_ends.ready.eq(1)]
        with m.Else():
            m.d.comb += self.flash_ends.ready.eq(1)

        response = self.b.payload
        m.d.comb += [
            name_read.addr.eq(order.releases.payload),
            end_read.addr.eq(order.releases.payload),
            self.b.valid.eq(order.releases.valid),
            order.releases.ready.eq(self.b.ready),
            response.id.eq(name_read.data.id),
            response.user.type.eq(name_read.data.type),
            response.user.status.eq(end_read.data.status),
            response.user.info.eq(end_read.data.info),
            response.resp.eq(axi_response(response.user)),
            self.failed.eq(
                self.b.valid
                & self.b.ready
                & (end_read.data.status != WriteStatus.OK.value)
                & (name_read.data.type == PacketType.FLASH)
            ),
            self.failed_page.eq(name_read.data.page),
        ]
        return m
