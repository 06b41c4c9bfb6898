"""The activations that slices multiply with: written block by block, sent to all of them."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock
from neardecode.config import Config
from neardecode.vector.quantiser import ScaledBlock

__all__ = ["ActivationStore", "PlacedBlock", "SendJob"]


class PlacedBlock(data.StructLayout):
    """A block of the activations.

    Fields:
        place: Which of its sequence's.
        sequence: Whose.
        block: Its elements.
    """

    def __init__(self, config: Config):
        assert config.decoder is not None
        super().__init__(
            {
                "place": unsigned(ceil_log2(config.decoder.activation_blocks)),
                "sequence": unsigned(ceil_log2(config.decoder.sequences)),
                "block": ScaledBlock(config.compute.activation_bits),
            }
        )


class SendJob(data.StructLayout):
    """Activations to send.

    Fields:
        first: The first block.
        blocks: So many from there on, at least 1.
        times: How often, one after the other, at least 1.
    """

    def __init__(self, config: Config):
        assert config.decoder is not None
        super().__init__(
            {
                "first": unsigned(ceil_log2(config.decoder.activation_blocks)),
                "blocks": unsigned(ceil_log2(config.decoder.activation_blocks + 1)),
                "times": 4,
            }
        )


class ActivationStore(wiring.Component):
    """Blocks wait here until the slices take them; sending waits for blocks that are missing.

    Of several sequences those of the first are sent, then those of the next.

    Latency: a block that is written is offered two cycles later. Rate: a block a cycle.

    Parameters:
        config: A configuration with a decoder.

    Members:
        clear: In(1). All blocks of a sequence are missing from here on; only where it is not busy.
        cleared: In. Which sequence's.
        blocks: In(stream of `PlacedBlock`). Always taken.
        jobs: In(stream of `SendJob`).
        sent: Out(stream of `ActivationBlock`).
        busy: Out(1). A job is not done.
        missing: Out(1). It waits for a block.
    """

    clear: Signal
    cleared: Signal
    blocks: stream.Interface
    jobs: stream.Interface
    sent: stream.Interface
    busy: Signal
    missing: Signal

    def __init__(self, config: Config):
        assert config.decoder is not None
        self._config, self._places = config, config.decoder.activation_blocks
        self._sequences = config.decoder.sequences
        super().__init__(
            {
                "clear": In(1),
                "cleared": In(range(self._sequences)),
                "blocks": In(stream.Signature(PlacedBlock(config), always_ready=True)),
                "jobs": In(stream.Signature(SendJob(config))),
                "sent": Out(stream.Signature(ActivationBlock(config.compute))),
                "busy": Out(1),
                "missing": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A memory, a bit a block, and the place that is sent next."""
        m = Module()
        given, sent = self.blocks.payload, self.sent.payload
        shape = data.StructLayout(
            {"elements": sent.elements.shape(), "exponent": sent.exponent.shape()}
        )
        m.submodules.memory = memory = Memory(
            shape=shape, depth=self._places * self._sequences, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        there = Signal(self._places * self._sequences)
        place, times = Signal(range(self._places)), Signal(4)
        sequence, at = Signal(range(self._sequences)), Signal(range(len(there)))
        job = Signal(SendJob(self._config))
        sending, held, last = Signal(), Signal(), Signal()
        advance, reads, ends_round, ends = Signal(), Signal(), Signal(), Signal()
        written = Cat(given.place, given.sequence)
        m.d.comb += [
            at.eq(Cat(place, sequence)),
            write.addr.eq(written),
            write.data.elements.eq(given.block.elements),
            write.data.exponent.eq(given.block.exponent),
            write.en.eq(self.blocks.valid),
            self.busy.eq(sending | held),
            self.missing.eq(sending & ~there.bit_select(at, 1)),
            self.jobs.ready.eq(~self.busy),
            advance.eq(~held | self.sent.ready),
            reads.eq(sending & advance & there.bit_select(at, 1)),
            ends_round.eq(place + 1 == job.first + job.blocks),
            ends.eq(ends_round & (times + 1 == job.times)),
            read.addr.eq(at),
            read.en.eq(reads),
            self.sent.valid.eq(held),
            sent.elements.eq(read.data.elements),
            sent.exponent.eq(read.data.exponent),
            sent.last.eq(last),
        ]
        with m.If(advance):
            m.d.sync += [held.eq(reads), last.eq(ends)]
        with m.If(reads):
            m.d.sync += place.eq(Mux(ends_round, job.first, place + 1))
            with m.If(ends):
                m.d.sync += [
                    times.eq(0),
                    sequence.eq(sequence + 1),
                    sending.eq(sequence != self._sequences - 1),
                ]
            with m.Elif(ends_round):
                m.d.sync += times.eq(times + 1)
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [
                job.eq(self.jobs.payload),
                sending.eq(1),
                times.eq(0),
                sequence.eq(0),
                place.eq(self.jobs.payload.first),
            ]
        kept = Cat(
            (~self.clear | (self.cleared != each)).replicate(self._places)
            for each in range(self._sequences)
        )
        m.d.sync += there.eq((there & kept) | Mux(self.blocks.valid, 1 << written, 0))
        return m
