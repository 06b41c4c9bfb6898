"""A vault's access queue: every beat of every access once, in order, none starved."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Array, Assert, Cat, Cover, Elaboratable, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from neardecode.config import Stack, VaultCause
from neardecode.lib.one_hot import first_set
from neardecode.stack.access import Access
from neardecode.stack.queue import AccessQueue

__all__ = ["AccessQueueProperties", "ObservedAccessQueue", "free_inputs"]


class ObservedAccessQueue(AccessQueue):
    """The queue, with its entries and which of them gives a beat."""

    def __init__(self, config: Stack):
        super().__init__(config)
        self.entries = self._entries
        self.count = self._count
        self.passed = self._passed
        self.chosen = Signal(config.queue)

    def _choose_column(self, m: Module, readies: list[Signal]) -> None:
        super()._choose_column(m, readies)
        m.d.comb += self.chosen.eq(first_set(Cat(readies)))


def free_inputs(m: Module, queue: AccessQueue) -> None:
    """Banks in any state, ready for anything; any accesses."""
    payload = queue.accesses.payload
    for name, member in queue.signature.members.items():
        if member.flow is In and member.is_port:
            port = getattr(queue, name)
            bits = port.as_value() if isinstance(port, data.View) else port
            m.d.comb += bits.eq(AnySeq(len(bits)))
    m.d.comb += [
        queue.accesses.valid.eq(AnySeq(1)),
        payload.as_value().eq(AnySeq(payload.shape().size)),
    ]


class AccessQueueProperties(Elaboratable):
    """Banks in any state, ready for anything, any accesses, refreshes at any time.

    One access, any, is followed from when it is taken until its last beat.

    Args:
        queue: The queue.
        config: What it was made with.
    """

    def __init__(self, queue: ObservedAccessQueue, config: Stack):
        self.queue = queue
        self.config = config

    def elaborate(self, platform) -> Module:
        """The queue in a free environment, the access that is followed, and who passes whom."""
        m = Module()
        config = self.config
        m.submodules.queue = queue = self.queue
        payload = queue.accesses.payload
        free_inputs(m, queue)
        command, group_bits = queue.column_command, exact_log2(config.bank_groups)
        taken, ends, gives = Signal(), Signal(), Signal()
        followed, follow = Signal(), Signal()
        place = Signal(range(config.queue + 1))
        access = data.View(Access(config), Signal(Access(config).size, name="access"))
        entries = [entry.as_value() for entry in queue.entries]
        left = Array(entry.left for entry in queue.entries)
        number = Signal(range(config.queue))
        m.d.comb += [
            follow.eq(AnySeq(1)),
            taken.eq(queue.accesses.valid & queue.accesses.ready),
        ]
        for index in range(config.queue):
            with m.If(queue.chosen[index]):
                m.d.comb += number.eq(index)
        m.d.comb += [
            ends.eq(command.valid & (left[number] == 0)),
            gives.eq(followed & command.valid & (number == place)),
        ]
        inside = Signal(range(config.queue + 2))
        m.d.sync += inside.eq(inside + taken - ends)
        with m.If(~followed & follow & taken):
            m.d.sync += [followed.eq(1), place.eq(inside - ends), access.eq(payload)]
        with m.Elif(gives):
            m.d.sync += [
                access.beat.eq(access.beat + 1),
                access.left.eq(access.left - 1),
                access.place.eq(access.place + 1),
                followed.eq(access.left != 0),
            ]
        with m.Elif(followed & ends & (number < place)):
            m.d.sync += place.eq(place - 1)

        passes = Signal(range(config.starvation_beats + 2))
        counted = queue.overtakes & (queue.cause != VaultCause.REFRESH.value)
        with m.If(command.valid & (number == 0)):
            m.d.sync += passes.eq(0)
        with m.Elif(counted & (passes <= config.starvation_beats)):
            m.d.sync += passes.eq(passes + 1)
        m.d.comb += [
            Assert(inside <= config.queue, "no more is inside than fits"),
            Assert(inside == queue.count, "the count is what is inside"),
            Assert(queue.accesses.ready == (inside != config.queue), "takes while there is room"),
            Assert(queue.empty == (inside == 0), "empty says that nothing is inside"),
            Assert(~command.valid | (number < inside), "only what is inside gives a beat"),
            Assert(~followed | (place < inside), "an access stays inside until its last beat"),
            Assert(
                ~followed | (Array(entries)[place] == access.as_value()),
                "an access is kept as it came in, less the beats it gave",
            ),
            Assert(
                ~gives
                | (
                    (command.write == access.write)
                    & (command.bank == Cat(access.beat[:group_bits], access.bank))
                    & (command.column == access.beat[group_bits:])
                    & (queue.place == access.place)
                ),
                "a command is the access's next beat",
            ),
            Assert(
                ~command.valid
                | (
                    queue.open.bit_select(command.bank, 1)
                    & ~queue.blocked.bit_select(command.bank, 1)
                ),
                "no beat of a closed row, or of a bank kept for a refresh",
            ),
            Assert(queue.overtakes == (command.valid & (number != 0)), "who passes is told"),
            Assert(passes == queue.passed, "passes are counted"),
            Assert(passes <= config.starvation_beats, "passes have a bound"),
            Assert(
                ~(queue.overtakes & (passes == config.starvation_beats)), "at the bound none passes"
            ),
            *(
                Assert(
                    ~queue.chosen[younger]
                    | ~(
                        (entry.write & other.write)
                        | ((entry.bank == other.bank) & (entry.row == other.row))
                    ),
                    "no write passes a write, no access one of its page",
                )
                for younger, entry in enumerate(queue.entries)
                for other in queue.entries[:younger]
            ),
            Cover(gives & (access.left == 0) & (place != 0), "a younger access ends first"),
        ]
        return m
