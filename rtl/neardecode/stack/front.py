"""What a vault is asked, one access after the other."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Stack
from neardecode.lib.arbiter import RoundRobin
from neardecode.lib.page import BeatRequest, BeatWrite, PageRequest
from neardecode.stack.access import Access
from neardecode.stack.read_buffer import Answer

__all__ = ["VaultFront"]


class VaultFront(wiring.Component):
    """Takes pages, beats and writes in turn, and divides runs into pages.

    Each of them waits until there is room for what it needs. Latency: none. Rate: one a cycle. A
    page beyond the vault has an answer and no access; so has everything once the vault is
    ``retired``, when writes are dropped.

    Parameters:
        config: The stack section of a configuration.

    Members:
        enable: In(1). Anything is taken.
        retired: In(1). The vault cannot be reached.
        requests: In(stream of `PageRequest`).
        reads: In(stream of `BeatRequest`).
        writes: In(stream of `BeatWrite`).
        accesses: Out(stream of `Access`).
        answers: Out(stream of `Answer`). Those of reads, with their accesses.
        data: Out(stream of {data, strobe}). Those of writes, with their accesses.
        place: In. The next answer's.
        page_fits, beat_fits: In(1). There is room for it.
        held: Out(1). Something is asked, and there is no room.
    """

    enable: Signal
    retired: Signal
    requests: stream.Interface
    reads: stream.Interface
    writes: stream.Interface
    accesses: stream.Interface
    answers: stream.Interface
    data: stream.Interface
    place: Signal
    page_fits: Signal
    beat_fits: Signal
    held: Signal

    def __init__(self, config: Stack):
        self._config = config
        self._done = Signal(8, name="done")
        address, beats = exact_log2(config.pages), config.page_beats
        super().__init__(
            {
                "enable": In(1),
                "retired": In(1),
                "requests": In(stream.Signature(PageRequest(address))),
                "reads": In(stream.Signature(BeatRequest(address, beats))),
                "writes": In(stream.Signature(BeatWrite(address, beats, config.beat_bytes))),
                "accesses": Out(stream.Signature(Access(config))),
                "answers": Out(stream.Signature(Answer())),
                "data": Out(stream.Signature(WrittenBeat(config))),
                "place": In(exact_log2(config.buffer_beats)),
                "page_fits": In(1),
                "beat_fits": In(1),
                "held": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Whose turn it is, and its access."""
        m = Module()
        config = self._config
        m.submodules.turn = turn = RoundRobin(3)
        request, read, write = (each.payload for each in (self.requests, self.reads, self.writes))
        done = self._done
        pages = exact_log2(config.pages)
        page = Signal(max(pages + 1, len(done)) + 1)
        last, beyond, taken = Signal(), Signal(), Signal()
        room = self.enable & self.accesses.ready
        m.d.comb += [
            turn.requests.eq(
                Cat(
                    self.requests.valid & room & self.page_fits,
                    self.reads.valid & room & self.beat_fits,
                    self.writes.valid & room & self.data.ready,
                )
            ),
            turn.advance.eq(1),
            taken.eq(turn.requests.any()),
            self.held.eq((self.requests.valid | self.reads.valid | self.writes.valid) & ~taken),
            last.eq(done + 1 >= request.pages),
            page.eq(request.address + done),
            self.requests.ready.eq(turn.grants[0] & last),
            self.reads.ready.eq(turn.grants[1]),
            self.writes.ready.eq(turn.grants[2]),
        ]
        with m.If(turn.grants[0]):
            m.d.sync += done.eq(Mux(last, 0, done + 1))

        access, answer = self.accesses.payload, self.answers.payload
        address = Signal(pages + 1)
        bank_bits = exact_log2(config.banks_a_group)
        with m.If(turn.grants[0]):
            # An address beyond the vault stays beyond it, however long the run.
            m.d.comb += address.eq(Cat(page[:pages], page[pages:].any()))
        with m.Elif(turn.grants[1]):
            m.d.comb += [address.eq(read.page), access.beat.eq(read.beat)]
        with m.Else():
            m.d.comb += [address.eq(write.page), access.beat.eq(write.beat)]
        m.d.comb += [
            beyond.eq(address[-1] | self.retired),
            access.write.eq(turn.grants[2]),
            access.bank.eq(address[:bank_bits]),
            access.row.eq(address[bank_bits:-1]),
            access.left.eq(Mux(turn.grants[0], config.page_beats - 1, 0)),
            access.place.eq(self.place),
            self.accesses.valid.eq(taken & ~beyond),
            self.answers.valid.eq(turn.grants[:2].any()),
            answer.single.eq(turn.grants[1]),
            answer.error.eq(beyond),
            answer.tag.eq(Mux(turn.grants[1], read.tag, request.tag)),
            self.data.valid.eq(turn.grants[2] & ~self.retired),
            self.data.payload.data.eq(write.data),
            self.data.payload.strobe.eq(write.strobe),
        ]
        return m


class WrittenBeat(data.StructLayout):
    """A beat on its way to the DRAM: its bytes, and which of them are written."""

    def __init__(self, config: Stack):
        super().__init__({"data": 8 * config.beat_bytes, "strobe": config.beat_bytes})
