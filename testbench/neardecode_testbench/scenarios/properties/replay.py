"""Go-back-N over lanes that lose any frame: every unit comes once, in order and unchanged."""

from itertools import pairwise

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Cover, Elaboratable, Module, Mux, Signal, Value
from amaranth.utils import exact_log2

from neardecode.config import Protection
from neardecode.fabric.link_credits import AbsoluteCredits
from neardecode.fabric.replay import ReplaySender
from neardecode.fabric.replay_receiver import ReplayReceiver

__all__ = [
    "AbsoluteCreditProperties",
    "ObservedAbsoluteCredits",
    "ObservedReplaySender",
    "ReplayProperties",
]

NUMBER_BITS = 6
"""Of the numbers kept beside the design's, which tell apart what the design's few bits do not."""


class ObservedReplaySender(ReplaySender):
    """A sender that shows its numbers and what it keeps."""

    @property
    def numbers(self) -> tuple[Signal, Signal, Signal, Signal]:
        """Oldest, next sent, furthest, next taken."""
        return self._oldest, self._next_sent, self._furthest, self._next_taken

    def kept(self, m: Module, number: Value) -> Value:
        """The unit in the place of a number."""
        port = self._kept.read_port(domain="comb")
        m.d.comb += port.addr.eq(number[: exact_log2(self._window)])
        return port.data


class ObservedAbsoluteCredits(AbsoluteCredits):
    """Credits that show their counts."""

    @property
    def counts(self) -> tuple[Signal, Signal]:
        """Sent, and known to have left."""
        return self._sent, self._left


def _at_most(lower: Value, upper: Value) -> Value:
    """Whether a number is not behind another; they are fewer than half of all numbers apart."""
    return ~(upper - lower)[NUMBER_BITS - 1]


