"""Systematic encoding at one beat a cycle."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.bch.code import BchCode, reversed_bits
from neardecode.lib.bch.field import linear
from neardecode.lib.fifo import StreamFIFO

__all__ = ["BchEncoder"]


class BchEncoder(wiring.Component):
    """Adds the parity to a codeword's data.

    Data beats are divided by the generator polynomial as they come, one whole beat a cycle, and
    wait in a queue of ``beats + 2`` until their parity is known. Beats are counted from reset:
    every ``code.beats`` of them are a codeword.

    Latency: the first beat stands at the output two cycles after the codeword's last data beat was
    taken, so ``code.beats + 1`` cycles after the first at full rate. Rate: one beat a cycle; one in
    two cycles where a codeword is a single beat. Under backpressure it takes beats until the queue
    is full, or until a third parity would wait.

    Parameters:
        code: The code.

    Members:
        i: ``In(stream.Signature(code.data_beat_bits))``. Data.
        o: ``Out(stream.Signature(code.beat_layout))``. Data with parity.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, code: BchCode):
        self._code = code
        self._queue = StreamFIFO(code.data_beat_bits, code.beats + 2)
        super().__init__(
            {
                "i": In(stream.Signature(code.data_beat_bits)),
                "o": Out(stream.Signature(code.beat_layout)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a codeword's last data beat to its first beat at the output."""
        return 2

    def model(self, message: int) -> list[int]:
        """The beats of a codeword, as raw bits of ``code.beat_layout``."""
        return self._code.pack_beats(message, self._code.encode(message))

    def elaborate(self, platform) -> Module:
        """The division; the finished remainder; the parity that goes out."""
        m = Module()
        code = self._code
        parity_bits, width = code.parity_bits, code.data_beat_bits
        last = code.beats - 1

        m.submodules.queue = queue = self._queue
        row, out_row = Signal(range(code.beats)), Signal(range(code.beats))
        remainder = Signal(parity_bits)
        following = Signal(parity_bits)
        # The remainder stands by falling powers as the data does: bit 0 is x^(parity_bits - 1).
        dividend = Signal(width)
        finished = Signal(parity_bits, reset_less=True)
        finished_valid = Signal()
        parity = Signal(code.side_bits * code.beats, reset_less=True)
        parity_valid = Signal()
        accepted = self.i.valid & self.i.ready

        # A codeword's last beat may only be divided when its remainder has a place to go.
        held = Signal()
        m.d.comb += [
            held.eq((row == last) & finished_valid),
            queue.i.payload.eq(self.i.payload),
            queue.i.valid.eq(self.i.valid & ~held),
            self.i.ready.eq(queue.i.ready & ~held),
        ]

        columns = [
            reversed_bits(remainder, parity_bits)
            for remainder in reversed(code.powers_after_data(width))
        ]
        m.d.comb += [
            dividend.eq(self.i.payload ^ remainder[:width]),
            following.eq(linear(columns, dividend, parity_bits) ^ remainder[width:]),
        ]
        with m.If(accepted):
            m.d.sync += [row.eq(row + 1), remainder.eq(following)]
            with m.If(row == last):
                m.d.sync += [row.eq(0), remainder.eq(0), finished.eq(following)]

        leaves, ended, follows = Signal(), Signal(), Signal()
        m.d.comb += [
            self.o.payload.data.eq(queue.o.payload),
            self.o.payload.parity.eq(parity[: code.side_bits]),
            self.o.valid.eq(parity_valid),
            queue.o.ready.eq(self.o.ready & parity_valid),
            leaves.eq(self.o.valid & self.o.ready),
            ended.eq(leaves & (out_row == last)),
            follows.eq(finished_valid & (ended | ~parity_valid)),
        ]
        with m.If(leaves):
            m.d.sync += [out_row.eq(out_row + 1), parity.eq(parity >> code.side_bits)]
        with m.If(ended):
            m.d.sync += [out_row.eq(0), parity_valid.eq(0)]
        with m.If(follows):
            m.d.sync += [parity.eq(finished), parity_valid.eq(1), finished_valid.eq(0)]
        with m.If(accepted & (row == last)):
            m.d.sync += finished_valid.eq(1)
        m.d.sync += Assert(~parity_valid | queue.o.valid, "a parity goes out without its data")
        return m
