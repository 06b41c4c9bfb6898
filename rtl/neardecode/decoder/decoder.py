"""The token decoder: sequencer, vector unit, and what lies between them and the slices."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.config import Config, DecoderCause, Operation, Target
from neardecode.decoder.activations import ActivationStore
from neardecode.decoder.chip_port import ChipPort, NetworkSignature
from neardecode.decoder.exchange import Exchange, TransferWrite
from neardecode.decoder.gather import ElementWrite, ResultGather
from neardecode.decoder.head_blocks import HeadQueries, HeadRows
from neardecode.decoder.heads import HeadCommands, HeadsDone
from neardecode.decoder.lane_memory import LaneMemory
from neardecode.decoder.layouts import ChannelResult, Descriptor, ProgramWrite
from neardecode.decoder.path import VectorPath
from neardecode.decoder.prefetch import Prefetcher
from neardecode.decoder.sequencer import Sequencer
from neardecode.decoder.shared_heads import SharedHeads
from neardecode.decoder.tables import TableReader
from neardecode.lib.counters import CycleCounters

__all__ = ["TokenDecoder"]


class TokenDecoder(wiring.Component):
    """Runs a program a token: weights through the slices, rows and queries through the vaults.

    Parameters:
        config: A configuration with a decoder and a stack.

    Members:
        program: In(stream of `ProgramWrite`). Always taken; before ``running``.
        running: In(1). The program is loaded.
        prompt, generate, tokens, position, idle: As the sequencer's.
        commands: Out(stream of `SliceCommand`), a flash channel each.
        activations: Out(stream of `ActivationBlock`). For all slices at once.
        results: In(stream of `ChannelResult`).
        requests, beats: Tables', as `TableReader`.
        attend: Out(stream of `AttentionCommand`), a vault each.
        queries: Out(stream of `ActivationBlock`), a vault each.
        places: Out(stream of `RowPlace`), a vault each.
        rows: Out(stream of `ScaledBlock` of 8 bits), a vault each.
        attended: In(stream of `AttendedBlock`), a vault each.
        appended: In(1). All rows are in the vaults.
        sums: Out(stream of `ElementWrite`). What is written to the residual stream by matrices;
            whoever looks takes it at once.
        number, network, exchanged: Only of several chips: this chip's number; its
            `NetworkSignature`; what exchanges write to the residual stream, a stream of
            `TransferWrite`.
        partials, part_sums, merged_partials, merged_sums: Only of several that share the context.
            As `SharedHeads`, a vault each.
        saturated: Out(1). A value was clamped since reset.
        error: Out(1). A page could not be read since reset.
        counting: In(1). Counters run.
        cycles: Out(counts by `DecoderCause`).
    """

    program: stream.Interface
    running: Signal
    prompt: stream.Interface
    generate: Signal
    tokens: stream.Interface
    position: Signal
    idle: Signal
    commands: Sequence
    activations: stream.Interface
    attend: Sequence
    queries: Sequence
    places: Sequence
    rows: Sequence
    attended: Sequence
    results: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    appended: Signal
    sums: stream.Interface
    number: Signal
    network: Any
    exchanged: stream.Interface
    partials: Sequence
    part_sums: Sequence
    merged_partials: Sequence
    merged_sums: Sequence
    saturated: Signal
    error: Signal
    counting: Signal
    cycles: data.View

    def __init__(self, config: Config):
        decoder, stack = config.decoder, config.stack
        if decoder is None or stack is None:
            raise ValueError("decoder: there is none in this configuration")
        self._config, self._decoder = config, decoder
        attending = config.attending(decoder.group, decoder.head_elements)
        self._sequencer = Sequencer(attending)
        self._prefetcher = Prefetcher(config)
        self._store = ActivationStore(config)
        self._commands = HeadCommands(attending)
        self._queries = HeadQueries(attending)
        self._rows = HeadRows(attending)
        self._heads = HeadsDone(attending)
        self._tables = TableReader(config)
        self._cycles = CycleCounters(DecoderCause)
        self._shared = {}
        self._heads_shared = SharedHeads(attending) if config.context_chips > 1 else None
        if config.chips > 1:
            self._shared = {
                "number": In(range(config.chips)),
                "network": Out(NetworkSignature(config)),
                "exchanged": Out(stream.Signature(TransferWrite(config, decoder.width))),
            }
        if self._heads_shared is not None:
            heads = self._heads_shared.signature.members
            self._shared |= {
                "partials": heads["partials"],
                "part_sums": heads["sums"],
                "merged_partials": heads["merged_partials"],
                "merged_sums": heads["merged_sums"],
            }
        sequencer = self._sequencer.signature.members
        tables = self._tables.signature.members
        super().__init__(
            {
                **self._shared,
                "program": In(stream.Signature(ProgramWrite(config))),
                "running": In(1),
                **{
                    name: sequencer[name]
                    for name in ("prompt", "generate", "tokens", "position", "idle")
                },
                "commands": self._prefetcher.signature.members["commands"],
                "activations": self._store.signature.members["sent"],
                "results": In(stream.Signature(ChannelResult(config))),
                "requests": tables["requests"],
                "beats": tables["beats"],
                "attend": self._commands.signature.members["commands"],
                "queries": self._queries.signature.members["queries"],
                "places": self._rows.signature.members["places"],
                "rows": self._rows.signature.members["rows"],
                "attended": self._heads.signature.members["attended"],
                "appended": In(1),
                "sums": Out(
                    stream.Signature(
                        ElementWrite(decoder.width, config.vector.word_bits, decoder.sequences)
                    )
                ),
                "saturated": Out(1),
                "error": Out(1),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Units, their memories, and the jobs between them."""
        m = Module()
        config = self._config
        m.submodules.sequencer = sequencer = self._sequencer
        m.submodules.prefetcher = prefetcher = self._prefetcher
        m.submodules.store = store = self._store
        m.submodules.tables = tables = self._tables
        m.submodules.gather = gather = ResultGather(config)
        m.submodules.path = path = VectorPath(config)
        exchange = self._exchange(m, sequencer, gather) if self._shared else None
        self._program(m, sequencer, prefetcher)
        self._vectors(m, sequencer, gather, path, exchange)
        self._vaults(m, sequencer, path, store)

        for name in ("prompt", "tokens"):
            edge, inner = flipped(getattr(self, name)), getattr(sequencer, name)
            connect(m, edge, inner) if name == "prompt" else connect(m, inner, edge)
        for outer, inner in zip(self.commands, prefetcher.commands, strict=True):
            connect(m, inner, flipped(outer))
        connect(m, store.sent, flipped(self.activations))
        connect(m, flipped(self.results), gather.results)
        connect(m, tables.requests, flipped(self.requests))
        connect(m, flipped(self.beats), tables.beats)
        connect(m, prefetcher.rows, tables.ahead)
        connect(m, sequencer.rows, tables.now)
        connect(m, tables.ahead_words, path.weights)
        connect(m, tables.now_words, sequencer.words)
        connect(m, sequencer.turns, path.turns)
        connect(m, sequencer.paths, path.jobs)
        connect(m, sequencer.sends, store.jobs)
        connect(m, sequencer.gathers, gather.jobs)
        gathered = Signal()
        m.d.sync += gathered.eq(gather.busy)
        m.d.comb += [
            sequencer.generate.eq(self.generate),
            sequencer.sending.eq(store.busy),
            sequencer.gathering.eq(gather.busy),
            sequencer.working.eq(path.busy),
            sequencer.using_words.eq(path.reads_words),
            sequencer.appended.eq(self.appended),
            sequencer.found.eq(gather.tokens if exchange is None else exchange.tokens),
            store.clear.eq(sequencer.clear),
            store.cleared.eq(sequencer.sequence),
            prefetcher.running.eq(self.running),
            prefetcher.done.eq(gathered & ~gather.busy),
            self.position.eq(sequencer.position),
            self.idle.eq(sequencer.idle),
        ]
        with m.If(gather.saturated | path.saturated):
            m.d.sync += self.saturated.eq(1)
        with m.If(gather.error | tables.error):
            m.d.sync += self.error.eq(1)
        self._count(m, sequencer, store, gather, path)
        return m

    def _exchange(self, m: Module, sequencer, gather) -> Exchange:
        """Partial results, their memory, and the way to the other chips."""
        config, decoder = self._config, self._decoder
        bits, lanes = config.compute.accumulator_bits, decoder.lanes
        inside = exact_log2(lanes)
        m.submodules.exchange = exchange = Exchange(config)
        m.submodules.partials = partials = LaneMemory(
            bits, decoder.partials, lanes, decoder.sequences
        )
        units = [exchange]
        if self._heads_shared is not None:
            units = [self._share_heads(m, sequencer, exchange), exchange]
        m.submodules.chip_port = port = ChipPort(config, len(units))
        for unit, side in zip(units, port.units, strict=True):
            connect(m, unit.unit, side)
        connect(m, port.network, flipped(self.network))
        connect(m, sequencer.exchanges, exchange.jobs)
        given = gather.partials.payload
        m.d.comb += [
            *(unit.number.eq(self.number) for unit in (sequencer, *units)),
            sequencer.exchanging.eq(exchange.busy),
            exchange.gathering.eq(gather.busy),
            exchange.gathered.eq(gather.written),
            exchange.largest.eq(gather.largest[exchange.sequence]),
            exchange.element.eq(gather.tokens[exchange.sequence]),
            partials.read.eq(exchange.read),
            partials.enable.eq(exchange.reads),
            exchange.partials.eq(partials.values[exchange.sequence]),
            partials.write.eq(given.element >> inside),
            partials.mask.eq(Mux(gather.partials.valid, 1 << given.element[:inside], 0)),
            partials.into.eq(~0),
            *(
                partials.given[sequence][lane].eq(value)
                for sequence, value in enumerate(given.values)
                for lane in range(lanes)
            ),
            self.exchanged.valid.eq(exchange.sums.valid),
            self.exchanged.payload.eq(exchange.sums.payload),
        ]
        with m.If(exchange.saturated | port.saturated):
            m.d.sync += self.saturated.eq(1)
        return exchange

    def _share_heads(self, m: Module, sequencer, exchange) -> SharedHeads:
        """Heads whose tokens lie on several chips, between the vaults' attention and its merge."""
        assert self._heads_shared is not None
        m.submodules.shared_heads = heads = self._heads_shared
        connect(m, sequencer.shares, heads.jobs)
        for vault in range(len(self.attend)):
            connect(m, flipped(self.partials[vault]), heads.partials[vault])
            connect(m, flipped(self.part_sums[vault]), heads.sums[vault])
            connect(m, heads.merged_partials[vault], flipped(self.merged_partials[vault]))
            connect(m, heads.merged_sums[vault], flipped(self.merged_sums[vault]))
        # Messages of all chips in the order of the program, whenever what they hold is there.
        m.d.comb += [
            heads.waits.eq(exchange.busy),
            exchange.waits.eq(heads.busy),
            sequencer.sharing.eq(heads.busy),
        ]
        return heads

    def _program(self, m: Module, sequencer, prefetcher) -> None:
        """Two readers of one program."""
        layout = Descriptor(self._config)
        m.submodules.program = program = Memory(
            shape=layout, depth=self._decoder.descriptors, init=[]
        )
        write = program.write_port()
        given = self.program.payload
        m.d.comb += [
            self.program.ready.eq(1),
            write.addr.eq(given.address),
            write.data.eq(given.descriptor),
            write.en.eq(self.program.valid),
        ]
        for reader in (sequencer, prefetcher):
            read = program.read_port()
            m.d.comb += [
                read.addr.eq(reader.address),
                read.en.eq(1),
                reader.descriptor.eq(read.data),
            ]

    def _vectors(self, m: Module, sequencer, gather, path, exchange) -> None:
        """The residual stream and the results of matrices."""
        config, decoder = self._config, self._decoder
        lanes, bits = decoder.lanes, config.vector.word_bits
        inside = exact_log2(lanes)
        sequences = range(decoder.sequences)
        m.submodules.residual = residual = LaneMemory(bits, decoder.width, lanes, decoder.sequences)
        m.submodules.words = words = LaneMemory(bits, decoder.words, lanes, decoder.sequences)
        # The embedding comes transfer by transfer, sums one by one.
        place = Signal(exact_log2(decoder.width // lanes))
        embedded, sums = sequencer.embedded, gather.sums
        with m.If(sequencer.embeds):
            m.d.sync += place.eq(0)
        with m.Elif(embedded.valid):
            m.d.sync += place.eq(place + 1)
        looked = Signal(inside)
        m.d.sync += looked.eq(gather.old[:inside])
        m.d.comb += [
            embedded.ready.eq(1),
            residual.write.eq(Mux(embedded.valid, place, sums.payload.element >> inside)),
            residual.into.eq(Mux(embedded.valid, 1 << sequencer.sequence, ~0)),
            residual.mask.eq(
                Mux(embedded.valid, ~0, Mux(sums.valid, 1 << sums.payload.element[:inside], 0))
            ),
            residual.read.eq(
                Mux(gather.adds & gather.busy, gather.old >> inside, path.residual_read)
            ),
            residual.enable.eq((gather.adds & gather.busy) | path.read),
            path.residual.eq(residual.values[path.sequence]),
            *(
                old.eq(residual.values[sequence].as_value().word_select(looked, bits))
                for sequence, old in enumerate(gather.old_values)
            ),
            words.write.eq(gather.words.payload.element >> inside),
            words.mask.eq(Mux(gather.words.valid, 1 << gather.words.payload.element[:inside], 0)),
            words.into.eq(~0),
            words.read.eq(path.words_read),
            words.enable.eq(path.read),
            path.words.eq(words.values[path.sequence]),
            path.written.eq(gather.words_written),
            self.sums.valid.eq(sums.valid),
            self.sums.payload.eq(sums.payload),
        ]
        for sequence in sequences:
            for lane in range(lanes):
                m.d.comb += [
                    residual.given[sequence][lane].eq(
                        Mux(
                            embedded.valid,
                            embedded.payload[lane].as_signed(),
                            sums.payload.values[sequence].as_signed(),
                        )
                    ),
                    words.given[sequence][lane].eq(gather.words.payload.values[sequence]),
                ]
        if exchange is not None:
            self._exchanged(m, sequencer, residual, words, path, exchange)

    def _exchanged(self, m: Module, sequencer, residual, words, path, exchange) -> None:
        """Whole transfers of words and sums, instead of what one chip gathers alone."""
        shared = Signal()
        with m.If(sequencer.exchanges.valid & (sequencer.exchanges.payload.target == Target.WORDS)):
            m.d.sync += shared.eq(1)
        with m.Elif(sequencer.gathers.valid & (sequencer.gathers.payload.target == Target.WORDS)):
            m.d.sync += shared.eq(0)
        m.d.comb += exchange.residual.eq(residual.values[exchange.sequence])
        with m.If(shared):
            m.d.comb += path.written.eq(exchange.written)
        with m.If(exchange.residual_reads):
            m.d.comb += [residual.read.eq(exchange.residual_read), residual.enable.eq(1)]
        for memory, writes in ((residual, exchange.sums), (words, exchange.words)):
            with m.If(writes.valid):
                m.d.comb += [
                    memory.write.eq(writes.payload.transfer),
                    memory.mask.eq(~0),
                    memory.into.eq(1 << exchange.sequence),
                    *(given.eq(writes.payload.values) for given in memory.given),
                ]

    def _vaults(self, m: Module, sequencer, path, store) -> None:
        """Rows, queries and commands to the vaults; what comes back, and blocks of the path."""
        m.submodules.commands = commands = self._commands
        m.submodules.queries = queries = self._queries
        m.submodules.rows = rows = self._rows
        m.submodules.heads = heads = self._heads
        connect(m, sequencer.attends, commands.jobs)
        for vault in range(len(self.attend)):
            connect(m, commands.commands[vault], flipped(self.attend[vault]))
            connect(m, queries.queries[vault], flipped(self.queries[vault]))
            connect(m, rows.places[vault], flipped(self.places[vault]))
            connect(m, rows.rows[vault], flipped(self.rows[vault]))
            connect(m, flipped(self.attended[vault]), heads.attended[vault])
        connect(m, path.rows, rows.blocks)
        # Blocks of norms and gates come in order.
        place = Signal.like(store.blocks.payload.place)
        made = path.blocks.valid & ~path.queries
        attending = Signal(8)
        with m.If(sequencer.attends_begin):
            m.d.sync += attending.eq(sequencer.descriptor.count)
        with m.If(sequencer.clear):
            m.d.sync += place.eq(0)
        with m.Elif(made):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            sequencer.attending.eq(commands.busy),
            queries.begin.eq(sequencer.queries_begin),
            queries.blocks.valid.eq(path.blocks.valid & path.queries),
            queries.blocks.payload.eq(path.blocks.payload),
            path.blocks.ready.eq(Mux(path.queries, queries.blocks.ready, 1)),
            rows.begin.eq(sequencer.keys_begin),
            rows.page.eq(sequencer.rows_page),
            rows.stride.eq(sequencer.rows_stride),
            rows.place.eq(sequencer.place),
            heads.begin.eq(sequencer.attends_begin),
            heads.heads.eq(attending),
            store.blocks.valid.eq(made | heads.blocks.valid),
            store.blocks.payload.place.eq(Mux(made, place, heads.blocks.payload.place)),
            store.blocks.payload.sequence.eq(
                Mux(made, path.sequence, heads.blocks.payload.sequence)
            ),
            store.blocks.payload.block.eq(
                Mux(made, path.blocks.payload.as_value(), heads.blocks.payload.block.as_value())
            ),
        ]

    def _count(self, m: Module, sequencer, store, gather, path) -> None:
        """One cause a cycle."""
        m.submodules.cycle_counters = counters = self._cycles
        cause = counters.cause
        with m.If(sequencer.idle):
            m.d.comb += cause.eq(DecoderCause.IDLE)
        with m.Elif(sequencer.waits_host):
            m.d.comb += cause.eq(DecoderCause.HOST)
        with m.Elif(store.missing):
            with m.If(path.lacks_weights):
                m.d.comb += cause.eq(DecoderCause.TABLE)
            with m.Elif(path.busy & ~path.queries):
                m.d.comb += cause.eq(DecoderCause.VECTOR)
            with m.Else():
                m.d.comb += cause.eq(DecoderCause.ATTENTION)
        with m.Elif(store.busy):
            m.d.comb += cause.eq(DecoderCause.ACTIVATIONS)
        with m.Elif(gather.busy):
            m.d.comb += cause.eq(DecoderCause.BUSY)
        with m.Elif(sequencer.exchanging):
            m.d.comb += cause.eq(DecoderCause.EXCHANGE)
        with m.Elif(sequencer.reads_table):
            m.d.comb += cause.eq(DecoderCause.TABLE)
        with m.Elif(path.busy):
            m.d.comb += cause.eq(DecoderCause.VECTOR)
        # A sequence's heads wait for those of the one before.
        with m.Elif(
            (sequencer.descriptor.operation == Operation.ATTEND)
            & (sequencer.attending | sequencer.sharing)
        ):
            m.d.comb += cause.eq(DecoderCause.ATTENTION)
        with m.Else():
            m.d.comb += cause.eq(DecoderCause.SEQUENCE)
        m.d.comb += [counters.counting.eq(self.counting), self.cycles.eq(counters.counts)]