class ReplayProperties(Elaboratable):
    """Sender and receiver, joined by registers that drop frames at will.

    One unit, any, is chosen as it is taken; it is delivered in its turn as it came in. Nothing is
    delivered that was not taken.

    Args:
        sender: One end, its units of a few bits.
        receiver: The other.
        protection: Their link; policy ``retry``, one channel.
        stages: Registers each way.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(
        self,
        sender: ObservedReplaySender,
        receiver: ReplayReceiver,
        protection: Protection,
        stages: int,
        invariants: bool = True,
    ):
        self.sender = sender
        self.receiver = receiver
        self.window = protection.window
        self.stages = stages
        self.invariants = invariants

    def elaborate(self, platform) -> Module:
        """The ends, the registers, and numbers that do not wrap."""
        m = Module()
        m.submodules.sender = sender = self.sender
        m.submodules.receiver = receiver = self.receiver
        unit_bits = len(Value.cast(sender.unit))

        def number(name: str) -> Signal:
            return Signal(NUMBER_BITS, name=name)

        oldest, next_sent, furthest = number("oldest"), number("next_sent"), number("furthest")
        taken, expected = number("taken"), number("expected")
        takes = sender.units.valid & sender.units.ready
        unit = Value.cast(sender.units.payload)
        choose, chosen, chosen_number = Signal(), Signal(), number("chosen_number")
        chosen_unit = Signal(unit_bits)
        m.d.comb += [
            sender.units.valid.eq(AnySeq(1)),
            unit.eq(AnySeq(unit_bits)),
            choose.eq(AnySeq(1)),
        ]

        # From the sender's output on: whether a frame is still there, and what it says.
        frames = []
        there = Signal(name="there")
        sequence = number("sequence")
        m.d.comb += there.eq(1)
        m.d.sync += sequence.eq(next_sent)
        frames.append((there, sender.filled, sequence, Value.cast(sender.unit)))
        for stage in range(self.stages):
            before = frames[-1]
            keep = Signal(name=f"keep_{stage}")
            after = (
                Signal(name=f"there_{stage}"),
                Signal(name=f"filled_{stage}"),
                number(f"sequence_{stage}"),
                Signal(unit_bits, name=f"unit_{stage}"),
            )
            m.d.comb += keep.eq(AnySeq(1))
            m.d.sync += [new.eq(old) for new, old in zip(after[1:], before[1:], strict=True)]
            m.d.sync += after[0].eq(before[0] & keep)
            frames.append(after)
        there, filled, sequence, carried = frames[-1]
        m.d.comb += [
            receiver.good.eq(there),
            receiver.frame.filled.eq(filled),
            receiver.frame.sequence.eq(sequence),
            Value.cast(receiver.frame.unit).eq(carried),
        ]

        answers = [(Signal(name="answer"), expected, receiver.behind)]
        m.d.comb += answers[0][0].eq(1)
        for stage in range(self.stages):
            before = answers[-1]
            keep = Signal(name=f"keep_answer_{stage}")
            after = (
                Signal(name=f"answer_{stage}"),
                number(f"expected_{stage}"),
                Signal(name=f"behind_{stage}"),
            )
            m.d.comb += keep.eq(AnySeq(1))
            m.d.sync += [
                after[0].eq(before[0] & keep),
                after[1].eq(before[1]),
                after[2].eq(before[2]),
            ]
            answers.append(after)
        heard, heard_expected, heard_behind = answers[-1]
        m.d.comb += [
            sender.heard.eq(heard),
            sender.expected.eq(heard_expected),
            sender.behind.eq(heard_behind),
        ]

        sends = sender.first | sender.again
        after_sent = number("after_sent")
        m.d.comb += after_sent.eq(next_sent + sends)
        m.d.sync += [
            taken.eq(taken + takes),
            expected.eq(expected + receiver.valid),
            furthest.eq(furthest + sender.first),
            oldest.eq(Mux(heard, heard_expected, oldest)),
            next_sent.eq(Mux(sender.replays, heard_expected, after_sent)),
        ]
        with m.If(takes & choose & ~chosen):
            m.d.sync += [chosen.eq(1), chosen_number.eq(taken), chosen_unit.eq(unit)]
        with m.If(chosen & receiver.valid & (expected == chosen_number)):
            m.d.sync += chosen.eq(0)
        delivered = Value.cast(receiver.delivered.unit)
        due = chosen & receiver.valid & (expected == chosen_number)
        m.d.comb += [
            Assert(
                ~receiver.valid | (expected != taken), "nothing is delivered that was not taken"
            ),
            Assert(
                ~due | (delivered == chosen_unit), "a unit is delivered as it came, in its turn"
            ),
            Cover(due & sender.again, "a chosen unit is delivered while others are sent again"),
            Cover(receiver.duplicate, "a unit comes again"),
        ]

        if not self.invariants:
            return m
        self._invariants(
            m,
            [oldest, next_sent, furthest, taken],
            expected,
            [answer[1] for answer in answers],
            frames,
        )
        mine = chosen & _at_most(oldest, chosen_number)
        m.d.comb += [
            Assert(~chosen | _at_most(expected, chosen_number), "a chosen unit is not out yet"),
            Assert(~chosen | ~_at_most(taken, chosen_number), "a chosen unit is inside"),
            Assert(
                ~mine | (sender.kept(m, chosen_number) == chosen_unit),
                "a chosen unit is kept as it came",
            ),
            *(
                Assert(
                    ~(chosen & there & filled & (sequence == chosen_number))
                    | (carried == chosen_unit),
                    "a chosen unit is in flight as it came",
                )
                for there, filled, sequence, carried in frames
            ),
        ]
        return m

    def _invariants(self, m, numbers, expected, answers, frames) -> None:
        """The order of all numbers, and that the design's are their low bits."""
        oldest, next_sent, furthest, taken = numbers
        window = self.window
        low = len(self.receiver.expected)
        for wide, narrow in zip(numbers, self.sender.numbers, strict=True):
            m.d.comb += Assert(wide[:low] == narrow, "the numbers are those of the design")
        m.d.comb += Assert(expected[:low] == self.receiver.expected, "so is that of the receiver")
        m.d.comb += Assert(frames[0][2][:low] == self.sender.sequence, "so is the frame's")
        ordered = [oldest, *reversed(answers), furthest, taken, oldest + window]
        for lower, upper in (
            *pairwise(ordered),
            (oldest, next_sent),
            (next_sent, furthest),
        ):
            # Sums of a number and a constant are cut to a number's bits.
            m.d.comb += Assert(
                _at_most(lower[:NUMBER_BITS], upper[:NUMBER_BITS])
                & ((upper - lower)[:NUMBER_BITS] <= window),
                "the numbers are in order",
            )
        for distance, answer in enumerate(reversed(answers)):
            m.d.comb += Assert(
                _at_most(answer, (next_sent + distance + 1)[:NUMBER_BITS]),
                "no answer overtakes what is sent",
            )
        for newer, older in pairwise(answers):
            m.d.comb += Assert((newer - older)[:NUMBER_BITS] <= 1, "answers go up one by one")
        for place, (_, filled, sequence, _) in enumerate(frames):
            end = (sequence + filled)[:NUMBER_BITS]
            m.d.comb += [
                Assert(_at_most(end, furthest), "a frame was sent"),
                Assert(
                    _at_most(expected, Mux(filled, sequence + window, sequence)[:NUMBER_BITS]),
                    "a frame is not older than a window",
                ),
                Assert(
                    _at_most((furthest - 4 * window)[:NUMBER_BITS], sequence),
                    "a frame is not much older",
                ),
            ]
            for _, older_filled, older, _ in frames[place + 1 :]:
                older_end = (older + older_filled)[:NUMBER_BITS]
                m.d.comb += Assert(
                    _at_most(older_end, Mux(filled, sequence + window, sequence)[:NUMBER_BITS]),
                    "an older frame is not ahead by more than a window",
                )


