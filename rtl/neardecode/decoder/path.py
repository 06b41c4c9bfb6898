"""The vector unit: words out of a memory, through one engine, to blocks."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import BLOCK_ELEMENTS, KEY_TURN_FRACTION_BITS, Config, Operation
from neardecode.decoder.tables import table_words
from neardecode.lib.clock_gate import Gated
from neardecode.vector.gate import SiluGate
from neardecode.vector.norm import Normalise, RootMeanSquare
from neardecode.vector.quantiser import Quantiser, ScaledBlock
from neardecode.vector.rotation import Rotation

__all__ = ["PathJob", "VectorPath"]

KEY_BITS = 8
PASSES = (Operation.NORM, Operation.KEYS, Operation.VALUES, Operation.QUERIES, Operation.GATE)


class PathJob(data.StructLayout):
    """What to do with which words.

    Fields:
        operation: NORM, KEYS, VALUES, QUERIES or GATE.
        sequence: Whose words.
        first, count: Transfers; at least one.
        fraction_bits: Of a norm's weights.
        epsilon: A norm's.
    """

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        transfers = decoder.transfers
        super().__init__(
            {
                "operation": 4,
                "sequence": unsigned(ceil_log2(decoder.sequences)),
                "first": unsigned(ceil_log2(transfers)),
                "count": unsigned(ceil_log2(transfers + 1)),
                "fraction_bits": 5,
                "epsilon": unsigned(config.vector.word_bits),
            }
        )


class VectorPath(wiring.Component):
    """Does one job after another.

    NORM reads the residual stream twice, once for its root and once to be multiplied; the others
    read results, as soon as they are written. Keys and queries are turned pair by pair by the
    sines and cosines of the position, which are kept here; so are a norm's weights, for the
    sequences behind the first.

    Rate: ``lanes`` words a cycle, half as many results of GATE. Latency: from a block's last words
    to the block, of engine and quantiser.

    Parameters:
        config: A configuration with a decoder.

    Members:
        jobs: In(stream of `PathJob`). Taken when the last one's blocks have left.
        residual_read, words_read: Out. The transfer that is read.
        sequence: Out. Of which sequence, and whose blocks leave.
        read: Out(1). It is.
        residual, words: In(``lanes`` words). What was read, a cycle later, until the next read.
        written: In. Transfers of results before this one are there.
        weights: In(stream of `table_words`). Norms', row after row, once for all sequences.
        turns: In(stream of `table_words`). Cosine and sine of each pair in turn; those for keys,
            then those for queries; taken at once.
        blocks: Out(stream of `ScaledBlock` of ``activation_bits``). Of NORM, GATE and QUERIES.
        queries: Out(1). They are queries.
        rows: Out(stream of `ScaledBlock` of 8 bits). Of KEYS and VALUES.
        values: Out(1). They are values.
        busy: Out(1). A job is not done.
        reads_words: Out(1). It reads results.
        lacks_weights: Out(1). A norm's weights have not come.
        saturated: Out(1). A word was clamped in this cycle.
    """

    jobs: stream.Interface
    residual_read: Signal
    words_read: Signal
    sequence: Signal
    read: Signal
    residual: data.View
    words: data.View
    written: Signal
    weights: stream.Interface
    turns: stream.Interface
    blocks: stream.Interface
    queries: Signal
    rows: stream.Interface
    values: Signal
    busy: Signal
    reads_words: Signal
    lacks_weights: Signal
    saturated: Signal

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        self._config, self._decoder = config, decoder
        lanes, bits = decoder.lanes, config.vector.word_bits
        transfers = decoder.transfers
        words = data.ArrayLayout(bits, lanes)
        table = stream.Signature(table_words(config))
        super().__init__(
            {
                "jobs": In(stream.Signature(PathJob(config))),
                "residual_read": Out(range(decoder.width // lanes)),
                "words_read": Out(range(decoder.words // lanes)),
                "sequence": Out(range(decoder.sequences)),
                "read": Out(1),
                "residual": In(words),
                "words": In(words),
                "written": In(range(transfers + 1)),
                "weights": In(table),
                "turns": In(table),
                "blocks": Out(stream.Signature(ScaledBlock(config.compute.activation_bits))),
                "queries": Out(1),
                "rows": Out(stream.Signature(ScaledBlock(KEY_BITS))),
                "values": Out(1),
                "busy": Out(1),
                "reads_words": Out(1),
                "lacks_weights": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A reader, and where its words go in each job."""
        m = Module()
        config, decoder = self._config, self._decoder
        lanes = decoder.lanes
        job = Signal(PathJob(config))
        kinds = {kind: Signal(name=f"is_{kind.name.lower()}") for kind in PASSES}
        m.d.comb += [kinds[kind].eq(job.operation == kind) for kind in PASSES]
        norm, gate = kinds[Operation.NORM], kinds[Operation.GATE]

        # The reader.
        reading, second = Signal(), Signal()
        place, done = Signal.like(job.first), Signal.like(job.count)
        held_place = Signal.like(place)
        held, held_second, held_last, ready = Signal(), Signal(), Signal(), Signal()
        turn, held_turn = (
            Signal(range(decoder.head_transfers)),
            Signal(range(decoder.head_transfers)),
        )
        ends = Signal()
        advance = Signal()
        ends_head = turn == decoder.head_transfers - 1
        m.d.comb += [
            advance.eq(~held | ready),
            self.read.eq(reading & advance & (norm | (place < self.written))),
            self.residual_read.eq(place),
            self.words_read.eq(place),
            self.sequence.eq(job.sequence),
            ends.eq(done + 1 == job.count),
        ]
        with m.If(advance):
            m.d.sync += [
                held.eq(self.read),
                held_place.eq(place),
                held_second.eq(second),
                held_turn.eq(turn),
                held_last.eq(Mux(norm | gate, ends, ends_head)),
            ]
        with m.If(self.read):
            m.d.sync += [
                place.eq(Mux(ends, job.first, place + 1)),
                done.eq(Mux(ends, 0, done + 1)),
                turn.eq(Mux(ends_head | ends, 0, turn + 1)),
            ]
            with m.If(ends):
                m.d.sync += [second.eq(norm & ~second), reading.eq(norm & ~second)]

        # Blocks that are still to leave.
        left = Signal(ceil_log2(decoder.words // BLOCK_ELEMENTS + 1) + 1)
        blocks = Signal.like(left)
        offered = self.jobs.payload
        m.d.comb += [
            self.busy.eq(left != 0),
            self.jobs.ready.eq(~self.busy),
            self.reads_words.eq(self.busy & ~norm),
            self.queries.eq(kinds[Operation.QUERIES]),
            self.values.eq(kinds[Operation.VALUES]),
            blocks.eq(
                Mux(
                    offered.operation == Operation.GATE,
                    (offered.count * lanes // 2 + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS,
                    (offered.count * lanes + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS,
                )
            ),
        ]
        leaves = (self.blocks.valid & self.blocks.ready) | (self.rows.valid & self.rows.ready)
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [
                job.eq(offered),
                left.eq(blocks),
                place.eq(offered.first),
                done.eq(0),
                turn.eq(0),
                second.eq(0),
                reading.eq(1),
            ]
        with m.Elif(leaves):
            m.d.sync += left.eq(left - 1)

        self._norm(m, job, held & norm, held_second, held_last, held_place)
        self._turn(m, kinds, held, held_turn, held_last)
        self._gate(m, held & gate, held_last)
        self._pack(m, kinds, held, held_last)
        m.d.comb += ready.eq(
            Mux(
                norm,
                Mux(held_second, self._normalise_ready, self._root_ready),
                Mux(
                    gate,
                    self._gate_ready,
                    Mux(kinds[Operation.VALUES], self._value_ready, self._turn_ready),
                ),
            )
        )
        return m

    def _norm(self, m: Module, job, held, second, last, place) -> None:
        config, lanes = self._config, self._decoder.lanes
        root = RootMeanSquare(config, lanes)
        normalise = Normalise(config, root.exponent_bits, lanes)
        m.submodules.root, m.submodules.normalise = Gated(root), Gated(normalise)
        self._normalise = normalise
        weights, there, takes = self._weights(m, job, place)
        # A factor stands until its vector is taken.
        m.d.comb += [
            normalise.factors.valid.eq(root.o.valid),
            normalise.factors.payload.eq(root.o.payload),
            root.o.ready.eq(normalise.factors.ready),
            root.epsilon.eq(job.epsilon),
            root.i.valid.eq(held & ~second),
            root.i.payload.last.eq(last),
            normalise.i.valid.eq(held & second & there),
            normalise.i.payload.fraction_bits.eq(job.fraction_bits),
            normalise.i.payload.last.eq(last),
            self.lacks_weights.eq(held & second & ~there),
            takes.eq(held & second & normalise.i.ready),
        ]
        for lane in range(lanes):
            value = self.residual[lane].as_signed()
            m.d.comb += [
                root.i.payload.values[lane].eq(value),
                normalise.i.payload.values[lane].eq(value),
                normalise.i.payload.weights[lane].eq(weights[lane]),
            ]
        self._root_ready = root.i.ready
        self._normalise_ready = normalise.i.ready & there

    def _weights(self, m: Module, job, place) -> tuple[data.View, Value, Signal]:
        """A transfer of the norm's weights, whether it is there, and what says that it is used."""
        decoder, takes = self._decoder, Signal()
        if decoder.sequences == 1:
            m.d.comb += self.weights.ready.eq(takes)
            return self.weights.payload, self.weights.valid, takes
        layout = table_words(self._config)
        m.submodules.weights = kept = Memory(
            shape=layout, depth=decoder.width // decoder.lanes, init=[]
        )
        write, read = kept.write_port(), kept.read_port(domain="comb")
        first, weights = Signal(), Signal(layout)
        m.d.comb += [
            first.eq(job.sequence == 0),
            self.weights.ready.eq(takes & first),
            write.addr.eq(place),
            write.data.eq(self.weights.payload),
            write.en.eq(self.weights.valid & self.weights.ready),
            read.addr.eq(place),
            weights.eq(Mux(first, self.weights.payload.as_value(), read.data.as_value())),
        ]
        return weights, self.weights.valid | ~first, takes

    def _turn(self, m: Module, kinds, held, turn, last) -> None:
        config, decoder = self._config, self._decoder
        rotation = Rotation(
            config, KEY_TURN_FRACTION_BITS, decoder.query_turn_fraction_bits, decoder.lanes
        )
        m.submodules.rotation = Gated(rotation)
        self._rotation = rotation
        transfers = decoder.head_transfers
        m.submodules.turns = turns = Memory(shape=table_words(config), depth=2 * transfers, init=[])
        write, read = turns.write_port(), turns.read_port(domain="comb")
        place = Signal(range(2 * transfers))
        m.d.comb += [
            self.turns.ready.eq(1),
            write.addr.eq(place),
            write.data.eq(self.turns.payload),
            write.en.eq(self.turns.valid),
            read.addr.eq(turn + Mux(kinds[Operation.QUERIES], transfers, 0)),
        ]
        with m.If(self.turns.valid):
            m.d.sync += place.eq(Mux(place == 2 * transfers - 1, 0, place + 1))
        given = rotation.i.payload
        turned = kinds[Operation.KEYS] | kinds[Operation.QUERIES]
        m.d.comb += [
            rotation.i.valid.eq(held & turned),
            given.key.eq(kinds[Operation.KEYS]),
            given.last.eq(last),
        ]
        for lane in range(decoder.lanes):
            m.d.comb += given.values[lane].eq(self.words[lane].as_signed())
        for pair in range(decoder.lanes // 2):
            m.d.comb += [
                given.cosines[pair].eq(read.data[2 * pair]),
                given.sines[pair].eq(read.data[2 * pair + 1]),
            ]
        self._turn_ready = rotation.i.ready

    def _gate(self, m: Module, held, last) -> None:
        lanes = self._decoder.lanes // 2
        gate = SiluGate(self._config, lanes)
        m.submodules.gate = Gated(gate)
        self._silu = gate
        m.d.comb += [gate.i.valid.eq(held), gate.i.payload.last.eq(last)]
        for lane in range(lanes):
            m.d.comb += [
                gate.i.payload.gates[lane].eq(self.words[2 * lane].as_signed()),
                gate.i.payload.ups[lane].eq(self.words[2 * lane + 1].as_signed()),
            ]
        self._gate_ready = gate.i.ready

    def _pack(self, m: Module, kinds, held, last) -> None:
        """Three quantisers: of words, of products of gate and up, of rows of the KV cache."""
        config, decoder = self._config, self._decoder
        vector, bits = config.vector, config.compute.activation_bits
        lanes = decoder.lanes
        pack = Quantiser(config, bits, vector.word_fraction_bits, lanes)
        pack_gated = Quantiser(config, bits, vector.gated_fraction_bits, lanes // 2)
        pack_rows = Quantiser(config, KEY_BITS, vector.word_fraction_bits, lanes)
        m.submodules.pack, m.submodules.pack_gated = Gated(pack), Gated(pack_gated)
        m.submodules.pack_rows = Gated(pack_rows)
        normalised, turned, gated = self._normalise.o, self._rotation.o, self._silu.o
        norm, gate = kinds[Operation.NORM], kinds[Operation.GATE]
        queries, keys = kinds[Operation.QUERIES], kinds[Operation.KEYS]
        values = kinds[Operation.VALUES]
        m.d.comb += [
            pack.i.valid.eq(Mux(norm, normalised.valid, turned.valid & queries)),
            pack.i.payload.last.eq(Mux(norm, normalised.payload.last, turned.payload.last)),
            normalised.ready.eq(pack.i.ready & norm),
            turned.ready.eq(Mux(queries, pack.i.ready, pack_rows.i.ready & keys)),
            pack_gated.i.valid.eq(gated.valid),
            pack_gated.i.payload.last.eq(gated.payload.last),
            gated.ready.eq(pack_gated.i.ready),
            pack_rows.i.valid.eq(Mux(values, held, turned.valid & keys)),
            pack_rows.i.payload.last.eq(Mux(values, last, turned.payload.last)),
            self.rows.valid.eq(pack_rows.o.valid),
            self.rows.payload.eq(pack_rows.o.payload),
            pack_rows.o.ready.eq(self.rows.ready),
            self.blocks.valid.eq(Mux(gate, pack_gated.o.valid, pack.o.valid)),
            self.blocks.payload.eq(
                Mux(gate, pack_gated.o.payload.as_value(), pack.o.payload.as_value())
            ),
            pack_gated.o.ready.eq(self.blocks.ready & gate),
            pack.o.ready.eq(self.blocks.ready & ~gate),
            self.saturated.eq(
                (normalised.valid & normalised.ready & normalised.payload.saturated.any())
                | (turned.valid & turned.ready & turned.payload.saturated.any())
                | (gated.valid & gated.ready & gated.payload.saturated.any())
            ),
        ]
        for lane in range(lanes):
            m.d.comb += [
                pack.i.payload.values[lane].eq(
                    Mux(norm, normalised.payload.values[lane], turned.payload.values[lane])
                ),
                pack_rows.i.payload.values[lane].eq(
                    Mux(values, self.words[lane].as_signed(), turned.payload.values[lane])
                ),
            ]
            if lane < lanes // 2:
                m.d.comb += pack_gated.i.payload.values[lane].eq(gated.payload.values[lane])
        self._value_ready = pack_rows.i.ready
