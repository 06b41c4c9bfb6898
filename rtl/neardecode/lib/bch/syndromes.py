"""Syndromes of a codeword at the rate of the bus."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.bch.code import BchCode
from neardecode.lib.bch.field import linear

__all__ = ["Syndromes", "odd_syndromes", "syndromes_layout"]


def syndromes_layout(code: BchCode) -> data.StructLayout:
    """``odd``: S_1, S_3, ... S_(2t - 1); ``is_clean``: all of them are zero."""
    return data.StructLayout({"odd": data.ArrayLayout(code.m, code.t), "is_clean": 1})


def odd_syndromes(code: BchCode, beats: Sequence[int]) -> list[int]:
    """The odd syndromes of a codeword's beats, given as raw bits of ``code.beat_layout``."""
    gf = code.field
    message, parity = code.join_beats(beats)
    word = message | parity << code.k
    bits = np.frombuffer(word.to_bytes(-(-code.n // 8), "little"), np.uint8)
    powers = code.n - 1 - np.flatnonzero(np.unpackbits(bits, bitorder="little"))
    alpha = np.array(gf.powers)
    return [
        int(np.bitwise_xor.reduce(alpha[powers * j % gf.order], initial=0))
        for j in range(1, 2 * code.t, 2)
    ]


class Syndromes(wiring.Component):
    """Evaluates codewords at alpha, alpha^3, ... alpha^(2t - 1).

    A beat's data and its parity lie far apart in the codeword, so each has a Horner chain of its
    own; the data's carries the factor x^parity_bits from the start, and a syndrome is their sum.
    The even syndromes are squares of these and not computed. Beats are counted from reset.

    Latency: a codeword's syndromes stand at the output two cycles after its last beat was taken.
    Rate: one beat a cycle, codeword after codeword. Under backpressure a result that waits stops
    the beats behind it.

    Parameters:
        code: The code.

    Members:
        i: ``In(stream.Signature(code.beat_layout))``. Codewords, beat by beat.
        o: ``Out(stream.Signature(syndromes_layout(code)))``. One a codeword.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, code: BchCode):
        self._code = code
        super().__init__(
            {
                "i": In(stream.Signature(code.beat_layout)),
                "o": Out(stream.Signature(syndromes_layout(code))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a codeword's last beat to its syndromes."""
        return 2

    def model(self, beats: Sequence[int]) -> list[int]:
        """`odd_syndromes` of this code."""
        return odd_syndromes(self._code, beats)

    def elaborate(self, platform) -> Module:
        """The sums of a beat, then the Horner chains."""
        m = Module()
        code, gf = self._code, self._code.field
        bits, t = code.m, code.t
        data_width, parity_width = code.data_beat_bits, code.side_bits
        surplus = parity_width * code.beats - code.parity_bits

        advance = Signal()
        row = Signal(range(code.beats))
        sum_valid, sum_first, sum_last = Signal(), Signal(), Signal()
        result_valid = Signal()
        # Left-over bits come from the flash like all others, wrong ones too.
        parity = Signal(parity_width)
        m.d.comb += parity.eq(self.i.payload.parity)
        with m.Switch(row):
            for tail in range(code.beats):
                if (bits_left := max(0, code.parity_bits - tail * parity_width)) < parity_width:
                    with m.Case(tail):
                        m.d.comb += parity.eq(self.i.payload.parity & ((1 << bits_left) - 1))

        m.d.comb += [
            advance.eq(~result_valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(result_valid),
        ]
        with m.If(advance):
            m.d.sync += [
                sum_valid.eq(self.i.valid),
                sum_first.eq(row == 0),
                sum_last.eq(row == code.beats - 1),
                result_valid.eq(sum_valid & sum_last),
            ]
            with m.If(self.i.valid):
                m.d.sync += row.eq(row + 1)
                with m.If(row == code.beats - 1):
                    m.d.sync += row.eq(0)

        powers = range(1, 2 * t, 2)
        chains = []
        for name, word, width, offset in (
            ("data", self.i.payload.data, data_width, code.parity_bits),
            ("parity", parity, parity_width, -surplus),
        ):
            total = Signal(bits * t, name=f"{name}_sum", reset_less=True)
            chain = Signal(bits * t, name=f"{name}_chain", reset_less=True)
            before = Signal(bits * t, name=f"{name}_before")
            columns = [
                sum(
                    gf.alpha(j * (width - 1 - i + offset)) << bits * index
                    for index, j in enumerate(powers)
                )
                for i in range(width)
            ]
            stepped = Cat(
                linear(gf.constant_columns(gf.alpha(j * width)), syndrome, bits)
                for index, j in enumerate(powers)
                for syndrome in [before[index * bits : (index + 1) * bits]]
            )
            m.d.comb += before.eq(chain & ~sum_first.replicate(bits * t))
            with m.If(advance):
                m.d.sync += total.eq(linear(columns, word, bits * t))
                with m.If(sum_valid):
                    m.d.sync += chain.eq(total ^ stepped)
            chains.append(chain)
        flat = Signal(bits * t)
        m.d.comb += [
            flat.eq(chains[0] ^ chains[1]),
            self.o.payload.odd.eq(flat),
            self.o.payload.is_clean.eq(~flat.any()),
        ]
        return m
