"""The DRAM of one vault: its timing and its checker in RTL, its contents behind ports."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Stack, StackCycles
from neardecode.lib.once import once
from neardecode.stack.command import DramBus, DramBusInterface
from neardecode_testbench.devices.dram_rules import DramRule, DramRules
from neardecode_testbench.devices.lanes import DieLanes
from neardecode_testbench.devices.storage import StorageInterface, StoragePort

__all__ = ["DramDies"]


@once
class DramDies(wiring.Component):
    """All banks of a vault, over all its dies.

    A read command's beat is on the lanes CL cycles later; a write command takes its beat from them
    CWL cycles later and stores the bytes that its mask names. A command that comes too early, or
    that its bank cannot do, is done all the same and told by ``violated``.

    Parameters:
        config: The stack section of a configuration.
        cycles: The timings.

    Members:
        bus: In(`DramBus`).
        reads: Out(`StoragePort`). Page ``row * banks_a_group + bank`` starts at beat
            ``page_beats`` times that.
        stores: Out(`StoragePort`), writable, of the same memory.
        hot: In(1). Above 85 C.
        faulty: In(lanes). The lane map that the controller has found.
        stuck, stuck_value: In(lanes). Lanes that carry always the same, either way.
        violated: Out(rules). By `DramRule`, since reset.
    """

    bus: DramBusInterface
    reads: StorageInterface
    stores: StorageInterface
    hot: Signal
    faulty: Signal
    stuck: Signal
    stuck_value: Signal
    violated: Signal

    def __init__(self, config: Stack, cycles: StackCycles):
        self._config = config
        self._cycles = cycles
        address = exact_log2(config.pages * config.page_beats)
        super().__init__(
            {
                "bus": In(DramBus(config)),
                "reads": Out(StoragePort(address, config.beat_bytes)),
                "stores": Out(StoragePort(address, config.beat_bytes, writable=True)),
                "hot": In(1),
                "faulty": In(config.lanes),
                "stuck": In(config.lanes),
                "stuck_value": In(config.lanes),
                "violated": Out(len(DramRule)),
            }
        )

    def elaborate(self, platform) -> Module:
        """The checker, the delay of the data, and the bytes that a write leaves alone."""
        m = Module()
        config, cycles, bus = self._config, self._cycles, self.bus
        column = bus.column
        m.submodules.rules = rules = DramRules(config, cycles)
        m.submodules.lanes = lanes = DieLanes(config)
        m.d.comb += [
            rules.row.eq(bus.row),
            rules.column.eq(column),
            rules.hot.eq(self.hot),
            rules.enable.eq(~bus.loopback),
        ]
        m.d.sync += self.violated.eq(self.violated | rules.broken)

        groups = exact_log2(config.bank_groups)
        address = Signal(exact_log2(config.pages * config.page_beats))
        row = rules.rows[column.bank]
        m.d.comb += address.eq(Cat(column.bank[:groups], column.column, column.bank[groups:], row))

        def delayed(valid, cycles: int, name: str):
            """A command's address, some cycles later."""
            where = address
            for cycle in range(cycles):
                later_valid = Signal(name=f"{name}_{cycle}")
                later = Signal.like(address, name=f"{name}_address_{cycle}", reset_less=True)
                m.d.sync += [later_valid.eq(valid), later.eq(where)]
                valid, where = later_valid, later
            return valid, where

        # A beat is asked for one cycle before it is needed: to be sent, or to be written partly.
        read_valid, read_address = delayed(column.valid & ~column.write, cycles.cl - 1, "read")
        write_valid, write_address = delayed(column.valid & column.write, cycles.cwl - 1, "write")
        sends, stores = Signal(), Signal()
        stored_at = Signal.like(address)
        m.d.sync += [sends.eq(read_valid), stores.eq(write_valid), stored_at.eq(write_address)]
        bits = 8 * config.beat_bytes
        mask = Cat(bit.replicate(8) for bit in lanes.written[bits:])
        m.d.comb += [
            self.reads.valid.eq(read_valid | write_valid),
            self.reads.address.eq(Mux(read_valid, read_address, write_address)),
            lanes.stuck.eq(self.stuck),
            lanes.stuck_value.eq(self.stuck_value),
            lanes.faulty.eq(self.faulty),
            lanes.valid.eq(sends),
            lanes.bits.eq(self.reads.data),
            lanes.loopback.eq(bus.loopback),
            lanes.write_valid.eq(stores | bus.loopback),
            lanes.write_beat.lanes.eq(bus.write_lanes),
            bus.read_lanes.eq(lanes.bus_beat.lanes),
            self.stores.valid.eq(stores),
            self.stores.write.eq(1),
            self.stores.address.eq(stored_at),
            self.stores.write_data.eq((lanes.written[:bits] & mask) | (self.reads.data & ~mask)),
        ]
        return m
