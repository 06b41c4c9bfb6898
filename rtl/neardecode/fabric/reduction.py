"""A node of a reduction tree: words are added on their way up, and the sums come down to all."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import ReductionCause
from neardecode.fabric.landing import LandingBuffer
from neardecode.lib.counters import CycleCounters
from neardecode.lib.credit import CreditInterface, CreditReceiver, CreditSender, CreditSignature

__all__ = ["ReducedWord", "ReductionCommand", "ReductionNode"]

LENGTH_BITS = 24


class ReductionCommand(data.StructLayout):
    """One message, the same ``words`` at every node of the tree.

    A node gives the words from ``first`` on, ``own`` of them, and zeros in all other places. All
    words from every node: an all-reduce. All from one and none from the others: a broadcast. From
    each its own places: an all-gather.

    Fields: ``words`` (at least 1), ``first``, ``own``; 24 bits each.
    """

    def __init__(self):
        super().__init__({"words": LENGTH_BITS, "first": LENGTH_BITS, "own": LENGTH_BITS})


class ReducedWord(data.StructLayout):
    """A result: ``word``, two's complement, and whether it is at its limit for want of bits.

    Of several lanes ``word`` holds one a lane, the first lowest, and any of them may be at its
    limit.

    Parameters:
        width: Bits of a word.
        lanes: Words side by side.
    """

    def __init__(self, width: int, lanes: int = 1):
        super().__init__({"word": width * lanes, "saturated": 1})


class ReductionNode(wiring.Component):
    """Adds a node's words to those of its children, in the order in which they come.

    On their way up sums have as many bits more than words as the tree's nodes can fill, so that no
    sum overflows and any order gives the same; the root alone cuts them to a word's bits, saturates
    where that cannot be done, and says so.

    A word goes up in the cycle in which the last of its addends is there; it is with the parent a
    link's latency and one cycle later, and so is a result with a child. At this node it is two
    cycles later. Rate one word a cycle with ``credits`` of at least ``2 * link latency + 2``.
    A message follows another without a gap. Where results are not taken, everything stops when
    ``landing_words`` have come.

    Several lanes go side by side, each added up by itself: a command then counts transfers of
    ``lanes`` words, and ``contributions`` and results hold as many, the first lowest.

    Parameters:
        width: Bits of a word.
        lanes: Words side by side.
        nodes: Nodes of the tree.
        children: Children of this one.
        root: It has no parent.
        credits: Words that a receiver of a link holds.
        landing_words: Results that wait here to be taken, in SRAM.

    Members:
        commands: In(stream of `ReductionCommand`). Taken with the last word.
        contributions: In(stream of width times lanes). The node's own words, two's complement.
        results: Out(stream of `ReducedWord`).
        up_from: In(`CreditSignature` of sums), an array by child.
        down_to: Out(`CreditSignature` of `ReducedWord`), an array by child.
        up_to: Out(`CreditSignature` of sums). Not at the root.
        down_from: In(`CreditSignature` of `ReducedWord`). Not at the root.
        counting: In(1). Counters run.
        cycles: Out(counts by `ReductionCause`).

    Raises:
        ValueError: if a number is not a positive integer, or ``children`` negative or not below
            ``nodes``.
    """

    commands: stream.Interface
    contributions: stream.Interface
    results: stream.Interface
    up_from: Sequence
    down_to: Sequence
    up_to: CreditInterface
    down_from: CreditInterface
    counting: Signal
    cycles: data.View

    def __init__(
        self,
        *,
        width: int = 64,
        lanes: int = 1,
        nodes: int,
        children: int,
        root: bool,
        credits: int,
        landing_words: int,
    ):
        for name, number in (
            *(("width", width), ("lanes", lanes)),
            *(("nodes", nodes), ("credits", credits)),
        ):
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} must be a positive integer, not {number!r}")
        if not isinstance(children, int) or children not in range(nodes):
            raise ValueError(f"children must be from 0 to {nodes - 1}, not {children!r}")
        self._width, self._lanes = width, lanes
        self._result = ReducedWord(width, lanes)
        self._sum_width = width + ceil_log2(nodes)
        self._children = children
        self._root = root
        self._credits = credits
        self._landing = LandingBuffer(self._result, landing_words)
        self._cycles = CycleCounters(ReductionCause)
        up, down = CreditSignature(self._sum_width * lanes), CreditSignature(self._result)
        super().__init__(
            {
                "commands": In(stream.Signature(ReductionCommand())),
                "contributions": In(stream.Signature(width * lanes)),
                "results": Out(stream.Signature(self._result)),
                "up_from": In(up).array(children),
                "down_to": Out(down).array(children),
                **({} if root else {"up_to": Out(up), "down_from": In(down)}),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """The adder, the way up or around, the way down."""
        m = Module()
        total = Signal(self._sum_width * self._lanes)
        offers, accepted = Signal(), Signal()
        self._add(m, total, offers, accepted)

        result = Signal(self._result)
        arrives, spread = Signal(), Signal()
        self._spread(m, result, arrives, spread)
        if self._root:
            fits = Signal(self._lanes)
            for lane in range(self._lanes):
                one = total.word_select(lane, self._sum_width)
                # It fits if all the bits above a word's sign are like it.
                high = one[self._width - 1 :]
                limit = Cat((~one[-1]).replicate(self._width - 1), one[-1])
                m.d.comb += [
                    fits[lane].eq(high.all() | ~high.any()),
                    result.word.word_select(lane, self._width).eq(
                        Mux(fits[lane], one[: self._width], limit)
                    ),
                ]
            m.d.comb += [
                result.saturated.eq(~fits.all()),
                arrives.eq(offers),
                accepted.eq(spread),
            ]
        else:
            m.submodules.sender = sender = CreditSender(
                self._sum_width * self._lanes, self._credits
            )
            m.submodules.receiver = receiver = CreditReceiver(self._result, self._credits)
            connect(m, sender.link, flipped(self.up_to))
            connect(m, flipped(self.down_from), receiver.link)
            m.d.comb += [
                sender.i.valid.eq(offers),
                sender.i.payload.eq(total),
                accepted.eq(offers & sender.i.ready),
                arrives.eq(receiver.o.valid),
                result.eq(receiver.o.payload),
                receiver.o.ready.eq(spread),
            ]
        return m

    def _add(self, m: Module, total: Signal, offers: Signal, accepted: Signal) -> None:
        """One word of every child, and this node's own where it has one."""
        command = self.commands.payload
        place = Signal(LENGTH_BITS)
        owned, last = Signal(), Signal()
        given = Mux(owned, self.contributions.payload, 0)
        addends: list[list[Value]] = [
            [given.word_select(lane, self._width).as_signed()] for lane in range(self._lanes)
        ]
        there = Signal(self._children)
        for child in range(self._children):
            m.submodules[f"child_{child}"] = receiver = CreditReceiver(
                self._sum_width * self._lanes, self._credits
            )
            connect(m, flipped(self.up_from[child]), receiver.link)
            for lane, words in enumerate(addends):
                words.append(receiver.o.payload.word_select(lane, self._sum_width).as_signed())
            m.d.comb += [there[child].eq(receiver.o.valid), receiver.o.ready.eq(accepted)]
        own_there = Signal()
        m.d.comb += [
            owned.eq((place >= command.first) & (place - command.first < command.own)),
            last.eq(place + 1 == command.words),
            *(
                total.word_select(lane, self._sum_width).eq(sum(words))
                for lane, words in enumerate(addends)
            ),
            own_there.eq(~owned | self.contributions.valid),
            offers.eq(self.commands.valid & there.all() & own_there),
            self.contributions.ready.eq(accepted & owned),
            self.commands.ready.eq(accepted & last),
        ]
        with m.If(accepted):
            m.d.sync += place.eq(Mux(last, 0, place + 1))

        m.submodules.cycle_counters = cycles = self._cycles
        with m.If(accepted):
            m.d.comb += cycles.cause.eq(ReductionCause.BUSY.value)
        with m.Elif(~self.commands.valid):
            m.d.comb += cycles.cause.eq(ReductionCause.IDLE.value)
        with m.Elif(~own_there):
            m.d.comb += cycles.cause.eq(ReductionCause.OWN.value)
        with m.Elif(~there.all()):
            m.d.comb += cycles.cause.eq(ReductionCause.CHILD.value)
        with m.Else():
            m.d.comb += cycles.cause.eq(ReductionCause.CREDIT.value)
        m.d.comb += [cycles.counting.eq(self.counting), self.cycles.eq(cycles.counts)]

    def _spread(self, m: Module, result: data.View, arrives: Signal, spread: Signal) -> None:
        """A result to every child and to this node, in one cycle, when all have room."""
        m.submodules.landing = landing = self._landing
        connect(m, landing.o, flipped(self.results))
        targets = [landing.i]
        for child in range(self._children):
            m.submodules[f"down_{child}"] = sender = CreditSender(self._result, self._credits)
            connect(m, sender.link, flipped(self.down_to[child]))
            targets.append(sender.i)
        m.d.comb += spread.eq(arrives & Cat(target.ready for target in targets).all())
        for target in targets:
            m.d.comb += [target.valid.eq(spread), target.payload.eq(result)]
