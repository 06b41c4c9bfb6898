"""A flash channel: page requests in, beats out, core dies behind.

Source: OCP HBF v0.7.0, sections 4.6, 5.3 and 11.1.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import ChannelCause, ChannelEvent, ConfigError, Flash
from neardecode.flash.bus import CoreDieBus, CoreDieBusInterface
from neardecode.flash.read.delivery import Delivery, Order
from neardecode.flash.read.engine import ReadEngine
from neardecode.flash.read.expander import PageExpander
from neardecode.flash.status import ReadStatus
from neardecode.lib.counters import CycleCounters, EventCounters
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.once import once
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["FlashChannel"]


@once
class FlashChannel(wiring.Component):
    """A channel that only reads, for the slice beside it.

    Requests are answered in order. Every bank has two page buffers; a page found in one is read
    at once, any other is sensed, every bank on its own, while other pages cross the bus. Without
    error correction the first beat of a page that has to be sensed leaves `miss_latency` + tR
    cycles after its request was taken, of a buffered page `hit_latency` cycles after; beats then
    follow each other in consecutive cycles as long as they are taken.

    A stream of consecutive pages fills ``min(1, banks * page_beats / tR)`` of the bus, from two
    banks on. A single bank gives a page in
    ``max(tR, page_beats + 1, (tR + page_beats + 3) / 2)`` cycles: its register is not filled while
    it is read, and it has two buffers, each in use from its page's sense until its delivery.

    Parameters:
        config: The flash section of a configuration, without ``host`` and ``repair``.

    Members:
        requests: In(stream of `PageRequest`).
        beats: Out(stream of `PageBeat`).
        dies: Out(`CoreDieBus`).
        counting: In(1). Counters run.
        cycles: Out(counts by `ChannelCause`).
        events: Out(counts by `ChannelEvent`).

    Raises:
        ConfigError: if the configuration has one of those.
    """

    hit_latency = 3
    """Cycles from a request to the first beat of a buffered page."""

    miss_latency = 6
    """Cycles, beside tR, from a request to the first beat of a page that has to be sensed."""

    requests: stream.Interface
    beats: stream.Interface
    dies: CoreDieBusInterface
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(self, config: Flash):
        if config.host is not None or config.repair is not None:
            raise ConfigError(
                "flash.host, flash.repair: a channel that only reads has neither;"
                " leave them out, or use the channel controller"
            )
        self._config = config
        # Every page buffer in use, and hits as many.
        self._orders = 4 * config.banks - 1
        self._cycles = CycleCounters(ChannelCause)
        self._events = EventCounters(ChannelEvent)
        super().__init__(
            {
                "requests": In(stream.Signature(PageRequest(ceil_log2(config.pages)))),
                "beats": Out(stream.Signature(PageBeat(config.beat_bytes))),
                "dies": Out(CoreDieBus(config)),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                "events": Out(self._events.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Join the parts, and name every cycle."""
        m = Module()
        config, dies = self._config, self.dies
        m.submodules.expander = expander = PageExpander(config.banks, config.pages_a_bank)
        m.submodules.engine = engine = ReadEngine(config, clients=1, readers=self._orders + 1)
        m.submodules.orders = orders = StreamFIFO(Order(config), self._orders)
        m.submodules.delivery = delivery = Delivery(config)

        connect(m, flipped(self.requests), expander.requests)
        connect(m, orders.o, delivery.orders)
        connect(m, delivery.read, engine.reads[0])
        connect(m, delivery.beats, flipped(self.beats))
        connect(m, engine.senses, flipped(dies.senses))
        connect(m, engine.transfers, flipped(dies.transfers))
        page = expander.pages.payload
        outcome = engine.looks[0].outcome
        m.d.comb += [
            engine.queries.valid.eq(expander.pages.valid & ~page.error & orders.i.ready),
            engine.queries.payload.bank.eq(page.bank),
            engine.queries.payload.row.eq(page.row),
            engine.queries.payload.fresh.eq(page.fresh),
            orders.i.valid.eq(expander.pages.valid & (page.error | engine.queries.ready)),
            orders.i.payload.ticket.eq(engine.ticket),
            orders.i.payload.error.eq(page.error),
            orders.i.payload.tag.eq(page.tag),
            expander.pages.ready.eq(orders.i.ready & (page.error | engine.queries.ready)),
            engine.looks[0].ticket.eq(orders.o.payload.ticket),
            delivery.present.eq(engine.looks[0].present),
            delivery.failed.eq(
                (outcome.status != ReadStatus.OK) & (outcome.status != ReadStatus.CORRECTED)
            ),
            engine.served[0].eq(delivery.served),
            engine.permit.eq(1),
            engine.sense_ready.eq(dies.sense_ready),
            engine.page_ready.eq(dies.page_ready),
            engine.arrives.eq(dies.valid),
            engine.beat.eq(dies.beat),
        ]
        if config.ecc is not None:
            m.d.comb += [
                engine.correction.stages.eq(config.ecc.retry_stages),
                engine.correction.threshold.eq(config.ecc.correctable),
            ]

        m.submodules.cycle_counters = self._cycles
        m.submodules.event_counters = self._events
        cause = self._cycles.cause
        with m.If(dies.valid):
            m.d.comb += cause.eq(ChannelCause.BUSY.value)
        with m.Elif(dies.page_ready.any() & ~engine.room):
            m.d.comb += cause.eq(ChannelCause.CORRECTION.value)
        with m.Elif(dies.page_ready.any() | engine.moving):
            m.d.comb += cause.eq(ChannelCause.SCHEDULE.value)
        with m.Elif(~dies.sense_ready.all() | engine.wanted):
            m.d.comb += cause.eq(ChannelCause.SENSE.value)
        with m.Elif(self.beats.valid & ~self.beats.ready):
            m.d.comb += cause.eq(ChannelCause.OUTPUT.value)
        with m.Elif(self.beats.valid | orders.o.valid | expander.pages.valid):
            m.d.comb += cause.eq(ChannelCause.BUFFERED.value)
        with m.Else():
            m.d.comb += cause.eq(ChannelCause.IDLE.value)
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
            self._events.counting.eq(self.counting),
            self._events.strobes.eq(
                Cat(
                    dies.senses.valid & dies.senses.ready,
                    engine.queries.valid & engine.queries.ready & engine.hit,
                    expander.pages.valid & expander.pages.ready,
                    self.beats.valid & self.beats.ready,
                )
            ),
            self.events.eq(self._events.counts),
        ]
        return m
