"""What a vault takes: never without room for it, and a run page by page."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal
from amaranth.utils import exact_log2

from neardecode.config import Stack
from neardecode.stack.front import VaultFront

__all__ = ["ObservedVaultFront", "VaultFrontProperties"]


class ObservedVaultFront(VaultFront):
    """The front, with how many pages of a run it has taken."""

    def __init__(self, config: Stack):
        super().__init__(config)
        self.done = self._done


class VaultFrontProperties(Elaboratable):
    """Anything asked, room or none at any time.

    Args:
        front: The front.
        config: What it was made with.
    """

    def __init__(self, front: ObservedVaultFront, config: Stack):
        self.front = front
        self.config = config

    def elaborate(self, platform) -> Module:
        """The front in a free environment, and the pages of the run that is under way."""
        m = Module()
        m.submodules.front = front = self.front
        for name in ("enable", "retired", "place", "page_fits", "beat_fits"):
            port = getattr(front, name)
            m.d.comb += port.eq(AnySeq(len(port)))
        for stream in (front.requests, front.reads, front.writes):
            bits = stream.payload.as_value()
            m.d.comb += [stream.valid.eq(AnySeq(1)), bits.eq(AnySeq(len(bits)))]
        for stream in (front.accesses, front.answers, front.data):
            m.d.comb += stream.ready.eq(AnySeq(1))
        request, requests = front.requests.payload.as_value(), front.requests
        waited, before = Signal(), Signal(len(request))
        m.d.sync += [waited.eq(requests.valid & ~requests.ready), before.eq(request)]
        m.d.comb += [
            Assume(~waited | (requests.valid & (request == before)), "what is asked stays asked"),
            Assume(requests.payload.pages != 0, "a run has pages"),
            Assume(front.beat_fits | ~front.page_fits, "where a page fits a beat does"),
        ]

        access, answer = front.accesses.payload, front.answers.payload
        page_taken = front.answers.valid & ~answer.single
        read_taken = front.reads.valid & front.reads.ready
        write_taken = front.writes.valid & front.writes.ready
        taken = Cat(page_taken, read_taken, write_taken)
        given = Signal(8)
        with m.If(requests.valid & requests.ready):
            m.d.sync += given.eq(0)
        with m.Elif(page_taken):
            m.d.sync += given.eq(given + 1)
        bank_bits = exact_log2(self.config.banks_a_group)
        asked = requests.payload.address + given
        beyond = asked[exact_log2(self.config.pages) :].any()
        m.d.comb += [
            Assert(~front.accesses.valid | front.accesses.ready, "an access has room"),
            Assert(
                ~front.answers.valid | Mux(answer.single, front.beat_fits, front.page_fits),
                "an answer has places",
            ),
            Assert(~front.data.valid | front.data.ready, "a write's data has room"),
            Assert(
                front.enable | ~taken.any(),
                "nothing is taken before the TSVs are tested",
            ),
            Assert(
                (taken & (taken - 1)) == 0,
                "one is taken at a time",
            ),
            Assert(
                ~front.retired | ~(front.accesses.valid | front.data.valid),
                "nothing reaches a vault that is retired",
            ),
            Assert(
                ~front.answers.valid | (answer.error == ~(front.accesses.valid & ~access.write)),
                "a read is answered, and has its access or an error",
            ),
            Assert(
                (front.accesses.valid & access.write) == front.data.valid,
                "a write has its data",
            ),
            Assert(given == front.done, "the pages of a run are counted"),
            Assert(
                (given == 0) | (requests.valid & (given < requests.payload.pages)),
                "a run that is begun goes on",
            ),
            Assert(
                ~requests.ready | (page_taken & (given + 1 == requests.payload.pages)),
                "a run ends with its last page",
            ),
            Assert(
                ~page_taken
                | beyond
                | front.retired
                | (Cat(access.bank, access.row) == asked[: bank_bits + len(access.row)]),
                "a page of a run is the next one",
            ),
            Assert(~page_taken | (answer.error == (beyond | front.retired)), "no page is beyond"),
            Cover(requests.valid & requests.ready & (given == 2), "a run of three pages ends"),
        ]
        return m
