"""Blocks to the vaults of their KV heads: queries, and rows of keys and values."""

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.attention.append import RowPlace
from neardecode.compute.command import ActivationBlock
from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.decoder.heads import HeadOrder
from neardecode.vector.quantiser import ScaledBlock

__all__ = ["HeadQueries", "HeadRows"]

KEY_BITS = 8


class HeadQueries(wiring.Component):
    """Gives queries to the vaults of their KV heads.

    Parameters:
        config: A configuration with a decoder, of slices that attend.

    Members:
        begin: In(1). The next block is the first of query head 0.
        blocks: In(stream of `ScaledBlock`).
        queries: Out(stream of `ActivationBlock`), a vault each.
    """

    begin: Signal
    blocks: stream.Interface
    queries: Sequence

    def __init__(self, config: Config):
        stack = config.stack
        assert stack is not None
        self._vaults = stack.vaults
        self._compute = config.compute
        super().__init__(
            {
                "begin": In(1),
                "blocks": In(stream.Signature(ScaledBlock(config.compute.activation_bits))),
                "queries": Out(stream.Signature(ActivationBlock(config.compute))).array(
                    self._vaults
                ),
            }
        )

    def elaborate(self, platform) -> Module:
        """Blocks of a group of heads to one vault, of the next to the next."""
        m = Module()
        m.submodules.order = order = HeadOrder(self._vaults)
        parts = self._compute.head_elements // BLOCK_ELEMENTS
        group = parts * self._compute.vectors
        part, member = Signal(range(parts)), Signal(range(group))
        moves, ends = Signal(), Signal()
        given = self.blocks.payload
        m.d.comb += [
            moves.eq(self.blocks.valid & self.blocks.ready),
            ends.eq(member == group - 1),
            order.begin.eq(self.begin),
            order.step.eq(moves & ends),
            self.blocks.ready.eq(Array(each.ready for each in self.queries)[order.vault]),
        ]
        for vault in range(self._vaults):
            query = self.queries[vault]
            m.d.comb += [
                query.valid.eq(self.blocks.valid & (order.vault == vault)),
                query.payload.elements.eq(given.elements.as_value()),
                query.payload.exponent.eq(given.exponent),
                query.payload.last.eq(part == parts - 1),
            ]
        with m.If(self.begin):
            m.d.sync += [part.eq(0), member.eq(0)]
        with m.Elif(moves):
            m.d.sync += [
                part.eq(Mux(part == parts - 1, 0, part + 1)),
                member.eq(Mux(ends, 0, member + 1)),
            ]
        return m


class HeadRows(wiring.Component):
    """Gives new rows of keys or values to the vaults of their KV heads.

    Parameters:
        config: A configuration with a decoder, of slices that attend.

    Members:
        begin: In(1). The next block is the first of head 0.
        page, stride: In. The first page of the first head's keys or values, and pages from it to
            half the way to the vault's next head's; constant until the next ``begin``.
        place: In(`RowPlace`). Of the position, from a region's first page.
        blocks: In(stream of `ScaledBlock` of 8 bits).
        places: Out(stream of `RowPlace`), a vault each.
        rows: Out(stream of `ScaledBlock` of 8 bits), a vault each.
    """

    begin: Signal
    page: Signal
    stride: Signal
    place: data.View
    blocks: stream.Interface
    places: Sequence
    rows: Sequence

    def __init__(self, config: Config):
        stack = config.stack
        assert stack is not None
        self._vaults = stack.vaults
        self._parts = config.compute.head_elements // BLOCK_ELEMENTS
        address = exact_log2(stack.pages)
        place = RowPlace(config, address)
        block = stream.Signature(ScaledBlock(KEY_BITS))
        super().__init__(
            {
                "begin": In(1),
                "page": In(address),
                "stride": In(16),
                "place": In(place),
                "blocks": In(block),
                "places": Out(stream.Signature(place)).array(self._vaults),
                "rows": Out(block).array(self._vaults),
            }
        )

    def elaborate(self, platform) -> Module:
        """A row's place before its first block, then its blocks."""
        m = Module()
        m.submodules.order = order = HeadOrder(self._vaults)
        part = Signal(range(self._parts))
        base = Signal.like(self.page)
        ends, moves, placed, told = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(part == self._parts - 1),
            moves.eq(self.blocks.valid & self.blocks.ready),
            told.eq(Array(each.ready for each in self.places)[order.vault] & self.blocks.valid),
            self.blocks.ready.eq(placed & Array(each.ready for each in self.rows)[order.vault]),
            order.begin.eq(self.begin),
            order.step.eq(moves & ends),
        ]
        for vault in range(self._vaults):
            mine = self.blocks.valid & (order.vault == vault)
            place = self.places[vault].payload
            m.d.comb += [
                self.places[vault].valid.eq(mine & ~placed),
                place.page.eq(self.page + base + self.place.page),
                place.beat.eq(self.place.beat),
                self.rows[vault].valid.eq(mine & placed),
                self.rows[vault].payload.eq(self.blocks.payload),
            ]
        with m.If(self.begin):
            m.d.sync += [part.eq(0), base.eq(0), placed.eq(0)]
        with m.Else():
            with m.If(~placed & told):
                m.d.sync += placed.eq(1)
            with m.If(moves):
                m.d.sync += part.eq(Mux(ends, 0, part + 1))
                with m.If(ends):
                    m.d.sync += placed.eq(0)
                    with m.If(order.vault == self._vaults - 1):
                        m.d.sync += base.eq(base + (self.stride << 1))
        return m
