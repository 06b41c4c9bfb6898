"""Reads of a channel's core dies: pages asked for, sensed, moved, corrected and buffered."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import DataBeat, Sense
from neardecode.flash.read.buffers import BufferRead, BufferReadInterface, PageBuffers
from neardecode.flash.read.correction import CorrectingFill
from neardecode.flash.read.fill import Fill, PageOutcome
from neardecode.flash.read.page_table import PageTable
from neardecode.flash.read.pages import Served, Ticket
from neardecode.flash.read.scheduler import SenseScheduler, TransferScheduler

__all__ = ["ReadEngine", "TicketLook"]


class TicketLook(wiring.Signature):
    """A reader's look at the page that it waits for, seen from the reader.

    Members:
        ticket: Out(`Ticket`).
        present: In(1). What became of the page is known.
        outcome: In(`PageOutcome`). What, if it is known.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {"ticket": Out(Ticket(config)), "present": In(1), "outcome": In(PageOutcome())}
        )


class ReadEngine(wiring.Component):
    """Turns queries for pages into pages in their buffers.

    A query is answered with a ticket at once. Its page is present ``sense_latency`` + tR cycles
    later if it has to be sensed, its bank is idle and nothing needs correction.

    Parameters:
        config: The flash section of a configuration.
        clients: Readers of the page buffers, 1 or 2.
        readers: Most queries whose readers are not done.

    Members:
        queries: In(stream of `PageQuery`).
        ticket, present, hit, blocked, waiting, release: As `PageTable`'s.
        looks: In(`TicketLook`), one a client.
        served: In(`Served`), one a client.
        reads: In(`BufferRead`), one a client.
        known: Out(1). What became of the page of ``known_ticket`` is known from the next cycle on.
        known_ticket: Out(`Ticket`).
        kill, close, closed, reopen: As `PageTable`'s.
        permit: In(1). A sense may begin.
        hold: In(1). The data lanes are wanted for writing.
        held: Out(1). Nothing is on its way over them.
        correction: In(`Correction`). How to correct; only with ``ecc``.
        codeword: Out. What correction found in a codeword; only with ``ecc``.
        over: In(banks), one a way. The block of the page has been read too often; only with
            ``ecc``.
        senses: Out(stream of `Sense`). To the dies, as all that follows.
        transfers: Out(stream of bank).
        sense_ready, page_ready: In(banks).
        arrives: In(1).
        beat: In(`DataBeat`). Its lanes in their logical order.
    """

    sense_latency = 4
    """Cycles, beside tR, from a query to its page being present."""

    queries: stream.Interface
    ticket: data.View
    present: Signal
    hit: Signal
    blocked: Signal
    waiting: Signal
    release: Signal
    looks: list
    served: list
    reads: list[BufferReadInterface]
    known: Signal
    known_ticket: data.View
    kill: data.View
    close: data.View
    closed: Signal
    reopen: data.View
    permit: Signal
    hold: Signal
    held: Signal
    correction: data.View
    codeword: data.View
    over: list[Signal]
    senses: stream.Interface
    transfers: stream.Interface
    sense_ready: Signal
    page_ready: Signal
    moving: Signal
    room: Signal
    again: Signal
    sensed_way: Signal
    wanted: Signal
    arrives: Signal
    beat: data.View

    def __init__(self, config: Flash, clients: int, readers: int):
        self._config = config
        self._clients = clients
        self._table = PageTable(config, readers)
        self._fill = Fill(config) if config.ecc is None else CorrectingFill(config)
        table = self._table.signature.members
        names = ("queries", "ticket", "present", "hit", "blocked", "waiting", "release")
        members = {name: table[name] for name in (*names, "kill", "close", "closed", "reopen")}
        if config.ecc is not None:
            fill = self._fill.signature.members
            members |= {name: fill[name] for name in ("correction", "codeword", "over")}
        super().__init__(
            {
                **members,
                "looks": In(TicketLook(config)).array(clients),
                "served": In(Served(config)).array(clients),
                "reads": In(BufferRead(config)).array(clients),
                "known": Out(1),
                "known_ticket": Out(Ticket(config)),
                "permit": In(1),
                "hold": In(1),
                "held": Out(1),
                "senses": Out(stream.Signature(Sense(config.banks, config.rows))),
                "transfers": Out(stream.Signature(unsigned(ceil_log2(config.banks)))),
                "sense_ready": In(config.banks),
                "page_ready": In(config.banks),
                "moving": Out(1),
                "room": Out(1),
                "again": Out(1),
                "sensed_way": Out(1),
                "wanted": Out(1),
                "arrives": In(1),
                "beat": In(DataBeat(8 * config.stored_bytes)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Join the parts."""
        m = Module()
        config = self._config
        m.submodules.table = table = self._table
        m.submodules.fill = fill = self._fill
        m.submodules.sense_scheduler = senses = SenseScheduler(config.banks)
        m.submodules.transfer_scheduler = transfers = TransferScheduler(config.banks)
        m.submodules.buffers = buffers = PageBuffers(config, self._clients)

        connect(m, flipped(self.queries), table.queries)
        for name in ("ticket", "present", "hit", "blocked", "waiting", "closed"):
            m.d.comb += getattr(self, name).eq(getattr(table, name))
        for name in ("release", "kill", "close", "reopen"):
            m.d.comb += getattr(table, name).eq(getattr(self, name))

        sensed = Signal()
        moved = Signal()
        m.d.comb += [
            sensed.eq(self.senses.valid & self.senses.ready),
            moved.eq(self.transfers.valid & self.transfers.ready),
            senses.wanted.eq(table.wanted),
            senses.sense_ready.eq(self.sense_ready),
            senses.permit.eq(self.permit),
            senses.senses.ready.eq(self.senses.ready),
            self.senses.valid.eq(senses.senses.valid),
            self.senses.payload.bank.eq(senses.senses.payload),
            self.senses.payload.row.eq(table.sense_row),
            self.senses.payload.stage.eq(table.sense_stage),
            table.sense_bank.eq(senses.senses.payload),
            table.sensed.eq(sensed),
            transfers.sensed.eq(sensed),
            transfers.sensed_slot.bank.eq(table.sense_ticket.bank),
            transfers.sensed_slot.way.eq(table.sense_ticket.place[0]),
            transfers.page_ready.eq(self.page_ready),
            transfers.permit.eq(fill.room & ~self.hold),
            self.transfers.valid.eq(transfers.transfers.valid),
            self.transfers.payload.eq(transfers.transfers.payload),
            transfers.transfers.ready.eq(self.transfers.ready),
            self.moving.eq(fill.moving),
            self.room.eq(fill.room),
            self.again.eq(fill.filled.again),
            self.sensed_way.eq(table.sense_ticket.place[0]),
            self.wanted.eq(table.wanted.any()),
            self.held.eq(self.hold & ~fill.moving),
            fill.moved.eq(moved),
            fill.slot.eq(transfers.slot),
            fill.arrives.eq(self.arrives),
            fill.beat.eq(self.beat),
            buffers.write.eq(fill.write),
            table.filled.eq(fill.filled),
            self.known.eq(fill.filled.en & ~fill.filled.again),
            self.known_ticket.eq(table.filled_ticket),
        ]
        for reader, client in zip(buffers.reads, self.reads, strict=True):
            connect(m, flipped(client), reader)

        # Two clients seldom end a page in the same cycle: the second one's end waits a cycle.
        if self._clients == 1:
            m.d.comb += table.served.eq(self.served[0])
        else:
            late = Signal.like(self.served[1])
            m.d.comb += table.served.eq(Mux(self.served[0].en, self.served[0], late))
            with m.If(self.served[1].en):
                m.d.sync += late.eq(self.served[1])
            with m.Elif(~self.served[0].en):
                m.d.sync += late.en.eq(0)

        if isinstance(fill, CorrectingFill):
            m.d.comb += [
                fill.stage.eq(table.filled_stage),
                fill.correction.eq(self.correction),
                *(seen.eq(over) for seen, over in zip(fill.over, self.over, strict=True)),
                self.codeword.eq(fill.codeword),
            ]
        for index, look in enumerate(self.looks):
            m.d.comb += look.present.eq(
                Cat(v.bit_select(look.ticket.bank, 1) for v in table.known).bit_select(
                    look.ticket.place, 1
                )
            )
            if config.ecc is None:
                m.d.comb += look.outcome.eq(0)
                continue
            m.submodules[f"outcomes_{index}"] = outcomes = Memory(
                shape=PageOutcome(), depth=2 * config.banks, init=[]
            )
            write = outcomes.write_port()
            read = outcomes.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(fill.filled.slot.as_value()),
                write.data.eq(fill.outcome),
                write.en.eq(fill.filled.en),
                read.addr.eq(Cat(look.ticket.bank, look.ticket.place[0])),
                look.outcome.eq(read.data),
            ]
        return m
