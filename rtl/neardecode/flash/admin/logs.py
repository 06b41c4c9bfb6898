"""What Get Log Page reads: the smart log and the error log.

Source: OCP HBF v0.7.0, section 5.2.4.4; it leaves the layouts to the product.
"""

import enum

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.admin.register_map import ERROR_ENTRIES, SMART_BYTES

__all__ = [
    "ErrorEntry",
    "ErrorEvent",
    "ErrorKind",
    "ErrorLog",
    "SmartEvent",
    "SmartLog",
    "SmartState",
]

COUNT_BITS = 48
NUMBER_BITS = 32


class SmartEvent(enum.Enum):
    """What the smart log counts; the place of a count in the log is its value."""

    CORRECTED_CODEWORDS = 0
    UNCORRECTABLE_CODEWORDS = 1
    CORRECTED_BITS = 2
    RETRIES = 3
    PROGRAM_FAILURES = 4
    ERASE_FAILURES = 5
    BLOCKS_REPLACED = 6
    BLOCKS_RETIRED = 7
    SENSES = 8
    PROGRAMS = 9
    ERASES = 10
    REPAIRED_LANES = 11


class ErrorKind(enum.Enum):
    """What an error was about."""

    NONE = 0
    READ = 1
    WRITE = 2
    PROGRAM = 3
    ERASE = 4
    LANES = 5
    THERMAL = 6


class SmartState(data.StructLayout):
    """What the smart log tells beside its counts.

    Fields:
        maximum_erases, average_erases: Of the blocks.
        errors: Errors logged since reset; wraps.
        fatal, light, cattrip, reduced: As in ``BUCSTS``, ``TMON`` and ``REDCAP``.
    """

    def __init__(self):
        super().__init__(
            {
                "maximum_erases": unsigned(32),
                "average_erases": unsigned(32),
                "errors": unsigned(NUMBER_BITS),
                "fatal": unsigned(1),
                "light": unsigned(1),
                "cattrip": unsigned(1),
                "reduced": unsigned(1),
            }
        )


