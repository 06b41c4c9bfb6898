"""The queries of the command in work, given to the slice again for every tile of keys."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock
from neardecode.config import BLOCK_ELEMENTS, Config

__all__ = ["QueryStore"]


class QueryStore(wiring.Component):
    """Holds the queries of a command and those of the next.

    Latency: a block is given from the cycle after its tile was asked for and its command's last
    block taken. Rate: a block a cycle, either way.

    Parameters:
        config: A configuration.

    Members:
        queries: In(stream of `ActivationBlock`). The blocks of the vectors of one command after
            another, each vector's last marked.
        tiles: In(stream of 1). Give them for a tile; whether it is its command's last.
        blocks: Out(stream of `ActivationBlock`).
        missing: Out(1). A tile waits for its queries to come.
    """

    queries: stream.Interface
    tiles: stream.Interface
    blocks: stream.Interface
    missing: Signal

    def __init__(self, config: Config):
        self._compute = config.compute
        block = ActivationBlock(config.compute)
        super().__init__(
            {
                "queries": In(stream.Signature(block)),
                "tiles": In(stream.Signature(1)),
                "blocks": Out(stream.Signature(block)),
                "missing": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two halves: one is given, the other fills."""
        m = Module()
        count = self._compute.vectors * (self._compute.head_elements // BLOCK_ELEMENTS)
        place = ceil_log2(count)
        m.submodules.memory = memory = Memory(
            shape=ActivationBlock(self._compute), depth=2 << place, init=[]
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        filled = Signal(2)
        load_half, give_half = Signal(), Signal()
        load, give = Signal(range(count)), Signal(range(count))
        loaded, given, gone = Signal(), Signal(), Signal()
        there = filled.bit_select(give_half, 1)
        m.d.comb += [
            self.queries.ready.eq(~filled.bit_select(load_half, 1)),
            write.addr.eq(Cat(load[:place], load_half) if place else load_half),
            write.data.eq(self.queries.payload),
            write.en.eq(self.queries.valid & self.queries.ready),
            loaded.eq(write.en & (load == count - 1)),
            read.addr.eq(Cat(give[:place], give_half) if place else give_half),
            self.blocks.payload.eq(read.data),
            self.blocks.valid.eq(self.tiles.valid & there),
            self.missing.eq(self.tiles.valid & ~there),
            given.eq(self.blocks.valid & self.blocks.ready & (give == count - 1)),
            self.tiles.ready.eq(given),
            gone.eq(given & self.tiles.payload),
        ]
        with m.If(write.en):
            m.d.sync += load.eq(Mux(loaded, 0, load + 1))
        with m.If(self.blocks.valid & self.blocks.ready):
            m.d.sync += give.eq(Mux(given, 0, give + 1))
        m.d.sync += [
            load_half.eq(load_half ^ loaded),
            give_half.eq(give_half ^ gone),
            filled.eq((filled | Mux(loaded, 1 << load_half, 0)) & ~Mux(gone, 1 << give_half, 0)),
        ]
        return m