class AbsoluteCreditProperties(Elaboratable):
    """Credits at one end, a buffer at the other, and counts on their way that get lost at will.

    The buffer never holds more than its entries, and units on their way fit too.

    Args:
        credits: What says whether there is room.
        entries: Of the buffer.
        stages: Registers on the way back.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(
        self,
        credits: ObservedAbsoluteCredits,
        entries: int,
        stages: int,
        invariants: bool = True,
    ):
        self.invariants = invariants
        self.credits = credits
        self.entries = entries
        self.stages = stages

    def elaborate(self, platform) -> Module:
        """Counts that do not wrap, beside the design's."""
        m = Module()
        m.submodules.credits = credits = self.credits
        wants, leaves = Signal(), Signal()
        sent, left, known = (Signal(NUMBER_BITS, name=name) for name in ("sent", "left", "known"))
        m.d.comb += [
            wants.eq(AnySeq(1)),
            leaves.eq(AnySeq(1) & (sent != left)),
            credits.sends.eq(wants & credits.available),
        ]
        m.d.sync += [sent.eq(sent + credits.sends), left.eq(left + leaves)]
        told: list[Value] = [left]
        for stage in range(self.stages):
            later = Signal(NUMBER_BITS, name=f"told_{stage}")
            m.d.sync += later.eq(told[-1])
            told.append(later)
        m.d.comb += [credits.heard.eq(AnySeq(1)), credits.released.eq(told[-1])]
        with m.If(credits.heard):
            m.d.sync += known.eq(told[-1])
        bits = len(credits.released)
        ordered = [known, *reversed(told), sent, (known + self.entries)[:NUMBER_BITS]]
        m.d.comb += [
            Assert((sent - left)[:NUMBER_BITS] <= self.entries, "the buffer does not overflow"),
            Cover((sent - left)[:NUMBER_BITS] == self.entries, "the buffer is full"),
        ]
        if not self.invariants:
            return m
        m.d.comb += [
            Assert(sent[:bits] == credits.counts[0], "the counts are those of the design"),
            Assert(known[:bits] == credits.counts[1], "the counts are those of the design"),
            *(
                Assert((upper - lower)[:NUMBER_BITS] <= self.entries, "the counts are in order")
                for lower, upper in pairwise(ordered)
            ),
        ]
        return m
