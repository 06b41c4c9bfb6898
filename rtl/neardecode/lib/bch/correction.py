"""A correction engine: key equation, Chien search and the queues behind them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from neardecode.lib.bch.chien import ChienSearch, patch_layout, verdict_layout
from neardecode.lib.bch.code import BchCode
from neardecode.lib.bch.key_equation import KeyEquation
from neardecode.lib.bch.syndromes import syndromes_layout
from neardecode.lib.fifo import StreamFIFO

__all__ = ["Correction"]


class Correction(wiring.Component):
    """An engine: the key equation of one codeword beside the search of the one before.

    Latency and rate are those of `KeyEquation` and `ChienSearch`, whichever is slower. Patches and
    verdicts wait at the output in queues, of t patches and two verdicts: a codeword whose verdict
    is out has all its patches out.

    Parameters:
        code: The code.
        lanes: Of `KeyEquation`.
        parallel: Of `ChienSearch`.

    Members:
        i: ``In(stream.Signature(syndromes_layout(code)))``.
        patches: ``Out(stream.Signature(patch_layout(code, parallel)))``.
        following: As ``patches``; the one after it.
        verdicts: ``Out(stream.Signature(verdict_layout(code)))``.

    Raises:
        ValueError: as `KeyEquation` and `ChienSearch`.
    """

    i: stream.Interface
    patches: stream.Interface
    following: data.View
    verdicts: stream.Interface

    def __init__(self, code: BchCode, *, lanes: int, parallel: int):
        self.key_equation = KeyEquation(code, lanes)
        self.search = ChienSearch(code, parallel)
        patch = patch_layout(code, parallel)
        self._patches = StreamFIFO(patch, code.t)
        self._verdicts = StreamFIFO(verdict_layout(code), 2)
        super().__init__(
            {
                "i": In(stream.Signature(syndromes_layout(code))),
                "patches": Out(stream.Signature(patch)),
                "following": Out(patch),
                "verdicts": Out(stream.Signature(verdict_layout(code))),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two stages, two queues, and a register that lets two patches be seen at once."""
        m = Module()
        m.submodules.key_equation = key_equation = self.key_equation
        m.submodules.search = search = self.search
        m.submodules.patch_queue = patches = self._patches
        m.submodules.verdict_queue = verdicts = self._verdicts
        connect(m, wiring.flipped(self.i), key_equation.i)
        connect(m, key_equation.o, search.i)
        connect(m, search.patches, patches.i)
        connect(m, search.verdicts, verdicts.i)
        connect(m, verdicts.o, wiring.flipped(self.verdicts))

        first = Signal.like(self.following, reset_less=True)
        first_valid = Signal()
        m.d.comb += [
            self.patches.payload.eq(first),
            self.patches.valid.eq(first_valid),
            self.following.eq(patches.o.payload),
            patches.o.ready.eq(~first_valid | self.patches.ready),
        ]
        with m.If(patches.o.ready):
            m.d.sync += [first.eq(patches.o.payload), first_valid.eq(patches.o.valid)]
        return m
