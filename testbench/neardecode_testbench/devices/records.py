"""What core dies remember of each of their NAND blocks: what is programmed, and its history."""

from enum import IntFlag

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import Operation, OperationEnd, Sense
from neardecode_testbench.devices.faults import Contents
from neardecode_testbench.devices.storage import StorageInterface, StoragePort

__all__ = [
    "AGE_SHIFT",
    "RECORD_TYPE",
    "BlockRecord",
    "BlockRecords",
    "EndedOperation",
    "RecordFlag",
    "SensedPage",
    "new_records",
]

AGE_SHIFT = 16
"""Records count time in units of ``2**AGE_SHIFT`` cycles."""
MOST_COUNTED = (1 << 32) - 1


class RecordFlag(IntFlag):
    """What is unfinished in a block."""

    TORN = 1
    """Its page ``programmed`` is being programmed, or a program of it failed: it is garbage."""
    UNERASED = 2
    """It is being erased, or an erase failed: all its pages are garbage."""


class BlockRecord(data.StructLayout):
    """The record of one block.

    Fields:
        programmed: Pages that were programmed; those from here on read as erased.
        erases: How often an erase was begun.
        reads: Senses since then.
        time: When the last erase ended, in units of ``2**AGE_SHIFT`` cycles since reset.
        flags: `RecordFlag`, in any combination.
    """

    def __init__(self):
        super().__init__(
            {
                "programmed": unsigned(16),
                "erases": unsigned(32),
                "reads": unsigned(32),
                "time": unsigned(32),
                "flags": unsigned(16),
            }
        )


RECORD_TYPE = np.dtype(
    [
        ("programmed", "<u2"),
        ("erases", "<u4"),
        ("reads", "<u4"),
        ("time", "<u4"),
        ("flags", "<u2"),
    ]
)
"""A `BlockRecord` in memory: 16 bytes."""


