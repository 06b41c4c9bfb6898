"""Partial results of all chips: added up or dealt together, as words, sums or a token."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Config, Target
from neardecode.decoder.chip_port import UnitSignature
from neardecode.decoder.layouts import TOKEN_BITS
from neardecode.vector.residual import AccumulatorWords, ResidualAdd

__all__ = ["Exchange", "ExchangeJob", "TransferWrite"]


class ExchangeJob(data.StructLayout):
    """What becomes of the partial results of the matrix in work.

    Fields:
        target: WORDS, RESIDUAL or TOKEN of `Target`.
        sequence: Whose.
        gathers: Transfer t is chip ``t % chips``'s; else every chip has a part of each.
        first: The first transfer of words.
        count: Transfers, at least 1; of a token one a chip.
    """

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        super().__init__(
            {
                "target": Target,
                "sequence": unsigned(ceil_log2(decoder.sequences)),
                "gathers": 1,
                "first": unsigned(ceil_log2(decoder.transfers)),
                "count": unsigned(ceil_log2(decoder.transfers + 1)),
            }
        )


class TransferWrite(data.StructLayout):
    """Neighbouring words and where they go.

    Fields:
        transfer: Their place.
        values: ``lanes`` words.
    """

    def __init__(self, config: Config, words: int):
        decoder = config.decoder
        assert decoder is not None
        super().__init__(
            {
                "transfer": unsigned(max(1, exact_log2(words // decoder.lanes))),
                "values": data.ArrayLayout(config.vector.word_bits, decoder.lanes),
            }
        )


class Exchange(wiring.Component):
    """Sends partial results as they are gathered, and writes what comes back.

    Of a matrix whose rows are dealt to the chips every chip gives its transfers and zeros for the
    others'; of one whose columns are, every chip gives a part of every sum. A token is found by
    giving each chip's largest result and its token; of equal ones the least token wins.

    Latency: a word or sum is written 2 cycles after its transfer came. Rate: a transfer a cycle.

    Parameters:
        config: A configuration with a decoder.

    Members:
        number: In. The chip's, from 0.
        jobs: In(stream of `ExchangeJob`). Taken when all of the last one is written.
        waits: In(1). Messages of heads are not done; those that were to come when a job began go
            before its own.
        gathering: In(1). Results are still to come.
        gathered: In. Transfers of partials before this one are there.
        read: Out. A transfer of partials.
        reads: Out(1). It is read.
        partials: In(``lanes`` accumulators). What was read, a cycle later, until the next read.
        sequence: Out. Whose partials, words, sums and token they are.
        largest, element: In. The sequence's largest result on this chip, and which it is.
        residual_read: Out. A transfer of the residual stream.
        residual_reads: Out(1). It is read.
        residual: In(``lanes`` words). As ``partials``.
        words, sums: Out(stream of `TransferWrite`). Always taken.
        written: Out. Transfers of words before this one are there.
        tokens: Out. The largest results', of all chips, a sequence each.
        unit: Out(`UnitSignature`).
        busy: Out(1). A job is not done.
        saturated: Out(1). A word was clamped in this cycle.
    """

    number: Signal
    jobs: stream.Interface
    waits: Signal
    gathering: Signal
    gathered: Signal
    read: Signal
    reads: Signal
    partials: data.View
    sequence: Signal
    largest: Signal
    element: Signal
    residual_read: Signal
    residual_reads: Signal
    residual: data.View
    words: stream.Interface
    sums: stream.Interface
    written: Signal
    tokens: data.View
    unit: Any
    busy: Signal
    saturated: Signal

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        self._config, self._decoder = config, decoder
        lanes, bits = decoder.lanes, config.compute.accumulator_bits
        transfers = decoder.transfers
        super().__init__(
            {
                "number": In(range(config.chips)),
                "jobs": In(stream.Signature(ExchangeJob(config))),
                "waits": In(1),
                "gathering": In(1),
                "gathered": In(range(transfers + 1)),
                "read": Out(range(decoder.partials // lanes)),
                "reads": Out(1),
                "partials": In(data.ArrayLayout(bits, lanes)),
                "sequence": Out(range(decoder.sequences)),
                "largest": In(signed(bits)),
                "element": In(TOKEN_BITS),
                "residual_read": Out(range(decoder.width // lanes)),
                "residual_reads": Out(1),
                "residual": In(data.ArrayLayout(config.vector.word_bits, lanes)),
                "words": Out(
                    stream.Signature(TransferWrite(config, decoder.words), always_ready=True)
                ),
                "sums": Out(
                    stream.Signature(TransferWrite(config, decoder.width), always_ready=True)
                ),
                "written": Out(range(transfers + 1)),
                "tokens": Out(data.ArrayLayout(TOKEN_BITS, decoder.sequences)),
                "unit": Out(UnitSignature(config)),
                "busy": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A job; what is sent, what comes back."""
        m = Module()
        job = Signal(ExchangeJob(self._config))
        begins, ends = Signal(), Signal()
        m.d.comb += [
            self.jobs.ready.eq(~self.busy),
            begins.eq(self.jobs.valid & self.jobs.ready),
            self.sequence.eq(job.sequence),
        ]
        with m.If(begins):
            m.d.sync += [job.eq(self.jobs.payload), self.busy.eq(1)]
        with m.Elif(ends):
            m.d.sync += self.busy.eq(0)
        self._send(m, job, begins)
        self._receive(m, job, begins, ends)
        return m

    def _send(self, m: Module, job, begins) -> None:
        """Transfers in order, each as soon as it is there."""
        config, unit = self._config, self.unit
        lanes, bits = self._decoder.lanes, config.compute.accumulator_bits
        place, local = Signal.like(job.count), Signal.like(job.count)
        turn = Signal(range(config.chips))
        mine, there, sending, begun = Signal(), Signal(), Signal(), Signal()
        held, held_given, advance = Signal(), Signal(), Signal()
        behind = Signal()
        m.d.sync += behind.eq(self.waits & (behind | begins))
        is_token = job.target == Target.TOKEN
        m.d.comb += [
            mine.eq(turn == self.number),
            there.eq(
                Mux(
                    is_token,
                    ~self.gathering,
                    Mux(job.gathers, ~mine | (local < self.gathered), place < self.gathered),
                )
            ),
            unit.lengths.valid.eq(sending & ~begun & there & ~behind),
            unit.lengths.payload.eq(job.count),
            advance.eq(~held | unit.contributions.ready),
            self.reads.eq(sending & begun & there & advance),
            self.read.eq(Mux(job.gathers, local, place)),
            unit.contributions.valid.eq(held),
        ]
        with m.If(unit.lengths.valid & unit.lengths.ready):
            m.d.sync += begun.eq(1)
        with m.If(advance):
            m.d.sync += [held.eq(self.reads), held_given.eq(mine | ~(job.gathers | is_token))]
        wraps = turn == config.chips - 1
        with m.If(self.reads):
            m.d.sync += [
                place.eq(place + 1),
                turn.eq(Mux(wraps, 0, turn + 1)),
                local.eq(local + wraps),
                sending.eq(place + 1 != job.count),
            ]
        with m.If(begins):
            m.d.sync += [
                *(place.eq(0), local.eq(0), turn.eq(0)),
                *(sending.eq(1), begun.eq(0)),
            ]
        # Of its rows a chip counts its own: element e of all is in the transfer that is dealt so.
        inside = exact_log2(lanes)
        token = Signal(TOKEN_BITS)
        m.d.comb += token.eq(
            Cat(
                self.element[:inside],
                (self.element >> inside) * config.chips + self.number,
            )
        )
        given = unit.contributions.payload
        for lane in range(lanes):
            result = {0: self.largest, 1: token}.get(lane, 0)
            m.d.comb += given.word_select(lane, bits).eq(
                Mux(held_given, Mux(is_token, result, self.partials[lane]), 0)
            )

    def _receive(self, m: Module, job, begins, ends) -> None:
        """Rounded to words, added to the residual stream, or compared."""
        config, unit = self._config, self.unit
        lanes, bits = self._decoder.lanes, config.compute.accumulator_bits
        rounder, adder = AccumulatorWords(config, lanes), ResidualAdd(config, lanes)
        m.submodules.rounder, m.submodules.adder = rounder, adder
        taken, held = Signal(), Signal()
        place, done = Signal.like(job.count), Signal.like(job.count)
        value = Signal(data.ArrayLayout(signed(bits), lanes))
        adds, words = job.target == Target.RESIDUAL, job.target == Target.WORDS
        compares = job.target == Target.TOKEN
        writes = rounder.o.valid | adder.o.valid | (held & compares)
        m.d.comb += [
            unit.results.ready.eq(1),
            taken.eq(unit.results.valid),
            self.residual_read.eq(place),
            self.residual_reads.eq(taken & adds),
            rounder.i.valid.eq(held & words),
            adder.i.valid.eq(held & adds),
            rounder.o.ready.eq(1),
            adder.o.ready.eq(1),
            self.words.valid.eq(rounder.o.valid),
            self.words.payload.transfer.eq(job.first + done),
            self.sums.valid.eq(adder.o.valid),
            self.sums.payload.transfer.eq(done),
            self.written.eq(Mux(words, job.first + done, self._decoder.transfers)),
            ends.eq(writes & (done + 1 == job.count)),
            self.saturated.eq(
                (rounder.o.valid & rounder.o.payload.saturated.any())
                | (adder.o.valid & adder.o.payload.saturated.any())
            ),
        ]
        m.d.sync += held.eq(taken)
        with m.If(taken):
            m.d.sync += [value.eq(unit.results.payload), place.eq(place + 1)]
        with m.If(writes):
            m.d.sync += done.eq(done + 1)
        with m.If(begins):
            m.d.sync += [place.eq(0), done.eq(0)]
        for lane in range(lanes):
            m.d.comb += [
                rounder.i.payload.values[lane].eq(value[lane]),
                adder.i.payload.accumulators[lane].eq(value[lane]),
                adder.i.payload.residual[lane].eq(self.residual[lane].as_signed()),
                self.words.payload.values[lane].eq(rounder.o.payload.values[lane]),
                self.sums.payload.values[lane].eq(adder.o.payload.values[lane]),
            ]
        largest = Signal(signed(bits))
        token, found = value[1].as_unsigned()[:TOKEN_BITS], self.tokens[job.sequence]
        better = (done == 0) | (value[0] > largest) | ((value[0] == largest) & (token < found))
        with m.If(held & compares & better):
            m.d.sync += [largest.eq(value[0]), found.eq(token)]
