"""Scores of a tile wait here until its largest is known."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.softmax.layouts import Score
from neardecode.config import Compute as ComputeConfig
from neardecode.config import Vector as VectorConfig

__all__ = ["TileBuffer", "TileSummary"]


class TileSummary(data.StructLayout):
    """What is known of a tile once its last score is in.

    Fields:
        largest: Its largest score, rounded up to an integer.
        opens, closes: As in `Score`.
        saturated: A score was clamped.
    """

    def __init__(self, config: VectorConfig):
        super().__init__(
            {
                "largest": signed(config.maximum_bits),
                "opens": unsigned(1),
                "closes": unsigned(1),
                "saturated": unsigned(1),
            }
        )


class TileBuffer(wiring.Component):
    """Round scores, find a tile's largest, and give the tile back.

    A score is an accumulator rounded to ``score_fraction_bits``, to nearest, a half upwards, and
    clamped to ``score_bits``, above to a whole number. A ring of two tiles: the next tile fills
    while the one before it is read; its last score waits until that one's summary was taken.

    Latency: a summary stands one cycle after its tile's last score. Rate: one score a cycle in,
    one out.

    Parameters:
        compute, vector: Sections of a configuration.

    Members:
        scores: In(stream of `Score`).
        summaries: Out(stream of `TileSummary`). One a tile.
        read: In(1). Read the next score, of a tile whose summary was taken.
        score: Out(signed). What was read, one cycle later, until the next read.
        last: Out(1). It is the tile's last one.
        begun: Out(1). A tile's scores are in but for its last.
    """

    scores: stream.Interface
    summaries: stream.Interface
    read: Signal
    score: Signal
    last: Signal
    begun: Signal

    def __init__(self, compute: ComputeConfig, vector: VectorConfig):
        self._compute = compute
        self._vector = vector
        super().__init__(
            {
                "scores": In(stream.Signature(Score(compute))),
                "summaries": Out(stream.Signature(TileSummary(vector))),
                "read": In(1),
                "score": Out(signed(vector.score_bits)),
                "last": Out(1),
                "begun": Out(1),
            }
        )

    @property
    def depth(self) -> int:
        """Scores that fit."""
        return 1 << ceil_log2(2 * self._vector.tile_rows)

    def _round(self, m: Module, accumulator, score: Signal, saturated: Signal) -> None:
        """An accumulator as a score."""
        vector = self._vector
        bits = vector.score_bits
        dropped = self._compute.fraction_bits - vector.score_fraction_bits
        whole = ((1 << vector.maximum_bits - 1) - 1) << vector.score_fraction_bits
        # Rounding a number that fits, or comes close, carries into one bit more.
        shifted = accumulator >> dropped if dropped > 0 else accumulator << -dropped
        kept = Signal(signed(max(len(shifted), bits)))
        rounded = Signal(signed(bits + 1))
        beyond = Signal()
        top = kept[bits - 1 :]
        m.d.comb += [
            kept.eq(shifted),
            rounded.eq(kept[:bits].as_signed() + (accumulator[dropped - 1] if dropped > 0 else 0)),
            beyond.eq(top.any() & ~top.all()),
        ]
        least = -(1 << bits - 1)
        with m.If(beyond):
            m.d.comb += [score.eq(Mux(accumulator < 0, least, whole)), saturated.eq(1)]
        with m.Elif(rounded > whole):
            m.d.comb += [score.eq(whole), saturated.eq(1)]
        with m.Else():
            m.d.comb += score.eq(rounded)

    def elaborate(self, platform) -> Module:
        """A ring, the largest so far, and a summary that waits."""
        m = Module()
        vector = self._vector
        fraction_bits = vector.score_fraction_bits
        taken = Signal()
        given = self.scores.payload

        score = Signal(signed(vector.score_bits))
        clamped = Signal()
        self._round(m, given.value, score, clamped)

        m.submodules.ring = ring = Memory(
            shape=unsigned(vector.score_bits + 1), depth=self.depth, init=[]
        )
        write, read = ring.write_port(), ring.read_port()
        filled = Signal(range(self.depth + 1))
        m.d.comb += [
            write.data.eq(Cat(score, given.last)),
            write.en.eq(taken),
            read.en.eq(self.read),
            self.score.eq(read.data[:-1]),
            self.last.eq(read.data[-1]),
        ]
        with m.If(taken):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(self.read):
            m.d.sync += read.addr.eq(read.addr + 1)
        m.d.sync += filled.eq(filled + taken - self.read)

        summary = Signal(TileSummary(vector))
        waiting = Signal()
        m.d.comb += [
            self.scores.ready.eq(~filled[-1] & ~(waiting & given.last)),
            taken.eq(self.scores.valid & self.scores.ready),
            self.summaries.valid.eq(waiting),
            self.summaries.payload.eq(summary),
        ]
        largest = Signal(signed(vector.maximum_bits))
        begun = self.begun
        saturated = Signal()
        ceiling = Signal(signed(vector.maximum_bits))
        higher = Signal(signed(vector.maximum_bits))
        m.d.comb += [
            ceiling.eq((score >> fraction_bits) + score[:fraction_bits].any()),
            higher.eq(Mux(begun & (largest > ceiling), largest, ceiling)),
        ]
        with m.If(self.summaries.ready):
            m.d.sync += waiting.eq(0)
        with m.If(taken):
            m.d.sync += [
                largest.eq(higher),
                begun.eq(~given.last),
                saturated.eq((saturated | clamped) & ~given.last),
            ]
            with m.If(given.last):
                m.d.sync += [
                    waiting.eq(1),
                    summary.largest.eq(higher),
                    summary.opens.eq(given.opens),
                    summary.closes.eq(given.closes),
                    summary.saturated.eq(saturated | clamped),
                ]
        return m