class SmartLog(wiring.Component):
    """The smart log, a beat at a time: 64-bit words, lowest first, zeros behind the last.

    A word a count, as `SmartEvent` numbers them; then one of `SmartState`'s erases and one of the
    rest of it. Latency none.

    Parameters:
        beat_bytes: Bytes of a beat.

    Members:
        counts: In(data.ArrayLayout(48, 12)). By `SmartEvent`.
        state: In(`SmartState`).
        index: In. Which beat.
        beat: Out(8 * beat_bytes).
    """

    counts: data.View
    state: data.View
    index: Signal
    beat: Signal

    def __init__(self, beat_bytes: int):
        self._beats = -(-SMART_BYTES // beat_bytes)
        super().__init__(
            {
                "counts": In(data.ArrayLayout(COUNT_BITS, len(SmartEvent))),
                "state": In(SmartState()),
                "index": In(ceil_log2(self._beats)),
                "beat": Out(8 * beat_bytes),
            }
        )

    @property
    def beats(self) -> int:
        """Beats of the log."""
        return self._beats

    def elaborate(self, platform) -> Module:
        """Words in their places, and a choice of one beat."""
        m = Module()
        state = self.state
        words: list[Value] = [
            Cat(self.counts[event.value], Const(0, 64 - COUNT_BITS)) for event in SmartEvent
        ]
        words.append(Cat(state.maximum_erases, state.average_erases))
        words.append(Cat(state.errors, state.fatal, state.light, state.cattrip, state.reduced))
        log = Cat(*words)
        bits = len(self.beat)
        beats = [log[bits * index : bits * (index + 1)] for index in range(self._beats)]
        m.d.comb += self.beat.eq(Array(beats)[self.index])
        return m


class ErrorEvent(data.StructLayout):
    """An error to be logged.

    Fields:
        en: There is one in this cycle.
        kind: As `ErrorKind`.
        status, info: What the host was told.
        address: The page, in the channel.
    """

    def __init__(self, config: Flash):
        super().__init__({"en": unsigned(1), **_record(config)})


class ErrorEntry(data.StructLayout):
    """An entry of the error log, as the host reads it; its size is 128 bits.

    Fields:
        number: Its running number since reset, from 1; 0 if there is no such entry.
        kind, status, info, address: Of the error.
    """

    def __init__(self, config: Flash):
        record = _record(config)
        del record["address"]
        used = NUMBER_BITS + sum(shape.width for shape in record.values())
        super().__init__(
            {
                "number": unsigned(NUMBER_BITS),
                **record,
                "zero": unsigned(64 - used),
                "address": unsigned(64),
            }
        )


class ErrorLog(wiring.Component):
    """The last errors, newest first.

    Reading works on a snapshot: what is logged afterwards moves nothing, but an entry that it
    overwrites is gone, and reads as zeros.

    Latency: an entry one cycle after its ``index``. Rate: two errors and one entry a cycle.

    Parameters:
        config: The flash section of a configuration.

    Members:
        errors: In(`ErrorEvent`), two. Of two in a cycle the first one is the older.
        number: Out(32). Errors logged since reset; wraps.
        entries: Out(range(17)). Entries there are.
        take: In(1). The snapshot is of this cycle, without its errors.
        index: In(range(16)). Which entry of the snapshot, 0 for the newest.
        entry: Out(`ErrorEntry`).
    """

    errors: list[data.View]
    number: Signal
    entries: Signal
    take: Signal
    index: Signal
    entry: data.View

    def __init__(self, config: Flash):
        self._config = config
        super().__init__(
            {
                "errors": In(ErrorEvent(config)).array(2),
                "number": Out(NUMBER_BITS),
                "entries": Out(range(ERROR_ENTRIES + 1)),
                "take": In(1),
                "index": In(range(ERROR_ENTRIES)),
                "entry": Out(ErrorEntry(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A ring in two halves, by the lowest bit of an error's number."""
        m = Module()
        place = ceil_log2(ERROR_ENTRIES)
        first, second = self.errors
        count = first.en + second.en
        odd = self.number[0]
        ports = []
        for half in range(2):
            m.submodules[f"ring_{half}"] = ring = Memory(
                shape=data.StructLayout(_record(self._config)), depth=ERROR_ENTRIES // 2, init=[]
            )
            write, read = ring.write_port(), ring.read_port()
            ports.append(read)
            # The older error's number decides its half; the younger one's is the other.
            older = odd == half
            m.d.comb += [
                write.en.eq(Mux(older, first.en | second.en, first.en & second.en)),
                write.addr.eq((self.number + ~older)[1:place]),
            ]
            for name in ("kind", "status", "info", "address"):
                m.d.comb += write.data[name].eq(Mux(older & first.en, first[name], second[name]))
        entries = self.entries + count
        m.d.sync += [
            self.number.eq(self.number + count),
            self.entries.eq(Mux(entries > ERROR_ENTRIES, ERROR_ENTRIES, entries)),
        ]

        newest = Signal(NUMBER_BITS, reset_less=True)
        kept = Signal.like(self.entries)
        since = Signal(range(ERROR_ENTRIES + 1))
        with m.If(self.take):
            m.d.sync += [
                newest.eq(self.number),
                kept.eq(self.entries),
                since.eq(count),
            ]
        with m.Else():
            m.d.sync += since.eq(Mux(since + count > ERROR_ENTRIES, ERROR_ENTRIES, since + count))

        present = Signal()
        half = Signal()
        number = Signal(NUMBER_BITS)
        wanted = Signal(place)
        m.d.comb += [
            wanted.eq(newest - 1 - self.index),
            *(read.addr.eq(wanted[1:]) for read in ports),
        ]
        m.d.sync += [
            half.eq(wanted[0]),
            present.eq((self.index < kept) & (self.index + since < ERROR_ENTRIES)),
            number.eq(newest - self.index),
        ]
        with m.If(present):
            m.d.comb += self.entry.number.eq(number)
            for name in ("kind", "status", "info", "address"):
                m.d.comb += self.entry[name].eq(Mux(half, ports[1].data[name], ports[0].data[name]))

        return m


def _record(config: Flash) -> dict:
    return {
        "kind": unsigned(4),
        "status": unsigned(4),
        "info": unsigned(3),
        "address": unsigned(ceil_log2(config.pages)),
    }
