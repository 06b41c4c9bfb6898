"""The buffers of the units: a page each, written by the host and read by two."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.sections import host_of
from neardecode.flash.write.ports import UnitRead

__all__ = ["UnitBuffers", "UnitWrite"]


class UnitWrite(data.StructLayout):
    """A beat for a unit's buffer, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "unit": unsigned(exact_log2(host_of(config).units)),
                "beat": unsigned(ceil_log2(config.page_beats)),
                "data": unsigned(8 * config.beat_bytes),
            }
        )


class UnitBuffers(wiring.Component):
    """One memory for all buffers, with one read port, in which a reader of the host goes first.

    Latency 1 cycle. Rate: one beat written and one read a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        write: In(`UnitWrite`).
        read: In(`UnitRead`). A reader's.
        read_data: Out. The beat read, in the cycle after ``read.en`` only.
        fetch: In(`UnitRead`). What a program wants.
        fetched: Out(1). It is read in this cycle; a path from ``fetch``.
        fetch_data: Out. The beat fetched last, from the cycle after ``fetched`` on.
    """

    write: data.View
    read: data.View
    read_data: Signal
    fetch: data.View
    fetched: Signal
    fetch_data: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host_of(config)
        super().__init__(
            {
                "write": In(UnitWrite(config)),
                "read": In(UnitRead(config)),
                "read_data": Out(8 * config.beat_bytes),
                "fetch": In(UnitRead(config)),
                "fetched": Out(1),
                "fetch_data": Out(8 * config.beat_bytes),
            }
        )

    def elaborate(self, platform) -> Module:
        """The memory, and what the program keeps of it while a reader reads."""
        m = Module()
        width = 8 * self._config.beat_bytes
        m.submodules.buffers = buffers = Memory(
            shape=unsigned(width), depth=self._host.units * self._config.page_beats, init=[]
        )
        store, load = buffers.write_port(), buffers.read_port()
        arrived = Signal()
        kept = Signal(width)
        m.d.comb += [
            store.addr.eq(Cat(self.write.beat, self.write.unit)),
            store.data.eq(self.write.data),
            store.en.eq(self.write.en),
            load.addr.eq(
                Mux(
                    self.read.en,
                    Cat(self.read.beat, self.read.unit),
                    Cat(self.fetch.beat, self.fetch.unit),
                )
            ),
            load.en.eq(self.read.en | self.fetch.en),
            self.read_data.eq(load.data),
            self.fetched.eq(self.fetch.en & ~self.read.en),
            self.fetch_data.eq(Mux(arrived, load.data, kept)),
        ]
        m.d.sync += arrived.eq(self.fetched)
        with m.If(arrived):
            m.d.sync += kept.eq(load.data)
        return m