def new_records(config: Flash, programmed: int | None = None) -> np.ndarray:
    """Records of a channel's blocks, to be served as a device's ``records``.

    Args:
        config: The flash section, with ``host``.
        programmed: Pages that are programmed in every block; None for all of them.

    Returns:
        (blocks of a bank, banks), of `RECORD_TYPE`, without any history.

    Raises:
        ValueError: if ``programmed`` is more than a block's pages.
    """
    if config.host is None:
        raise ValueError("host is missing: without it the dies keep no records")
    pages = config.host.pages_a_block
    if programmed is None:
        programmed = pages
    if not 0 <= programmed <= pages:
        raise ValueError(f"programmed must be from 0 to {pages}, not {programmed!r}")
    records = np.zeros((config.rows // pages, config.banks), RECORD_TYPE)
    records["programmed"] = programmed
    return records


class EndedOperation(data.StructLayout):
    """An operation whose time is over.

    Fields:
        operation: Which.
        failed: It did not work.
    """

    def __init__(self, config: Flash):
        super().__init__({"operation": Operation(config.banks, config.rows), "failed": unsigned(1)})


class SensedPage(data.StructLayout):
    """A page that is being sensed, and what its block's record says of it.

    Fields:
        sense: The sense.
        contents: What the page reads as.
        erases, reads: Its block's, before this sense.
        age: Since its block's last erase, in units of ``2**AGE_SHIFT`` cycles.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "sense": Sense(config.banks, config.rows),
                "contents": Contents,
                "erases": unsigned(32),
                "reads": unsigned(32),
                "age": unsigned(32),
            }
        )


class _Change(enum.Enum, shape=2):
    SENSE = 0
    START = 1
    END = 2


class BlockRecords(wiring.Component):
    """Keeps the blocks' records up to date.

    Each change reads a record in the cycle in which it is taken and writes it back in the next,
    so one is taken every other cycle: senses first, then starts, then ends, so that an operation
    never ends before its start is recorded. The start of a program or an erase marks its page or
    block as garbage; only a good end takes the mark away.

    Parameters:
        config: The flash section, with ``host``.

    Members:
        senses: In(stream of `Sense`).
        starts: In(stream of `Operation`).
        ends: In(stream of `EndedOperation`).
        sensed: Out(1). A cycle after a sense was taken.
        page: Out(`SensedPage`). Its page.
        ended: Out(1). A cycle after an end was taken.
        end: Out(`OperationEnd`). How its operation ended.
        violated: Out(1). A cycle after the start of a program was taken that is not of the next
            page of an erased block.
        port: Out(`StoragePort`, writable). Block ``row // pages_a_block * banks + bank``.
    """

    senses: stream.Interface
    starts: stream.Interface
    ends: stream.Interface
    sensed: Signal
    page: data.View
    ended: Signal
    end: data.View
    violated: Signal
    port: StorageInterface

    def __init__(self, config: Flash):
        if config.host is None:
            raise ValueError("host is missing: without it there are no records")
        if config.host.pages_a_block > 0xFFFF:
            raise ValueError(
                f"pages_a_block must be at most {0xFFFF}, not {config.host.pages_a_block}"
            )
        self._config = config
        self._page_bits = ceil_log2(config.host.pages_a_block)
        super().__init__(
            {
                "senses": In(stream.Signature(Sense(config.banks, config.rows))),
                "starts": In(stream.Signature(Operation(config.banks, config.rows))),
                "ends": In(stream.Signature(EndedOperation(config))),
                "sensed": Out(1),
                "page": Out(SensedPage(config)),
                "ended": Out(1),
                "end": Out(OperationEnd(config.banks)),
                "violated": Out(1),
                "port": Out(self.port_signature(config)),
            }
        )

    @staticmethod
    def port_signature(config: Flash) -> StoragePort:
        """The port behind which the records lie."""
        blocks = config.banks * config.rows // (config.host.pages_a_block if config.host else 1)
        return StoragePort(ceil_log2(blocks), RECORD_TYPE.itemsize, writable=True)

    def elaborate(self, platform) -> Module:
        """Read, change, write."""
        m = Module()
        config = self._config
        clock = Signal(AGE_SHIFT + 32)
        m.d.sync += clock.eq(clock + 1)

        writing = Signal()
        change = Signal(_Change)
        sense_layout, ended_layout = Sense(config.banks, config.rows), EndedOperation(config)
        sense = data.View(sense_layout, Signal(sense_layout.size, name="sense"))
        ended = data.View(ended_layout, Signal(ended_layout.size, name="ended_operation"))
        m.d.comb += [
            self.senses.ready.eq(~writing),
            self.starts.ready.eq(~writing & ~self.senses.valid),
            self.ends.ready.eq(~writing & ~self.senses.valid & ~self.starts.valid),
        ]
        with m.If(writing):
            m.d.sync += writing.eq(0)
        with m.Elif(self.senses.valid):
            m.d.sync += [writing.eq(1), change.eq(_Change.SENSE), sense.eq(self.senses.payload)]
        with m.Elif(self.starts.valid):
            m.d.sync += [
                writing.eq(1),
                change.eq(_Change.START),
                ended.operation.eq(self.starts.payload),
            ]
        with m.Elif(self.ends.valid):
            m.d.sync += [writing.eq(1), change.eq(_Change.END), ended.eq(self.ends.payload)]

        block = Signal(len(self.port.address))
        with m.If(writing):
            m.d.comb += block.eq(
                Mux(
                    change == _Change.SENSE,
                    self._block(sense),
                    self._block(ended.operation),
                )
            )
        with m.Elif(self.senses.valid):
            m.d.comb += block.eq(self._block(self.senses.payload))
        with m.Elif(self.starts.valid):
            m.d.comb += block.eq(self._block(self.starts.payload))
        with m.Elif(self.ends.valid):
            m.d.comb += block.eq(self._block(self.ends.payload.operation))
        layout = BlockRecord()
        record = data.View(layout, self.port.data)
        changed = data.View(layout, Signal(layout.size, name="changed"))
        m.d.comb += [
            self.port.valid.eq(writing | self.senses.valid | self.starts.valid | self.ends.valid),
            self.port.address.eq(block),
            self.port.write.eq(writing),
            self.port.write_data.eq(changed),
            changed.eq(record),
            self.page.sense.eq(sense),
            self.page.erases.eq(record.erases),
            self.page.reads.eq(record.reads),
            self.page.age.eq(clock[AGE_SHIFT:] - record.time),
            self.end.bank.eq(ended.operation.bank),
            self.end.failed.eq(ended.failed),
        ]

        torn = (record.flags & RecordFlag.TORN).any()
        unerased = (record.flags & RecordFlag.UNERASED).any()
        sensed_page = sense.row[: self._page_bits]
        programmed_page = ended.operation.row[: self._page_bits]
        with m.If(unerased | (torn & (sensed_page == record.programmed))):
            m.d.comb += self.page.contents.eq(Contents.GARBAGE)
        with m.Elif(sensed_page >= record.programmed):
            m.d.comb += self.page.contents.eq(Contents.ERASED)
        with m.If(writing), m.Switch(change):
            with m.Case(_Change.SENSE):
                m.d.comb += self.sensed.eq(1)
                with m.If(record.reads != MOST_COUNTED):
                    m.d.comb += changed.reads.eq(record.reads + 1)
            with m.Case(_Change.START):
                with m.If(ended.operation.erase):
                    m.d.comb += [
                        changed.programmed.eq(0),
                        changed.reads.eq(0),
                        changed.flags.eq(RecordFlag.UNERASED),
                    ]
                    with m.If(record.erases != MOST_COUNTED):
                        m.d.comb += changed.erases.eq(record.erases + 1)
                with m.Else():
                    m.d.comb += [
                        changed.flags.eq(record.flags | RecordFlag.TORN),
                        self.violated.eq(
                            record.flags.any() | (record.programmed != programmed_page)
                        ),
                    ]
            with m.Case(_Change.END):
                m.d.comb += self.ended.eq(1)
                with m.If(~ended.failed):
                    m.d.comb += changed.flags.eq(0)
                    with m.If(ended.operation.erase):
                        m.d.comb += changed.time.eq(clock[AGE_SHIFT:])
                    with m.Else():
                        m.d.comb += changed.programmed.eq(programmed_page + 1)
        return m

    def _block(self, place):
        return Cat(place.bank, place.row[self._page_bits :])
