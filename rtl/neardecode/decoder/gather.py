"""Results of a matrix, from all channels, to where they go."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Config, Target
from neardecode.decoder.layouts import TOKEN_BITS, ChannelResult
from neardecode.lib.clock_gate import Gated
from neardecode.vector.residual import AccumulatorWords, ResidualAdd

__all__ = ["ElementWrite", "GatherJob", "ResultGather"]


class GatherJob(data.StructLayout):
    """The matrix whose results come next.

    Fields:
        target: A `Target`.
        rows: Rows in every channel.
        extra: Channels that have one more.
        first: Where they begin, in transfers.
    """

    def __init__(self, config: Config):
        assert config.decoder is not None
        transfers = config.decoder.transfers
        super().__init__(
            {
                "target": Target,
                "rows": unsigned(config.compute.row_bits + 1),
                "extra": unsigned(ceil_log2(config.flash.channels)),
                "first": unsigned(ceil_log2(transfers)),
            }
        )


class ElementWrite(data.StructLayout):
    """A word of each sequence and where they go.

    Fields:
        element: Their place.
        values: The words' bits.
    """

    def __init__(self, elements: int, bits: int, sequences: int):
        super().__init__(
            {
                "element": unsigned(ceil_log2(elements)),
                "values": data.ArrayLayout(bits, sequences),
            }
        )


class ResultGather(wiring.Component):
    """Takes the results of one matrix after another.

    Row r of channel c is element ``r * channels + c``, of every sequence. Words and sums are
    written ``latency`` cycles after their result was taken. Of equal largest results the first
    element wins.

    Rate: a row's results a cycle.

    Parameters:
        config: A configuration with a decoder.

    Members:
        jobs: In(stream of `GatherJob`). Taken when every result of the last one has been written.
        results: In(stream of `ChannelResult`). In order within a channel.
        words: Out(stream of `ElementWrite`). Always taken.
        partials: Out(stream of `ElementWrite`). Results as they are; always taken.
        sums: Out(stream of `ElementWrite`). To the residual stream; always taken.
        old: Out. The element of the residual streams whose values ``old_values`` shall be in the
            next cycle.
        old_values: In(array of word_bits). A sequence each.
        written: Out. Of the matrix in work, the transfers before this one hold their results.
        words_written: Out. The transfers of words before this one do, whichever matrix is in work.
        busy: Out(1). Results are still to come.
        adds: Out(1). They go to the residual stream.
        tokens, largest: Out. The last matrix's largest result's element, and that result, of each
            sequence.
        saturated: Out(1). A result was clamped in this cycle.
        error: Out(1). A result of a page that could not be read was taken.
    """

    latency = 2
    """Cycles from a result to its word or sum."""

    jobs: stream.Interface
    results: stream.Interface
    words: stream.Interface
    partials: stream.Interface
    sums: stream.Interface
    old: Signal
    old_values: data.View
    written: Signal
    words_written: Signal
    busy: Signal
    adds: Signal
    tokens: data.View
    largest: data.View
    saturated: Signal
    error: Signal

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        self._config, self._decoder = config, decoder
        bits = config.vector.word_bits
        transfers, every = decoder.transfers, decoder.sequences
        accumulator = config.compute.accumulator_bits
        super().__init__(
            {
                "jobs": In(stream.Signature(GatherJob(config))),
                "results": In(stream.Signature(ChannelResult(config))),
                "words": Out(
                    stream.Signature(ElementWrite(decoder.words, bits, every), always_ready=True)
                ),
                "partials": Out(
                    stream.Signature(
                        ElementWrite(decoder.partials, accumulator, every),
                        always_ready=True,
                    )
                ),
                "sums": Out(
                    stream.Signature(ElementWrite(decoder.width, bits, every), always_ready=True)
                ),
                "old": Out(range(decoder.width)),
                "old_values": In(data.ArrayLayout(bits, every)),
                "written": Out(range(transfers + 1)),
                "words_written": Out(range(transfers + 1)),
                "busy": Out(1),
                "adds": Out(1),
                "tokens": Out(data.ArrayLayout(TOKEN_BITS, every)),
                "largest": Out(data.ArrayLayout(signed(accumulator), every)),
                "saturated": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Take, look up, add, write; count what has been written."""
        m = Module()
        config, channels = self._config, self._config.flash.channels
        row_bits = config.compute.row_bits
        job = Signal(GatherJob(config))
        result = self.results.payload
        taken = Signal()
        element = Signal(row_bits + ceil_log2(channels) + 1)
        open_channels = Signal(channels)
        in_flight = Signal(range(self.latency + 1))
        m.d.comb += [
            self.results.ready.eq(open_channels.any()),
            taken.eq(self.results.valid & self.results.ready),
            element.eq(result.row * channels + result.channel),
            self.busy.eq(open_channels.any() | (in_flight != 0)),
            self.jobs.ready.eq(~self.busy),
            self.adds.eq(job.target == Target.RESIDUAL),
            self.error.eq(taken & result.error),
        ]
        begins = Signal()
        m.d.comb += begins.eq(self.jobs.valid & self.jobs.ready)
        with m.If(begins):
            m.d.sync += job.eq(self.jobs.payload)
        self._count(m, job, begins, taken, open_channels)
        self._write(m, job, taken, element, in_flight)
        self._largest(m, job, begins, taken, element)
        return m

    def _count(self, m: Module, job, begins, taken, open_channels) -> None:
        """Which channels still owe rows, and how far all of them have come."""
        config, channels = self._config, self._config.flash.channels
        result, offer = self.results.payload, self.jobs.payload
        counts = [
            Signal(config.compute.row_bits + 1, name=f"taken_{channel}")
            for channel in range(channels)
        ]
        for channel, count in enumerate(counts):
            more = Signal(name=f"more_{channel}")
            rows = Signal(config.compute.row_bits + 1, name=f"rows_{channel}")
            m.d.comb += [
                more.eq(offer.extra > channel),
                rows.eq(job.rows + (job.extra > channel)),
            ]
            with m.If(begins):
                m.d.sync += [
                    count.eq(0),
                    open_channels[channel].eq((offer.rows != 0) | more),
                ]
            with m.Elif(taken & (result.channel == channel)):
                m.d.sync += [count.eq(count + 1), open_channels[channel].eq(count + 1 != rows)]
        least = counts[0]
        for count in counts[1:]:
            least = Mux(count < least, count, least)
        # A cycle later than the counts, as their words are two: one more is kept back.
        behind = [Signal.like(counts[0], name=f"behind_{stage}") for stage in range(2)]
        every = Signal.like(self.written)
        m.d.sync += [behind[0].eq(Mux(begins, 0, least)), behind[1].eq(Mux(begins, 0, behind[0]))]
        elements = job.rows * channels + job.extra
        lanes = self._decoder.lanes
        m.d.comb += [
            every.eq((elements + lanes - 1) // lanes),
            self.written.eq(job.first + Mux(self.busy, behind[1] * channels // lanes, every)),
            # A matrix begins when the one before is written.
            self.words_written.eq(
                Mux(job.target == Target.WORDS, self.written, self._decoder.transfers)
            ),
        ]

    def _write(self, m: Module, job, taken, element, in_flight) -> None:
        """Rounded to words, or added to the residual streams."""
        config, result = self._config, self.results.payload
        looked, kept = Signal(), Signal()
        values, kept_values = Signal.like(result.values), Signal.like(result.values)
        keeps = job.target == Target.PARTIAL
        places = [Signal.like(element, name=f"place_{stage}") for stage in range(self.latency)]
        moves = taken & (job.target != Target.TOKEN)
        m.d.sync += [
            looked.eq(moves),
            values.eq(result.values),
            kept.eq(looked & keeps),
            kept_values.eq(values),
            places[0].eq(element),
            places[1].eq(places[0]),
        ]
        m.d.comb += [
            self.old.eq(element),
            self.words.payload.element.eq(places[1] + job.first * self._decoder.lanes),
            self.partials.valid.eq(kept),
            self.partials.payload.element.eq(places[1]),
            self.partials.payload.values.eq(kept_values),
            self.sums.payload.element.eq(places[1]),
        ]
        clamped = [taken & result.saturated.any()]
        for each, value in enumerate(values):
            rounder, adder = AccumulatorWords(config), ResidualAdd(config)
            m.submodules[f"rounder_{each}"] = Gated(rounder)
            m.submodules[f"adder_{each}"] = Gated(adder)
            m.d.comb += [
                rounder.i.valid.eq(looked & ~self.adds & ~keeps),
                rounder.i.payload.values[0].eq(value),
                rounder.o.ready.eq(1),
                adder.i.valid.eq(looked & self.adds),
                adder.i.payload.accumulators[0].eq(value),
                adder.i.payload.residual[0].eq(self.old_values[each].as_signed()),
                adder.o.ready.eq(1),
                # All of them move at once.
                self.words.valid.eq(rounder.o.valid),
                self.words.payload.values[each].eq(rounder.o.payload.values[0]),
                self.sums.valid.eq(adder.o.valid),
                self.sums.payload.values[each].eq(adder.o.payload.values[0]),
            ]
            clamped += [
                engine.o.valid & engine.o.payload.saturated[0] for engine in (rounder, adder)
            ]
        written = self.words.valid | self.sums.valid | kept
        m.d.sync += in_flight.eq(in_flight + moves - written)
        m.d.comb += self.saturated.eq(Cat(clamped).any())

    def _largest(self, m: Module, job, begins, taken, element) -> None:
        """The largest so far and its element."""
        of_token = taken & (job.target == Target.TOKEN)
        for each in range(len(self.tokens)):
            token = self.tokens[each]
            value, largest = self.results.payload.values[each], self.largest[each]
            some, better = Signal(name=f"some_{each}"), Signal(name=f"better_{each}")
            m.d.comb += better.eq(
                ~some | (value > largest) | ((value == largest) & (element < token))
            )
            with m.If(begins):
                m.d.sync += some.eq(0)
            with m.Elif(of_token & better):
                m.d.sync += [some.eq(1), largest.eq(value), token.eq(element)]
