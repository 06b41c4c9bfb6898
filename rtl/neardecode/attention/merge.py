"""The parts of a KV head's context meet: merged, and divided by the sums of their weights."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.attention.layouts import AttentionPartial
from neardecode.attention.unit import others
from neardecode.compute.command import SliceSum
from neardecode.config import Config
from neardecode.lib.clock_gate import Gated
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.once import once
from neardecode.vector.finish import SoftmaxFinish
from neardecode.vector.merge import SoftmaxMerge

__all__ = ["AttentionMerge", "AttentionWords"]


class AttentionWords(data.StructLayout):
    """One element of every query's result.

    Fields:
        values: A word each.
        saturated: A query each: the word was clamped; with ``last``, or any value was before it.
        error: With ``last``: a page of any part could not be read.
        last: The head's last element.
    """

    def __init__(self, config: Config):
        count = config.compute.vectors
        super().__init__(
            {
                "values": data.ArrayLayout(config.vector.word_bits, count),
                "saturated": count,
                "error": 1,
                "last": 1,
            }
        )


class Faults(data.StructLayout):
    """What was clamped or could not be read, of a row.

    Fields:
        saturated: A query each.
        error: Of any.
    """

    def __init__(self, vectors: int):
        super().__init__({"saturated": vectors, "error": 1})


class Phase(enum.Enum, shape=2):
    """What of the parts is being taken."""

    MAXIMA = 0
    TOTALS = 1
    SUMS = 2


@once
class AttentionMerge(wiring.Component):
    """Takes partials and sums of every part in turn and gives the finished words of each query.

    A `SoftmaxMerge` and a `SoftmaxFinish` a query, one element at a time. Rate: a command takes
    ``parts * (head_elements + 2)`` cycles and `SoftmaxMerge.latency` more.

    Parameters:
        config: A configuration.
        parts: Memories that hold parts of a context.

    Members:
        partials: In(stream of `AttentionPartial`), a part each.
        sums: In(stream of `SliceSum`), a part each.
        used: In. The first so many parts hold tokens, and are waited for; at least 1.
        words: Out(stream of `AttentionWords`).

    Raises:
        ValueError: if ``parts`` is not a positive integer.
    """

    partials: Sequence
    sums: Sequence
    words: stream.Interface
    used: Signal

    def __init__(self, config: Config, parts: int):
        if not isinstance(parts, int) or parts < 1:
            raise ValueError(f"parts must be a positive integer, not {parts!r}")
        self._config, self._parts = config, parts
        super().__init__(
            {
                "partials": In(stream.Signature(AttentionPartial(config))).array(parts),
                "sums": In(stream.Signature(SliceSum(config.compute))).array(parts),
                "used": In(range(parts + 1)),
                "words": Out(stream.Signature(AttentionWords(config))),
            }
        )

    def elaborate(self, platform) -> Module:
        """A part after the other; all queries move together."""
        m = Module()
        config, parts = self._config, self._parts
        vectors = config.compute.vectors
        merges = [SoftmaxMerge(config, max(parts, 2)) for _ in range(vectors)]
        finishes = [SoftmaxFinish(config) for _ in range(vectors)]
        phase = Signal(Phase)
        part = Signal(range(max(parts, 2)))
        last_part = Signal()
        partial = Signal(AttentionPartial(config))
        sum_ = Signal(SliceSum(config.compute))
        partial_valid, sum_valid = Signal(), Signal()
        m.d.comb += last_part.eq(part + 1 == self.used)
        with m.Switch(part):
            for index in range(parts):
                with m.Case(index):
                    m.d.comb += [
                        partial.eq(self.partials[index].payload),
                        partial_valid.eq(self.partials[index].valid),
                        sum_.eq(self.sums[index].payload),
                        sum_valid.eq(self.sums[index].valid),
                    ]

        valid, moves, last = Signal(), Signal(), Signal()
        maxima_ready, elements_ready = Signal(), Signal()
        m.d.comb += [
            last.eq(sum_.element == config.compute.head_elements - 1),
            valid.eq(Mux(phase == Phase.SUMS, sum_valid, partial_valid)),
            maxima_ready.eq(Cat(merge.maxima.ready for merge in merges).all()),
            elements_ready.eq(Cat(merge.i.ready for merge in merges).all()),
            moves.eq(valid & Mux(phase == Phase.MAXIMA, maxima_ready, elements_ready)),
        ]
        for index in range(parts):
            here = moves & (part == index)
            m.d.comb += [
                self.partials[index].ready.eq(here & (phase == Phase.TOTALS)),
                self.sums[index].ready.eq(here & (phase == Phase.SUMS)),
            ]
        with m.If(moves):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(last_part), m.Switch(phase):
                with m.Case(Phase.MAXIMA):
                    m.d.sync += phase.eq(Phase.TOTALS)
                with m.Case(Phase.TOTALS):
                    m.d.sync += phase.eq(Phase.SUMS)
                with m.Default(), m.If(last):
                    m.d.sync += phase.eq(Phase.MAXIMA)

        for index, (merge, finish) in enumerate(zip(merges, finishes, strict=True)):
            m.submodules[f"merge_{index}"] = merge
            m.submodules[f"finish_{index}"] = Gated(finish)
            one = partial.vectors[index]
            element = merge.i.payload
            m.d.comb += [
                merge.maxima.valid.eq(
                    partial_valid
                    & (phase == Phase.MAXIMA)
                    & others([each.maxima for each in merges], index, "ready")
                ),
                merge.maxima.payload.maximum.eq(one.maximum),
                merge.maxima.payload.last.eq(last_part),
                merge.i.valid.eq(
                    valid
                    & (phase != Phase.MAXIMA)
                    & others([each.i for each in merges], index, "ready")
                ),
                element.values[0].eq(Mux(phase == Phase.TOTALS, one.total, sum_.values[index])),
                element.part_last.eq(last_part),
                element.last.eq((phase == Phase.SUMS) & last),
            ]
            # The first place is the sum of the weights, the others go over it.
            total = Signal(init=1, name=f"total_{index}")
            given = merge.o.payload
            m.d.comb += [
                finish.totals.valid.eq(merge.o.valid & total),
                finish.totals.payload.eq(given.values[0]),
                finish.i.valid.eq(merge.o.valid & ~total),
                finish.i.payload.values[0].eq(given.values[0]),
                finish.i.payload.last.eq(given.last),
                merge.o.ready.eq(Mux(total, finish.totals.ready, finish.i.ready)),
            ]
            with m.If(merge.o.valid & merge.o.ready):
                m.d.sync += total.eq(given.last)

        # What went wrong leaves with a row's last words, which are a few cycles behind.
        m.submodules.faults = faults = StreamFIFO(Faults(vectors), 2)
        found, so_far = Signal(Faults(vectors)), Signal(Faults(vectors))
        with m.If(phase == Phase.SUMS):
            m.d.comb += [found.saturated.eq(sum_.saturated), found.error.eq(sum_.error)]
        with m.Else():
            m.d.comb += [
                found.saturated.eq(partial.clamped | Cat(one.saturated for one in partial.vectors)),
                found.error.eq(partial.error),
            ]
        m.d.comb += [
            faults.i.valid.eq(moves & (phase == Phase.SUMS) & last & last_part),
            faults.i.payload.eq(so_far.as_value() | found.as_value()),
        ]
        with m.If(moves):
            m.d.sync += so_far.eq(Mux(faults.i.valid, 0, so_far.as_value() | found.as_value()))
        outputs = [finish.o for finish in finishes]
        word = self.words.payload
        ends = outputs[0].payload.last
        fault = faults.o.payload
        m.d.comb += [
            self.words.valid.eq(Cat(each.valid for each in outputs).all()),
            word.last.eq(ends),
            word.error.eq(ends & fault.error),
            faults.o.ready.eq(self.words.valid & self.words.ready & ends),
        ]
        for index, output in enumerate(outputs):
            m.d.comb += [
                output.ready.eq(self.words.valid & self.words.ready),
                word.values[index].eq(output.payload.values[0]),
                word.saturated[index].eq(
                    output.payload.saturated[0] | (ends & fault.saturated[index])
                ),
            ]
        return m
