"""Where the NAND blocks that the host addresses really lie, and what has become of them.

Source: OCP HBF v0.7.0, sections 4.4 (bad blocks, read counts), 5.6, 5.7, 11.4.1 and 11.5.2.8.
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.blocks.counts import BlockCounts, Counted
from neardecode.flash.blocks.ports import (
    COUNT_BITS,
    BlockAddress,
    BlockErased,
    BlockRow,
    BlockState,
    BlockUpdate,
    BlockWear,
    ZoneSwap,
)
from neardecode.flash.sections import host_of
from neardecode.flash.status import Retired

__all__ = ["BlockTable"]


class BlockTable(wiring.Component):
    """A record for each block that the host can address, counts for each one that there is.

    After reset every block lies where its number says and every count is zero; a sweep over all
    blocks, one a cycle, makes it so, and nothing is asked before ``ready``. The blocks of a zone
    are looked up under the zone that it changed places with.

    A block that went bad is replaced by the next spare of its bank. Where there is none left it is
    retired; with more than ``bank_limit`` retired blocks its whole bank is, with all banks its die,
    with all dies the channel. What is retired stays so; to retire a block again changes nothing.

    Latency: 1 cycle from a look to its answer, which is held until the next look, but for that of
    ``scan``; an update is seen by looks in later cycles. ``replaced`` comes 3 cycles after
    ``replace``, and is put off by ``scan`` and ``update``: it needs a cycle without the one and in
    the next none of the other. Looks see the replacement from the cycle of ``replaced`` on. Rate:
    one look a port and one update a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.
        bank_limit: Blocks of a bank that may retire before the bank does.

    Members:
        ready: Out(1). The sweep is over.
        lookup, check: In(`BlockAddress`). Looks, for the commands and for the write path.
        found, checked: Out(`BlockState`). Their answers.
        scan: In(`BlockAddress`). A look whose answer is only whether the block is retired.
        scanned: Out(3). Its answer: a `Retired`, or zero.
        update: In(`BlockUpdate`).
        replace: In(`BlockAddress`). The physical block of this one is bad; not again before
            ``replaced``. If a spare takes its place its next page is 0 and ``failed`` is cleared.
        replaced: Out(1). It was done.
        replacement: Out(3). With ``replaced``: what of it is retired, zero if a spare was found.
        retire_channel: In(1). The channel is retired, for as long as this is high.
        swap: In(`ZoneSwap`). Two zones change places, for looks and updates in later cycles.
        sensed: In(`BlockRow`). A page of this block is sensed.
        erased: In(`BlockErased`). This block is erased.
        read_limit: In(32).
        counted: Out(`Counted`). One cycle after ``sensed``.
        maximum_erases, average_erases: Out(32). Over all blocks, the average by those addressable.
        inspect: In(`BlockAddress`). A block whose wear is asked for; not again before
            ``inspected``.
        inspected: Out(1). ``wear`` is that of this block from the next cycle on.
        wear: Out(`BlockWear`). That of the physical block behind it.
        zone: In. A zone.
        zone_erases: Out(32). The mean over its blocks, spares in their places; a path from
            ``zone``.
        reduced: Out(1). Something is retired.

    Raises:
        ValueError: if ``config`` has no ``host``, or ``bank_limit`` is not a positive integer.
    """

    ready: Signal
    lookup: data.View
    found: data.View
    check: data.View
    checked: data.View
    scan: data.View
    scanned: Signal
    update: data.View
    replace: data.View
    replaced: Signal
    replacement: Signal
    retire_channel: Signal
    swap: data.View
    sensed: data.View
    erased: data.View
    read_limit: Signal
    counted: data.View
    maximum_erases: Signal
    average_erases: Signal
    inspect: data.View
    inspected: Signal
    wear: data.View
    zone: Signal
    zone_erases: Signal
    reduced: Signal

    def __init__(self, config: Flash, bank_limit: int = 4):
        if not isinstance(bank_limit, int) or bank_limit < 1:
            raise ValueError(f"bank_limit must be a positive integer, not {bank_limit!r}")
        self._config = config
        self._host = host = host_of(config)
        self._bank_limit = bank_limit
        self._counts = BlockCounts(config)
        look, state = In(BlockAddress(config)), Out(BlockState(config))
        super().__init__(
            {
                "ready": Out(1),
                "lookup": look,
                "found": state,
                "check": look,
                "checked": state,
                "scan": look,
                "scanned": Out(3),
                "update": In(BlockUpdate(config)),
                "replace": look,
                "replaced": Out(1),
                "replacement": Out(3),
                "retire_channel": In(1),
                "swap": In(ZoneSwap(host.zones)),
                "sensed": In(BlockRow(config)),
                "erased": In(BlockErased(config)),
                "read_limit": In(32),
                "counted": Out(Counted(config)),
                "maximum_erases": Out(32),
                "average_erases": Out(32),
                "inspect": look,
                "inspected": Out(1),
                "wear": Out(BlockWear()),
                "zone": In(exact_log2(host.zones)),
                "zone_erases": Out(COUNT_BITS),
                "reduced": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Zones, records, replacement."""
        m = Module()
        config, host = self._config, self._host
        banks, blocks = config.banks, config.blocks_a_bank
        bank_bits = ceil_log2(banks)
        state = BlockState(config)
        home = data.StructLayout({"physical": state["physical"].shape, "retired": unsigned(1)})
        progress = data.StructLayout({"next_page": state["next_page"].shape, "failed": unsigned(1)})
        m.submodules.homes = homes = Memory(shape=home, depth=banks * blocks, init=[])
        m.submodules.progress = states = Memory(shape=progress, depth=banks * blocks, init=[])
        m.submodules.counts = counts = self._counts
        home_write, state_write = homes.write_port(), states.write_port()

        # Zones.
        zone_bits = exact_log2(host.zones)
        low_bits = exact_log2(blocks) - zone_bits
        zones = Array(
            Signal(zone_bits, init=zone, name=f"zone_{zone}") for zone in range(host.zones)
        )
        swap = self.swap
        with m.If(swap.en):
            m.d.sync += [
                zones[swap.source].eq(zones[swap.destination]),
                zones[swap.destination].eq(zones[swap.source]),
            ]

        def index(bank: Value, block: Value) -> Value:
            return Cat(bank[:bank_bits], block[:low_bits], zones[block[low_bits:]])

        # What is retired.
        bank_retired = Signal(banks)
        die_retired = Signal(config.dies)
        channel_retired = Signal()
        some_block = Signal()
        m.d.comb += [
            die_retired.eq(
                Cat(
                    bank_retired[die * config.banks_a_die : (die + 1) * config.banks_a_die].all()
                    for die in range(config.dies)
                )
            ),
            channel_retired.eq(die_retired.all() | self.retire_channel),
            self.reduced.eq(some_block | bank_retired.any() | channel_retired),
        ]

        def widest(bank: Value, block: Value) -> Value:
            die = bank[ceil_log2(config.banks_a_die) :]
            return Mux(
                channel_retired,
                Retired.CHANNEL.value,
                Mux(
                    die_retired.bit_select(die, 1),
                    Retired.DIE.value,
                    Mux(
                        bank_retired.bit_select(bank, 1),
                        Retired.BANK.value,
                        Mux(block, Retired.BLOCK.value, 0),
                    ),
                ),
            )

        replacing = Signal()
        place = Signal(len(home_write.addr))
        inspecting = Signal()
        inspected_bank = Signal(bank_bits)
        inspected_place = Signal(len(home_write.addr))
        inspects = Signal()
        m.d.comb += inspects.eq(inspecting & ~self.scan.en & ~replacing)
        scanned = homes.read_port()
        for name, answer in (("lookup", self.found), ("check", self.checked), ("scan", None)):
            look = getattr(self, name)
            read_home = scanned if answer is None else homes.read_port()
            bank = Signal(bank_bits, name=f"{name}_bank")
            m.d.comb += [
                read_home.addr.eq(index(look.bank, look.block)),
                read_home.en.eq(look.en),
            ]
            with m.If(look.en):
                m.d.sync += bank.eq(look.bank)
            retired = widest(bank, read_home.data.retired)
            if answer is None:
                m.d.comb += self.scanned.eq(retired)
                # A block that is to be replaced is looked at while nobody scans, and one whose
                # wear is asked for while none is replaced.
                with m.If(replacing & ~self.scan.en):
                    m.d.comb += [read_home.addr.eq(place), read_home.en.eq(1)]
                with m.If(inspects):
                    m.d.comb += [read_home.addr.eq(inspected_place), read_home.en.eq(1)]
                continue
            read_state = states.read_port()
            m.d.comb += [
                read_state.addr.eq(read_home.addr),
                read_state.en.eq(look.en),
                answer.physical.eq(read_home.data.physical),
                answer.next_page.eq(read_state.data.next_page),
                answer.failed.eq(read_state.data.failed),
                answer.retired.eq(retired),
            ]

        # The sweep, and updates.
        swept = Signal(range(banks * (blocks + host.spare_blocks) + 1))
        m.d.comb += [
            self.ready.eq(swept == banks * (blocks + host.spare_blocks)),
            state_write.en.eq(self.update.en | ~self.ready),
            state_write.addr.eq(index(self.update.bank, self.update.block)),
            state_write.data.next_page.eq(self.update.next_page),
            state_write.data.failed.eq(self.update.failed),
            counts.sweep.eq(~self.ready),
            counts.swept.eq(swept),
        ]
        with m.If(~self.ready):
            m.d.sync += swept.eq(swept + 1)
            m.d.comb += [
                state_write.addr.eq(swept),
                state_write.data.eq(0),
                state_write.en.eq(swept < banks * blocks),
            ]

        # Replacement.
        used_bits = ceil_log2(host.spare_blocks + 1)
        lost_bits = ceil_log2(self._bank_limit + 2)
        used = Array(Signal(used_bits, name=f"used_{bank}") for bank in range(banks))
        lost = Array(Signal(lost_bits, name=f"lost_{bank}") for bank in range(banks))
        bank = Signal(bank_bits)
        looked = Signal()
        decides = Signal()
        spare = Signal()
        is_lost = Signal()
        m.d.comb += [
            decides.eq(looked & ~self.update.en),
            is_lost.eq(used[bank] == host.spare_blocks),
            spare.eq(decides & ~is_lost),
            home_write.addr.eq(Mux(self.ready, place, swept)),
            home_write.en.eq(decides | (~self.ready & (swept < banks * blocks))),
            home_write.data.physical.eq(Mux(spare, blocks + used[bank], scanned.data.physical)),
            home_write.data.retired.eq(is_lost),
        ]
        with m.If(~self.ready):
            m.d.comb += [
                home_write.data.physical.eq((swept >> bank_bits)[: exact_log2(blocks)]),
                home_write.data.retired.eq(0),
            ]
        with m.If(spare):
            m.d.comb += [
                state_write.en.eq(1),
                state_write.addr.eq(place),
                state_write.data.eq(0),
            ]
            m.d.sync += used[bank].eq(used[bank] + 1)
        with m.If(decides & is_lost & ~scanned.data.retired):
            m.d.sync += some_block.eq(1)
            with m.If(lost[bank] == self._bank_limit):
                m.d.sync += bank_retired.eq(bank_retired | (Const(1, banks) << bank))
            with m.Else():
                m.d.sync += lost[bank].eq(lost[bank] + 1)
        answered_lost = Signal()
        m.d.sync += [
            looked.eq(replacing & ~self.scan.en & ~decides),
            self.replaced.eq(decides),
            answered_lost.eq(is_lost),
        ]
        m.d.comb += self.replacement.eq(widest(bank, answered_lost))
        with m.If(self.replace.en):
            m.d.sync += [
                replacing.eq(1),
                bank.eq(self.replace.bank),
                place.eq(index(self.replace.bank, self.replace.block)),
            ]
        with m.Elif(decides):
            m.d.sync += replacing.eq(0)

        # Wear, by block and by zone.
        found = Signal()
        page_bits = exact_log2(host.pages_a_block)
        m.d.sync += [inspecting.eq((inspecting | self.inspect.en) & ~inspects), found.eq(inspects)]
        with m.If(self.inspect.en):
            m.d.sync += [
                inspected_bank.eq(self.inspect.bank),
                inspected_place.eq(index(self.inspect.bank, self.inspect.block)),
            ]
        m.d.comb += [
            counts.look.en.eq(found),
            counts.look.bank.eq(inspected_bank),
            counts.look.row.eq(scanned.data.physical << page_bits),
            self.inspected.eq(counts.looked),
            self.wear.eq(counts.wear),
        ]
        share = exact_log2(banks * blocks) - zone_bits
        totals = Array(Signal(COUNT_BITS + share, name=f"erases_{z}") for z in range(host.zones))
        total = totals[zones[self.erased.block[low_bits:]]]
        with m.If(self.erased.en):
            m.d.sync += total.eq(total + ~total.all())
        m.d.comb += self.zone_erases.eq(totals[zones[self.zone]] >> share)

        m.d.comb += [
            counts.sensed.eq(self.sensed),
            counts.erased.en.eq(self.erased.en),
            counts.erased.bank.eq(self.erased.bank),
            counts.erased.row.eq(self.erased.row),
            counts.read_limit.eq(self.read_limit),
            self.counted.eq(counts.counted),
            self.maximum_erases.eq(counts.maximum_erases),
            self.average_erases.eq(counts.average_erases),
        ]
        return m
