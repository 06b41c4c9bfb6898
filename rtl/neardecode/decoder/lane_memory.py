"""A memory of words that reads many at a time and writes one or many."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["LaneMemory"]


class LaneMemory(wiring.Component):
    """Transfers of ``lanes`` words; each word is written by itself.

    A read gives what was written before its cycle, one cycle later, until the next read.

    Parameters:
        bits: Of a word.
        words: How many, whole transfers.
        lanes: Words of a transfer.

    Members:
        read: In. A transfer.
        enable: In(1). Read it.
        values: Out(``lanes`` words). What was read.
        write: In. A transfer.
        mask: In(lanes). Which of its words are written.
        given: In(``lanes`` words). With what.
    """

    read: Signal
    enable: Signal
    values: data.View
    write: Signal
    mask: Signal
    given: data.View

    def __init__(self, bits: int, words: int, lanes: int):
        self._transfers = words // lanes
        self._shape = data.ArrayLayout(bits, lanes)
        address = ceil_log2(self._transfers)
        super().__init__(
            {
                "read": In(address),
                "enable": In(1),
                "values": Out(self._shape),
                "write": In(address),
                "mask": In(lanes),
                "given": In(self._shape),
            }
        )

    def elaborate(self, platform) -> Module:
        """One port of each kind."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._shape, depth=self._transfers, init=[])
        write = memory.write_port(granularity=1)
        read = memory.read_port()
        m.d.comb += [
            write.addr.eq(self.write),
            write.en.eq(self.mask),
            write.data.eq(self.given),
            read.addr.eq(self.read),
            read.en.eq(self.enable),
            self.values.eq(read.data),
        ]
        return m
