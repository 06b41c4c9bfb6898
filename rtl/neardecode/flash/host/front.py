"""The one line in which all commands of a channel stand: the host's reads and writes, the slice's.

Source: OCP HBF v0.7.0, sections 5.3 and 5.4.3: a read that follows a write of the same 64 B sees
it, whatever their ids.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import TAG_BITS, Flash
from neardecode.flash.admin.command import AdminCommand, admin_entry_bits
from neardecode.flash.axi import AxiAddress
from neardecode.flash.blocks.ports import BlockAddress, BlockState
from neardecode.flash.host.command import Command, CommandDecoder
from neardecode.flash.host.reads import OpenRead, ReadKind
from neardecode.flash.host.writes import OpenWrite, WriteTarget
from neardecode.flash.read.delivery import Order
from neardecode.flash.read.expander import Page
from neardecode.flash.read.pages import PageQuery, Ticket
from neardecode.flash.sections import host_of
from neardecode.flash.status import PacketType, ReadStatus, Retired
from neardecode.flash.write.ports import UnitProbe, UnitProbed, WriteOpen

__all__ = ["CommandFront"]


class CommandFront(wiring.Component):
    """Takes a command at a time, looks its page up, and hands it to whom it concerns.

    A command is looked up in one cycle, in the block table and among the pages being written, and
    goes on in the next; while it waits to go on it is looked up anew in every cycle. Behind a write
    to flash nothing is looked up until the write path has it. Writes come first, then reads, then
    the slice, unless the slice waited for the command before.

    A bad command of the host is answered with its status and goes to nobody else. The first command
    to a channel that has been retired as a whole is told so (8), all others that their address is
    invalid (1), as is every command to a block, bank or die that has been retired.

    Latency 1 cycle; rate one read a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        ar, aw: In(stream of `AxiAddress`).
        pages: In(stream of `Page`). The slice's.
        open: In(1). The host's commands are taken.
        enabled: In(1). Commands to flash and scratchpad are accepted.
        lookup: Out(`BlockAddress`).
        block: In(`BlockState`). What was looked up a cycle ago.
        probe: Out(`UnitProbe`).
        probed: In(`UnitProbed`). What was probed a cycle ago.
        acquire: Out(1). The read reads from ``probed.unit``.
        queries: Out(stream of `PageQuery`).
        ticket, present: In. The answer to the query.
        reads: Out(stream of `OpenRead`).
        known: Out(1). What becomes of the read is known.
        read_entry: In.
        waits: Out(1). The read waits for the page of ``ticket``.
        writes: Out(stream of `OpenWrite`).
        write_entry: In.
        units: Out(stream of `WriteOpen`).
        admin: Out(stream of `AdminCommand`).
        orders: Out(stream of `Order`). The slice's pages.
        scratch_pending: In(1). Data for the scratchpad is still to come.
        batch: Out(1). A batch read was taken.
        waiting: Out(1). A command is at hand.
    """

    ar: stream.Interface
    aw: stream.Interface
    pages: stream.Interface
    open: Signal
    enabled: Signal
    lookup: data.View
    block: data.View
    probe: data.View
    probed: data.View
    acquire: Signal
    queries: stream.Interface
    ticket: data.View
    present: Signal
    reads: stream.Interface
    known: Signal
    read_entry: Signal
    waits: Signal
    writes: stream.Interface
    write_entry: Signal
    units: stream.Interface
    admin: stream.Interface
    orders: stream.Interface
    scratch_pending: Signal
    batch: Signal
    waiting: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        super().__init__(
            {
                "ar": In(stream.Signature(AxiAddress(host))),
                "aw": In(stream.Signature(AxiAddress(host))),
                "pages": In(stream.Signature(Page(config.banks, config.pages_a_bank))),
                "open": In(1),
                "enabled": In(1),
                "lookup": Out(BlockAddress(config)),
                "block": In(BlockState(config)),
                "probe": Out(UnitProbe(config)),
                "probed": In(UnitProbed(config)),
                "acquire": Out(1),
                "queries": Out(stream.Signature(PageQuery(config))),
                "ticket": In(Ticket(config)),
                "present": In(1),
                "reads": Out(stream.Signature(OpenRead(config))),
                "known": Out(1),
                "read_entry": In(exact_log2(host.reads)),
                "waits": Out(1),
                "writes": Out(stream.Signature(OpenWrite(config))),
                "write_entry": In(exact_log2(host.writes)),
                "units": Out(stream.Signature(WriteOpen(config))),
                "admin": Out(stream.Signature(AdminCommand(admin_entry_bits(config)))),
                "orders": Out(stream.Signature(Order(config))),
                "scratch_pending": In(1),
                "batch": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Choose, look up, go on."""
        m = Module()
        config, host = self._config, self._host
        block_bits = exact_log2(host.pages_a_block)
        m.submodules.decoder = decoder = CommandDecoder(config)
        layout = Command(config, TAG_BITS)
        offered = Signal(layout)
        offers = Signal()
        now = Signal(layout)
        busy = Signal()
        done = Signal()
        load = Signal()
        slice_next = Signal()
        write_here = Signal()
        read_here = Signal()

        # The command offered.
        page = self.pages.payload
        m.d.comb += [
            write_here.eq(self.aw.valid & self.open),
            read_here.eq(self.ar.valid & self.open & ~write_here),
            decoder.axi.eq(Mux(write_here, self.aw.payload, self.ar.payload)),
            decoder.write.eq(write_here),
            decoder.enabled.eq(self.enabled),
            offered.source.slice.eq(self.pages.valid & (slice_next | ~(write_here | read_here))),
            offers.eq(self.pages.valid | write_here | read_here),
            load.eq(
                offers & Mux(busy, done & ~(now.source.write & (now.type == PacketType.FLASH)), 1)
            ),
            self.aw.ready.eq(load & write_here & ~offered.source.slice),
            self.ar.ready.eq(load & read_here & ~offered.source.slice),
            self.pages.ready.eq(load & offered.source.slice),
            self.waiting.eq(busy | offers),
        ]
        with m.If(offered.source.slice):
            m.d.comb += [
                offered.bank.eq(page.bank),
                offered.row.eq(page.row),
                offered.fresh.eq(page.fresh),
                offered.tag.eq(page.tag),
                offered.status.eq(Mux(page.error, ReadStatus.INVALID_ADDRESS.value, 0)),
            ]
        with m.Else():
            m.d.comb += [
                offered.source.write.eq(write_here),
                offered.axi.eq(decoder.axi),
                *(
                    getattr(offered, name).eq(getattr(decoder, name))
                    for name in ("type", "bank", "row", "first", "beats", "stage", "batch")
                ),
                offered.status.eq(decoder.status),
            ]
        with m.If(load):
            m.d.sync += [
                now.eq(offered),
                busy.eq(1),
                slice_next.eq(~offered.source.slice),
            ]
        with m.Elif(done):
            m.d.sync += busy.eq(0)

        # Its page is looked up as it comes, and for as long as it waits.
        looked = Signal(layout)
        m.d.comb += [
            looked.eq(Mux(load, offered, now)),
            self.lookup.en.eq(load | busy),
            self.lookup.bank.eq(looked.bank),
            self.lookup.block.eq(looked.row[block_bits:]),
            self.probe.en.eq(load | busy),
            self.probe.bank.eq(looked.bank),
            self.probe.row.eq(looked.row),
            self.probe.first.eq(looked.first),
            self.probe.beats.eq(looked.beats),
        ]

        # What refuses it.
        told = Signal()
        to_flash = Signal()
        retired = Signal()
        channel = Signal()
        status = Signal(4)
        info = Signal(3)
        m.d.comb += [
            to_flash.eq(now.type == PacketType.FLASH),
            retired.eq(to_flash & (self.block.retired != 0)),
            channel.eq(self.block.retired == Retired.CHANNEL.value),
        ]
        with m.If(now.status != 0):
            m.d.comb += status.eq(now.status)
        with m.Elif(retired & channel & ~told):
            m.d.comb += [
                status.eq(ReadStatus.RETIRED.value),
                info.eq(Retired.CHANNEL.value),
            ]
        with m.Elif(retired):
            m.d.comb += status.eq(ReadStatus.INVALID_ADDRESS.value)
        with m.If(done & ~now.source.slice & (status == ReadStatus.RETIRED.value)):
            m.d.sync += told.eq(1)
        refused = Signal()
        m.d.comb += refused.eq(status != 0)

        # To whom it goes; all of them take it in the same cycle.
        read, write = self.reads.payload, self.writes.payload
        query = self.queries.payload
        from_unit = Signal()
        needs_page = Signal()
        admin = Signal()
        scratch = Signal()
        m.d.comb += [
            admin.eq((now.type == PacketType.ADMIN) & ~refused),
            scratch.eq((now.type == PacketType.SCRATCHPAD) & ~refused),
            from_unit.eq(to_flash & ~refused & self.probed.hit),
            needs_page.eq(to_flash & ~refused & (now.source.slice | ~self.probed.hit)),
            query.bank.eq(now.bank),
            query.row.eq(Cat(now.row[:block_bits], self.block.physical)),
            query.stage.eq(now.stage),
            query.fresh.eq(now.fresh),
            query.waits.eq(~now.source.slice & ~now.batch),
            read.id.eq(now.axi.id),
            read.type.eq(now.type),
            read.page.eq(Cat(now.bank, now.row)),
            read.first.eq(now.first),
            read.beats.eq(now.axi.len + 1),
            read.status.eq(status),
            read.info.eq(info),
            write.id.eq(now.axi.id),
            write.type.eq(now.type),
            write.page.eq(Cat(now.bank, now.row)),
            write.first.eq(now.first),
            write.beats.eq(now.axi.len + 1),
            self.units.payload.entry.eq(self.write_entry),
            self.units.payload.bank.eq(now.bank),
            self.units.payload.row.eq(now.row),
            self.units.payload.first.eq(now.first),
            self.units.payload.beats.eq(now.beats),
            self.units.payload.refused.eq(status),
            self.units.payload.info.eq(info),
            self.admin.payload.write.eq(now.source.write),
            self.admin.payload.address.eq(now.axi.addr),
            self.admin.payload.user.eq(now.axi.user),
            self.admin.payload.beats.eq(now.beats),
            self.admin.payload.entry.eq(Mux(now.source.write, self.write_entry, self.read_entry)),
            self.orders.payload.ticket.eq(self.ticket),
            self.orders.payload.error.eq(refused),
            self.orders.payload.tag.eq(now.tag),
        ]
        with m.If(refused):
            m.d.comb += read.kind.eq(ReadKind.NOTHING)
        with m.Elif(admin):
            m.d.comb += read.kind.eq(ReadKind.ADMIN)
        with m.Elif(scratch):
            m.d.comb += read.kind.eq(ReadKind.SCRATCHPAD)
        with m.Elif(from_unit & self.probed.pending):
            m.d.comb += [
                read.kind.eq(ReadKind.NOTHING),
                read.status.eq(ReadStatus.PENDING_WRITE.value),
            ]
        with m.Elif(from_unit):
            m.d.comb += [read.kind.eq(ReadKind.UNIT), read.place.eq(self.probed.unit)]
        with m.Else():
            m.d.comb += [read.kind.eq(ReadKind.BUFFER), read.place.eq(self.ticket)]
        with m.If(admin):
            m.d.comb += write.target.eq(WriteTarget.ADMIN)
        with m.Elif(scratch):
            m.d.comb += write.target.eq(WriteTarget.SCRATCHPAD)
        with m.Else():
            m.d.comb += write.target.eq(WriteTarget.FLASH)

        slice_here = busy & now.source.slice
        host_read = busy & ~now.source.slice & ~now.source.write
        host_write = busy & now.source.write
        scratch_free = ~(scratch & self.scratch_pending)
        page_free = ~needs_page | self.queries.ready
        admin_free = ~admin | self.admin.ready
        units_free = (write.target != WriteTarget.FLASH) | self.units.ready
        # No ready below depends on its own valid.
        m.d.comb += [
            self.orders.valid.eq(slice_here & page_free),
            self.reads.valid.eq(host_read & page_free & admin_free & scratch_free),
            self.writes.valid.eq(host_write & admin_free & units_free),
            self.queries.valid.eq(
                needs_page & ((slice_here & self.orders.ready) | (host_read & self.reads.ready))
            ),
            self.admin.valid.eq(
                admin & ((host_read & self.reads.ready) | (host_write & self.writes.ready))
            ),
            self.units.valid.eq(
                host_write & (write.target == WriteTarget.FLASH) & self.writes.ready
            ),
            done.eq(
                (self.orders.valid & self.orders.ready)
                | (self.reads.valid & self.reads.ready)
                | (self.writes.valid & self.writes.ready)
            ),
            self.acquire.eq(self.reads.valid & self.reads.ready & (read.kind == ReadKind.UNIT)),
            self.known.eq((read.kind != ReadKind.ADMIN) & ~(needs_page & ~self.present)),
            self.waits.eq(self.reads.valid & self.reads.ready & needs_page & ~self.present),
            self.batch.eq(self.reads.valid & self.reads.ready & now.batch & ~refused),
        ]
        return m
