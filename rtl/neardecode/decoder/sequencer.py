"""Runs the program of each token, descriptor by descriptor."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Config, Operation, Target
from neardecode.decoder.activations import SendJob
from neardecode.decoder.context import Context
from neardecode.decoder.exchange import ExchangeJob
from neardecode.decoder.gather import GatherJob
from neardecode.decoder.heads import AttendJob
from neardecode.decoder.layouts import TOKEN_BITS, Descriptor, PromptToken
from neardecode.decoder.path import PathJob
from neardecode.decoder.shared_heads import ShareJob
from neardecode.decoder.tables import TableRow, table_words

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Reads tokens of prompts, then those that it finds itself, and tells every unit what to do.

    A descriptor begins when the units it needs are free and ends when they have taken it, so that
    units work side by side: results are read as they come, activations sent as they are written.
    What one writes over is waited for: a matrix of words waits for those that read words, a norm
    for the last sums, whoever makes activations for those that are being sent.

    Of several sequences all are at one position: each has a token of its prompt, or the one that it
    found. What is not done for all at once is done for each in turn.

    Of chips that share the context one that holds no token yet does not attend.

    Parameters:
        config: A configuration with a decoder, of slices that attend.

    Members:
        number: In. The chip's, from 0.
        prompt: In(stream of `PromptToken`).
        generate: In(16). Tokens to find for each prompt, at least 1.
        tokens: Out(stream of token ids). Those found, of a position in the order of the sequences.
        address: Out. The descriptor that shall be in ``descriptor`` in the next cycle.
        descriptor: In(`Descriptor`).
        rows: Out(stream of `TableRow`). Of embedding and turns.
        words: In(stream of `table_words`). Theirs.
        embedded: Out(stream of ``lanes`` words). Of the embedding; taken at once.
        turns: Out(stream of `table_words`). Of the turns.
        sends, gathers, paths, attends: Out(streams of jobs).
        exchanges: Out(stream of jobs). Only of several chips.
        shares: Out(stream of jobs). Only of several that share the context.
        sending, gathering, working, using_words, attending, exchanging, sharing: In(1). Their units
            are busy.
        appended: In(1). All rows are in the vaults.
        found: In. The largest results' tokens, a sequence each.
        sequence: Out. Whose descriptor it is.
        embeds: Out(1). Words of the embedding come next, from the first on.
        place, position: Out. As `Context`.
        rows_page, rows_stride: Out. As `HeadRows`.
        keys_begin, queries_begin: Out(1). Rows, or queries, of the first head come next.
        attends_begin: Out(1). What heads attended to comes next, from the first on.
        clear: Out(1). Activations are made anew.
        idle: Out(1). It waits for a prompt.
        reads_table: Out(1). It waits for a row of a table.
        waits_host: Out(1). A token is not taken.
    """

    number: Signal
    prompt: stream.Interface
    generate: Signal
    tokens: stream.Interface
    address: Signal
    descriptor: data.View
    rows: stream.Interface
    words: stream.Interface
    embedded: stream.Interface
    turns: stream.Interface
    sends: stream.Interface
    gathers: stream.Interface
    paths: stream.Interface
    attends: stream.Interface
    exchanges: stream.Interface
    shares: stream.Interface
    sending: Signal
    gathering: Signal
    working: Signal
    using_words: Signal
    attending: Signal
    exchanging: Signal
    sharing: Signal
    appended: Signal
    found: data.View
    sequence: Signal
    embeds: Signal
    place: data.View
    rows_page: Signal
    rows_stride: Signal
    keys_begin: Signal
    queries_begin: Signal
    attends_begin: Signal
    clear: Signal
    position: Signal
    idle: Signal
    reads_table: Signal
    waits_host: Signal

    def __init__(self, config: Config):
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        self._config, self._decoder = config, decoder
        words = stream.Signature(table_words(config))
        address = exact_log2(stack.pages)
        flags = (
            *("sending", "gathering", "working", "using_words"),
            *("attending", "exchanging", "sharing"),
        )
        self._sequences = decoder.sequences
        self._context = Context(config)
        exchanges = {"exchanges": Out(stream.Signature(ExchangeJob(config)))}
        shares = {"shares": Out(stream.Signature(ShareJob()))}
        super().__init__(
            {
                "number": In(range(config.chips)),
                **(exchanges if config.chips > 1 else {}),
                **(shares if config.context_chips > 1 else {}),
                "prompt": In(stream.Signature(PromptToken())),
                "generate": In(16),
                "tokens": Out(stream.Signature(TOKEN_BITS)),
                "address": Out(ceil_log2(decoder.descriptors)),
                "descriptor": In(Descriptor(config)),
                "rows": Out(stream.Signature(TableRow(config))),
                "words": In(words),
                "embedded": Out(
                    stream.Signature(data.ArrayLayout(config.vector.word_bits, decoder.lanes))
                ),
                "turns": Out(words),
                "sends": Out(stream.Signature(SendJob(config))),
                "gathers": Out(stream.Signature(GatherJob(config))),
                "paths": Out(stream.Signature(PathJob(config))),
                "attends": Out(stream.Signature(AttendJob(config))),
                **{name: In(1) for name in flags},
                "appended": In(1),
                "found": In(data.ArrayLayout(TOKEN_BITS, decoder.sequences)),
                "sequence": Out(range(decoder.sequences)),
                "embeds": Out(1),
                "place": self._context.signature.members["place"],
                "rows_page": Out(address),
                "rows_stride": Out(16),
                "keys_begin": Out(1),
                "queries_begin": Out(1),
                "attends_begin": Out(1),
                "clear": Out(1),
                "position": self._context.signature.members["position"],
                "idle": Out(1),
                "reads_table": Out(1),
                "waits_host": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A token, and the program for it."""
        m = Module()
        step = self.descriptor
        sequences = range(self._sequences)
        token = Array(Signal(PromptToken(), name=f"token_{each}") for each in sequences)
        left = Array(Signal(16, name=f"left_{each}") for each in sequences)
        own = Array(Signal(name=f"own_{each}") for each in sequences)
        mine, last_sequence, every = Signal(), Signal(), Signal()
        here = Signal.like(self.address)
        row_beat = Signal(len(self.rows.payload.beat))
        taken = Signal.like(step.count)
        ends = Signal()
        lower = Signal(table_words(self._config))
        upper = Signal()
        m.d.comb += [
            self.address.eq(here),
            mine.eq(own[self.sequence]),
            last_sequence.eq(self.sequence == self._sequences - 1),
        ]

        def turn() -> None:
            m.d.sync += self.sequence.eq(Mux(last_sequence, 0, self.sequence + 1))

        m.submodules.context = context = self._context
        # From the first sequence's keys or values to this one's.
        self._pages = Signal.like(self.rows_page)
        m.d.comb += [
            context.number.eq(self.number),
            self.position.eq(context.position),
            self.place.eq(context.place),
        ]
        with m.FSM():
            with m.State("Idle"):
                m.d.comb += [
                    self.idle.eq(~mine),
                    self.prompt.ready.eq(~mine),
                ]
                with m.If(self.prompt.valid & ~mine):
                    m.d.sync += [
                        token[self.sequence].eq(self.prompt.payload),
                        left[self.sequence].eq(self.generate),
                    ]
                    with m.If(self.prompt.payload.first & (self.sequence == 0)):
                        m.d.comb += context.begin.eq(1)
                with m.If(self.prompt.valid | mine):
                    turn()
                    with m.If(last_sequence):
                        m.d.sync += here.eq(0)
                        m.next = "Fetch"
            with m.State("Fetch"):
                m.next = "Do"
            with m.State("Do"), m.Switch(step.operation):
                with m.Case(Operation.EMBED, Operation.TURNS):
                    which = Mux(
                        step.operation == Operation.EMBED,
                        token[self.sequence].token,
                        self.position,
                    )
                    m.d.sync += [
                        row_beat.eq(Cat(step.beat, step.page) + which * step.stride),
                        taken.eq(0),
                    ]
                    m.next = "Ask"
                with m.Case(Operation.NEXT), m.If(~self.gathering & ~self.exchanging):
                    m.next = "Next"
                with m.Default():
                    self._begin(m, step)
                    with m.If(self._begun):
                        self._step(m, step, here, last_sequence)
                        m.next = "Fetch"
            with m.State("Ask"):
                m.d.comb += [
                    self.reads_table.eq(1),
                    self.rows.valid.eq(1),
                    self.rows.payload.beat.eq(row_beat),
                    self.rows.payload.transfers.eq(step.count),
                    self.embeds.eq(1),
                ]
                with m.If(self.rows.ready):
                    m.next = "Take"
            with m.State("Take"):
                # Of wide words first the lower halves come, then the upper ones.
                embeds = step.operation == Operation.EMBED
                wide = step.times == 2
                with m.If(self.words.valid & embeds):
                    m.d.sync += [lower.eq(self.words.payload), upper.eq(wide & ~upper)]
                for lane, integer in enumerate(self.words.payload):
                    m.d.comb += self.embedded.payload[lane].eq(
                        Mux(wide, Cat(lower[lane], integer).as_signed(), integer)
                    )
                m.d.comb += [
                    self.reads_table.eq(1),
                    self.embedded.valid.eq(self.words.valid & embeds & (upper | ~wide)),
                    self.turns.valid.eq(self.words.valid & ~embeds),
                    self.turns.payload.eq(self.words.payload),
                    self.words.ready.eq(1),
                    ends.eq(taken + 1 == step.count),
                ]
                with m.If(self.words.valid & self.words.ready):
                    m.d.sync += taken.eq(taken + 1)
                    with m.If(ends):
                        self._step(m, step, here, last_sequence)
                        m.next = "Fetch"
            with m.State("Next"):
                more, last = Signal(), Signal()
                now, of_now = token[self.sequence], left[self.sequence]
                m.d.comb += [
                    last.eq(now.last),
                    self.waits_host.eq(last & ~self.tokens.ready),
                    more.eq(last & (of_now != 1)),
                    self.tokens.valid.eq(last),
                    self.tokens.payload.eq(self.found[self.sequence]),
                ]
                with m.If(~last | self.tokens.ready):
                    turn()
                    m.d.sync += [
                        now.token.eq(self.found[self.sequence]),
                        of_now.eq(of_now - last),
                        own[self.sequence].eq(more),
                        every.eq(~last_sequence & more & (every | (self.sequence == 0))),
                    ]
                    with m.If(last_sequence):
                        m.d.comb += context.advance.eq(1)
                        m.d.sync += here.eq(0)
                        with m.If(more & (every | (self._sequences == 1))):
                            m.next = "Fetch"
                        with m.Else():
                            m.next = "Idle"
        return m

    def _step(self, m: Module, step, here, last_sequence) -> None:
        """On to the next descriptor, or to the same of the next sequence."""
        if self._sequences == 1:
            m.d.sync += here.eq(here + 1)
            return
        operation = step.operation
        attends = operation == Operation.ATTEND
        serves_all = (operation == Operation.MATRIX) | (operation == Operation.TURNS) | attends
        with m.If(serves_all | last_sequence):
            m.d.sync += here.eq(here + 1)
            with m.If(~attends):
                m.d.sync += [self.sequence.eq(0), self._pages.eq(0)]
        with m.Else():
            m.d.sync += [
                self.sequence.eq(self.sequence + 1),
                self._pages.eq(self._pages + step.between),
            ]
            with m.If(operation == Operation.QUERIES):
                m.d.sync += here.eq(here - 1)

    def _begin(self, m: Module, step) -> None:
        """A job for each unit that a descriptor needs, all in one cycle."""
        operation = step.operation
        self._begun = begun = Signal()
        free = Signal()
        is_ = {kind: Signal(name=f"does_{kind.name.lower()}") for kind in Operation}
        m.d.comb += [is_[kind].eq(operation == kind) for kind in Operation]
        path, send, gather = self.paths.payload, self.sends.payload, self.gathers.payload
        attend = self.attends.payload
        works = Cat(
            is_[kind]
            for kind in (
                *(Operation.NORM, Operation.KEYS, Operation.VALUES),
                *(Operation.QUERIES, Operation.GATE),
            )
        ).any()
        makes = is_[Operation.NORM] | is_[Operation.GATE] | is_[Operation.ATTEND]
        matrix, norm, attends, exchange = (
            is_[kind]
            for kind in (Operation.MATRIX, Operation.NORM, Operation.ATTEND, Operation.EXCHANGE)
        )
        # Of another chip's token, or without any token of its own.
        context = self._context
        empty = context.rows == 0
        skips = ((is_[Operation.KEYS] | is_[Operation.VALUES]) & ~context.owns) | (
            is_[Operation.QUERIES] & empty
        )
        of_words = step.target == Target.WORDS.value
        of_sums = step.target == Target.RESIDUAL.value
        uses_residual = self.working & ~self.using_words
        m.d.comb += free.eq(
            ~Cat(
                (matrix | norm) & self.gathering,
                (matrix | norm | exchange) & self.exchanging,
                (matrix | makes) & self.sending,
                (matrix | exchange) & of_words & self.using_words,
                (matrix | exchange) & of_sums & uses_residual,
                (works | attends) & self.working,
                attends & (~self.appended | self.attending | self.sharing),
            ).any()
        )
        m.d.comb += [
            begun.eq(free),
            self.sends.valid.eq(free & is_[Operation.MATRIX]),
            self.gathers.valid.eq(free & is_[Operation.MATRIX]),
            self.paths.valid.eq(free & works & ~skips),
            self.attends.valid.eq(free & attends & ~empty),
            self.attends_begin.eq(free & attends & (self.sequence == 0)),
            self.clear.eq(free & makes),
            self.keys_begin.eq(free & (is_[Operation.KEYS] | is_[Operation.VALUES]) & ~skips),
            self.queries_begin.eq(free & is_[Operation.QUERIES] & ~skips),
            send.first.eq(step.block),
            send.blocks.eq(step.blocks),
            send.times.eq(step.times),
            gather.target.eq(step.target),
            gather.rows.eq(step.rows),
            gather.extra.eq(step.extra),
            gather.first.eq(step.first),
            path.operation.eq(operation),
            path.sequence.eq(self.sequence),
            path.first.eq(step.first),
            path.count.eq(step.count),
            path.fraction_bits.eq(step.fraction_bits),
            path.epsilon.eq(step.epsilon),
            attend.page.eq(step.page + self._pages),
            attend.stride.eq(step.stride),
            attend.heads.eq(step.count),
            attend.rows.eq(context.rows),
        ]
        if self._config.chips > 1:
            shared = self.exchanges.payload
            m.d.comb += [
                self.exchanges.valid.eq(free & exchange),
                shared.target.eq(step.target),
                shared.sequence.eq(self.sequence),
                shared.gathers.eq(step.gathers),
                shared.first.eq(step.first),
                shared.count.eq(step.count),
            ]
        if self._config.context_chips > 1:
            share = self.shares.payload
            m.d.comb += [
                self.shares.valid.eq(free & attends),
                share.heads.eq(step.count),
                share.empty.eq(empty),
            ]
        with m.If(self.keys_begin):
            m.d.sync += [
                self.rows_page.eq(step.page + self._pages),
                self.rows_stride.eq(step.stride),
            ]
