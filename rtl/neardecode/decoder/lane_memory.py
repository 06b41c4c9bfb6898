"""A memory of words that reads many at a time and writes one or many."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["LaneMemory"]


class LaneMemory(wiring.Component):
    """Transfers of ``lanes`` words, of each sequence; each word is written by itself.

    A read gives what was written before its cycle, one cycle later, until the next read.

    Parameters:
        bits: Of a word.
        words: How many of a sequence, a power of two.
        lanes: Words of a transfer, a power of two of at most ``words``.
        sequences: How many.

    Members:
        read: In. A transfer.
        enable: In(1). Read it.
        values: Out(array of ``lanes`` words). What was read, a sequence each.
        write: In. A transfer.
        mask: In(lanes). Which of its words are written.
        into: In(sequences). Of which sequences.
        given: In(array of ``lanes`` words). With what, a sequence each.
    """

    read: Signal
    enable: Signal
    values: data.View
    write: Signal
    mask: Signal
    into: Signal
    given: data.View

    def __init__(self, bits: int, words: int, lanes: int, sequences: int):
        self._transfers, self._lanes = words // lanes, lanes
        self._shape = data.ArrayLayout(bits, lanes)
        address = exact_log2(self._transfers)
        super().__init__(
            {
                "read": In(address),
                "enable": In(1),
                "values": Out(data.ArrayLayout(self._shape, sequences)),
                "write": In(address),
                "mask": In(lanes),
                "into": In(sequences),
                "given": In(data.ArrayLayout(self._shape, sequences)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A memory a sequence, with one port of each kind."""
        m = Module()
        for sequence, into in enumerate(self.into):
            memory = Memory(shape=self._shape, depth=self._transfers, init=[])
            m.submodules[f"memory_{sequence}"] = memory
            write = memory.write_port(granularity=1)
            read = memory.read_port()
            m.d.comb += [
                write.addr.eq(self.write),
                write.en.eq(self.mask & into.replicate(self._lanes)),
                write.data.eq(self.given[sequence]),
                read.addr.eq(self.read),
                read.en.eq(self.enable),
                self.values[sequence].eq(read.data),
            ]
        return m
