"""The units that gather and program pages: their states and their pages."""

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.sections import host_of
from neardecode.flash.write.ports import PageAddress

__all__ = ["UnitAddresses", "UnitState", "beat_mask"]


def beat_mask(page_beats: int, first: Value, beats: Value) -> Value:
    """A bit for each of ``beats`` beats from ``first`` on, within a page."""
    ones = Const((1 << page_beats) - 1, page_beats)
    return (ones << first)[:page_beats] & ~(ones << (first + beats))[:page_beats]


class UnitState(enum.Enum, shape=4):
    """What becomes of a unit. From `CLOSING` on its bank works for it, and for no other unit."""

    FREE = 0
    ENDED = 1
    """Its page's fate is known; its commands are being answered, or a reader holds its buffer."""
    GATHERING = 2
    """Its beats come, or all have come and the page waits for its turn."""
    STARTING = 3
    """A block waits to be erased by a secure erase."""
    CLOSING = 8
    """The read path finishes what was ordered before."""
    ERASING = 9
    READY = 10
    """The page can be programmed."""
    PROGRAMMING = 11
    ERASE_FAILED = 12
    """The block waits to be replaced."""
    PROGRAM_FAILED = 13
    """The block waits to be replaced."""
    RESTARTING = 14
    """The block's replacement waits to be erased; the bank is still shut."""


class UnitAddresses(wiring.Component):
    """The page of every unit, compared with two others at a time.

    Latency: none, but one cycle from ``set`` to all else.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        set: In(1). ``set_unit`` gets the page ``set_page``.
        set_unit, set_page: In.
        visited: In. A unit.
        page: Out(`PageAddress`). Its page.
        asked: In(`PageAddress`). A page.
        same_page, same_block, same_bank: Out(units). Units whose page is that, or is in its block
            or its bank.
        lower: Out(units). Units of the same block with a page before it.
        probe: In(`PageAddress`). Another page.
        probed: Out(units). Units whose page is that.
        ended_bank: In. A bank.
        at_bank: Out(units). Units with a page in it.
    """

    set: Signal
    set_unit: Signal
    set_page: data.View
    visited: Signal
    page: data.View
    asked: data.View
    same_page: Signal
    same_block: Signal
    same_bank: Signal
    lower: Signal
    probe: data.View
    probed: Signal
    ended_bank: Signal
    at_bank: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        page = PageAddress(config)
        unit = exact_log2(host.units)
        super().__init__(
            {
                "set": In(1),
                "set_unit": In(unit),
                "set_page": In(page),
                "visited": In(unit),
                "page": Out(page),
                "asked": In(page),
                "same_page": Out(host.units),
                "same_block": Out(host.units),
                "same_bank": Out(host.units),
                "lower": Out(host.units),
                "probe": In(page),
                "probed": Out(host.units),
                "ended_bank": In(ceil_log2(config.banks)),
                "at_bank": Out(host.units),
            }
        )

    def elaborate(self, platform) -> Module:
        """A register a unit, with its comparators."""
        m = Module()
        page_bits = exact_log2(self._host.pages_a_block)
        layout = PageAddress(self._config)
        addresses = [Signal(layout, name=f"address_{n}") for n in range(self._host.units)]
        with m.Switch(self.visited):
            for unit, address in enumerate(addresses):
                with m.Case(unit):
                    m.d.comb += self.page.eq(address)
        asked_block, asked_page = self.asked.row[page_bits:], self.asked.row[:page_bits]
        for unit, address in enumerate(addresses):
            with m.If(self.set & (self.set_unit == unit)):
                m.d.sync += address.eq(self.set_page)
            block, page = address.row[page_bits:], address.row[:page_bits]
            m.d.comb += [
                self.same_bank[unit].eq(address.bank == self.asked.bank),
                self.same_block[unit].eq(self.same_bank[unit] & (block == asked_block)),
                self.same_page[unit].eq(self.same_block[unit] & (page == asked_page)),
                self.lower[unit].eq(self.same_block[unit] & (page < asked_page)),
                self.probed[unit].eq(address == self.probe),
                self.at_bank[unit].eq(address.bank == self.ended_bank),
            ]
        return m
