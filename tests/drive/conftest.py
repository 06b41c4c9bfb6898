import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode_testbench.devices.storage import StoragePort
from neardecode_testbench.drive.design import Design


class Machine(wiring.Component):
    """Every kind of port: wide streams joined by a register, odd levels, and storage ports.

    The storage is read at ``address`` in every cycle with ``reading``; its latest beat is ``beat``.
    The store, of a beat size that no simulator likes, is written with ``fresh`` where also
    ``writing``; the latest beat read is ``old``.
    A payload waits a cycle in the register and leaves with ``offset`` added.
    """

    i: In(stream.Signature(80))
    o: Out(stream.Signature(80))
    offset: In(5)
    wide: In(100)
    wide_copy: Out(100)
    small: Out(1)
    cycle: Out(20)
    storage: Out(StoragePort(6, 32))
    reading: In(1)
    address: In(6)
    beat: Out(256)
    store: Out(StoragePort(6, 71, writable=True))
    writing: In(1)
    fresh: In(568)
    old: Out(568)

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        held = Signal(80)
        m.d.comb += [
            self.i.ready.eq(~full | self.o.ready),
            self.o.valid.eq(full),
            self.o.payload.eq(held + self.offset),
            self.wide_copy.eq(self.wide),
            self.small.eq(self.wide[99]),
            self.storage.valid.eq(self.reading),
            self.storage.address.eq(self.address),
            self.beat.eq(self.storage.data),
            self.store.valid.eq(self.reading),
            self.store.address.eq(self.address),
            self.store.write.eq(self.writing),
            self.store.write_data.eq(self.fresh),
            self.old.eq(self.store.data),
        ]
        m.d.sync += self.cycle.eq(self.cycle + 1)
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), held.eq(self.i.payload)]
        return m


@pytest.fixture
def machine():
    return Design(Machine)
