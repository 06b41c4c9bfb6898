"""Takes the data of writes into the units, and gives the answers of their commands."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.axi import AxiWriteBeat
from neardecode.flash.sections import host_of
from neardecode.flash.status import WriteStatus
from neardecode.flash.write.buffers import UnitWrite
from neardecode.flash.write.gathering import Accepted, Answered, Gathering, GatheringInterface
from neardecode.flash.write.ports import WriteEnd
from neardecode.flash.write.units import beat_mask
from neardecode.lib.fifo import StreamFIFO

__all__ = [
    "COMMANDS_AHEAD",
    "Gatherer",
]

COMMANDS_AHEAD = 8
"""Commands that may wait for their data."""


class Gatherer(wiring.Component):
    """Keeps, for each unit, which beats were promised, which came, and the commands they came with.

    The commands of a unit are a chain of entries, in the order in which their data was complete.
    A beat with a wrong ``last`` and all beats after it are dropped, and their command is answered
    `WriteStatus.INVALID_USER` at once; so its page is never complete.

    Latency: a beat is in its buffer one cycle after it was taken; an answer is offered two cycles
    after the last beat of a command that does not join. Rate: one beat a cycle, with a gap of one
    cycle after a command, of more while answers are held back; one answer a cycle.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        control: In(`Gathering`).
        data: In(stream of `AxiWriteBeat`). The data of the commands, in their order.
        write: Out(`UnitWrite`).
        probe_unit, probe_first, probe_beats: In. Beats of a unit.
        pending: Out(1). One of them has not come; a path from them.
        ends: Out(stream of `WriteEnd`).
    """

    control: GatheringInterface
    data: stream.Interface
    write: View
    probe_unit: Signal
    probe_first: Signal
    probe_beats: Signal
    pending: Signal
    ends: stream.Interface

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        super().__init__(
            {
                "control": In(Gathering(config)),
                "data": In(stream.Signature(AxiWriteBeat(config.beat_bytes))),
                "write": Out(UnitWrite(config)),
                "probe_unit": In(exact_log2(host.units)),
                "probe_first": In(ceil_log2(config.page_beats)),
                "probe_beats": In(ceil_log2(config.page_beats + 1)),
                "pending": Out(1),
                "ends": Out(stream.Signature(WriteEnd(host.writes))),
            }
        )

    def elaborate(self, platform) -> Module:
        """Promises, arrivals, chains."""
        m = Module()
        control = self.control
        units, page_beats = self._host.units, self._config.page_beats
        one = Const(1, units)
        mark = one << control.unit
        opened = control.accept & control.accepted.opens
        joined = control.accept & control.accepted.joins

        m.submodules.promised = promised = Memory(shape=page_beats, depth=units, init=[])
        promise, promises = promised.write_port(), promised.read_port(domain="comb")
        wanted = Signal(page_beats)
        m.d.comb += [
            wanted.eq(beat_mask(page_beats, control.first, control.beats)),
            promises.addr.eq(control.unit),
            control.overlap.eq((promises.data & wanted).any()),
            promise.addr.eq(control.unit),
            promise.data.eq(wanted | Mux(control.accepted.opens, 0, promises.data)),
            promise.en.eq(joined),
        ]

        # Commands whose data has not come.
        command = StructLayout(
            {
                "accepted": Accepted(self._config),
                "unit": control.unit.shape(),
                "first": control.first.shape(),
                "beats": control.beats.shape(),
            }
        )
        m.submodules.commands = commands = StreamFIFO(command, COMMANDS_AHEAD)
        head = commands.o.payload
        m.d.comb += [
            control.room.eq(commands.i.ready),
            commands.i.valid.eq(control.accept),
            commands.i.payload.accepted.eq(control.accepted),
            commands.i.payload.unit.eq(control.unit),
            commands.i.payload.first.eq(control.first),
            commands.i.payload.beats.eq(control.beats),
        ]

        # One whose data has come, until it is chained or answered.
        done = Signal()
        done_wrong = Signal()
        done_unit = Signal.like(control.unit)
        done_command = Signal(Accepted(self._config))

        m.submodules.arrived = arrived = Memory(shape=page_beats, depth=units, init=[])
        arrive, arrivals = arrived.write_port(), arrived.read_port(domain="comb")
        probed = arrived.read_port(domain="comb")
        touched = Signal(units)
        index = Signal(range(page_beats + 1))
        wrong = Signal()
        wrong_now = Signal()
        taken = Signal()
        arriving = Signal(units)
        beat = self.data.payload
        m.d.comb += [
            self.data.ready.eq(commands.o.valid & ~done),
            taken.eq(self.data.valid & self.data.ready),
            commands.o.ready.eq(taken & beat.last),
            wrong_now.eq(wrong | (beat.last != (index + 1 == head.beats))),
            self.write.en.eq(taken & head.accepted.joins & ~wrong_now),
            self.write.unit.eq(head.unit),
            self.write.beat.eq(head.first + index),
            self.write.data.eq(beat.data),
            arriving.eq(Mux(self.write.en, one << head.unit, 0)),
            arrivals.addr.eq(head.unit),
            arrive.addr.eq(head.unit),
            arrive.data.eq(
                Mux((touched & (one << head.unit)).any(), arrivals.data, 0)
                | (Const(1, page_beats) << self.write.beat)
            ),
            arrive.en.eq(self.write.en),
            probed.addr.eq(self.probe_unit),
            self.pending.eq(
                (
                    ~Mux((touched & (one << self.probe_unit)).any(), probed.data, 0)
                    & beat_mask(page_beats, self.probe_first, self.probe_beats)
                ).any()
            ),
        ]
        fresh = Mux(opened, mark, 0)
        m.d.sync += [
            touched.eq((touched | arriving) & ~fresh),
            control.complete.eq((control.complete | Mux(arrive.data.all(), arriving, 0)) & ~fresh),
        ]
        with m.If(taken):
            m.d.sync += [
                index.eq(Mux(beat.last, 0, index + ~wrong_now)),
                wrong.eq(wrong_now & ~beat.last),
                done.eq(beat.last),
                done_wrong.eq(wrong_now),
                done_unit.eq(head.unit),
                done_command.eq(head.accepted),
            ]

        # Commands of a unit that were not answered or chained.
        waiting = [Signal(range(COMMANDS_AHEAD + 2), name=f"waiting_{n}") for n in range(units)]
        finished = Signal()
        finished_units = Signal(units)
        m.d.comb += finished_units.eq(Mux(finished & done_command.joins, one << done_unit, 0))
        for unit, count in enumerate(waiting):
            m.d.sync += count.eq(count + (joined & mark[unit]) - finished_units[unit])
            m.d.comb += control.settled[unit].eq((count == 0) & ~control.listed[unit])
        with m.If(finished):
            m.d.sync += done.eq(0)

        self._add_answers(m, done, done_wrong, done_unit, done_command, finished)
        return m

    def _add_answers(self, m: Module, done, done_wrong, done_unit, done_command, finished) -> None:
        """The chains, written by commands whose data has come, and the answers."""
        host, control = self._host, self.control
        one = Const(1, host.units)
        entry = unsigned(exact_log2(host.writes))
        m.submodules.heads = heads = Memory(shape=entry, depth=host.units, init=[])
        m.submodules.tails = tails = Memory(shape=entry, depth=host.units, init=[])
        m.submodules.nexts = nexts = Memory(shape=entry, depth=host.writes, init=[])
        head_write, head_read = heads.write_port(), heads.read_port(domain="comb")
        tail_write, tail_read = tails.write_port(), tails.read_port(domain="comb")
        tail_then = tails.read_port(domain="comb")
        next_write, next_read = nexts.write_port(), nexts.read_port(domain="comb")

        answer = Signal(Answered(self._config))
        chained = Signal()
        refused = Signal()
        popped = Signal()
        last = Signal()
        free = Signal()
        done_mark = one << done_unit
        followed = (control.listed & done_mark).any()
        m.d.comb += [
            free.eq(~self.ends.valid | self.ends.ready),
            chained.eq(done & done_command.joins & ~done_wrong),
            refused.eq(done & ~chained & free),
            finished.eq(chained | refused),
            # A chain has one writer at a time.
            popped.eq(answer.en & ~done & free),
            control.answering.eq(answer.en),
            tail_then.addr.eq(done_unit),
            tail_write.addr.eq(done_unit),
            tail_write.data.eq(done_command.entry),
            tail_write.en.eq(chained),
            next_write.addr.eq(tail_then.data),
            next_write.data.eq(done_command.entry),
            next_write.en.eq(chained & followed),
            head_read.addr.eq(answer.unit),
            tail_read.addr.eq(answer.unit),
            next_read.addr.eq(head_read.data),
            last.eq(head_read.data == tail_read.data),
            head_write.addr.eq(Mux(done, done_unit, answer.unit)),
            head_write.data.eq(Mux(done, done_command.entry, next_read.data)),
            head_write.en.eq(
                Mux(done, chained & ~(control.listed & done_mark).any(), popped & ~last)
            ),
        ]
        m.d.sync += control.listed.eq(
            (control.listed | Mux(chained, done_mark, 0))
            & ~Mux(popped & last, one << answer.unit, 0)
        )
        with m.If(control.answer.en):
            m.d.sync += answer.eq(control.answer)
        with m.Elif(popped & last):
            m.d.sync += answer.en.eq(0)
        end = self.ends.payload
        with m.If(free):
            m.d.sync += self.ends.valid.eq(refused | popped)
        with m.If(refused):
            m.d.sync += [
                end.entry.eq(done_command.entry),
                end.status.eq(
                    Mux(
                        done_command.joins,
                        WriteStatus.INVALID_USER.value,
                        done_command.status,
                    )
                ),
                end.info.eq(Mux(done_command.joins, 0, done_command.info)),
            ]
        with m.If(popped):
            m.d.sync += [
                end.entry.eq(head_read.data),
                end.status.eq(answer.status),
                end.info.eq(answer.info),
            ]
