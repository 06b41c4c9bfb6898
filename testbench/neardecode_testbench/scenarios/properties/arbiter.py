"""A fair arbiter: one grant at a time, which holds, and nobody waits for ever."""

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Module, Mux, Signal, Value

from neardecode.lib import RoundRobin

__all__ = ["ObservedRoundRobin", "RoundRobinProperties"]


class ObservedRoundRobin(RoundRobin):
    """An arbiter that shows its pointer, as the mask of the indices at or after it."""

    @property
    def at_or_after(self) -> Signal:
        """The mask."""
        return self._at_or_after


class RoundRobinProperties(Elaboratable):
    """At most one grant, only to a request, always if there is one; it holds; waits are bounded.

    One requester, any, is chosen for all time; while it waits, the grants used by others are
    counted.

    Args:
        arbiter: The arbiter.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(self, arbiter: ObservedRoundRobin, invariants: bool = True):
        self.arbiter = arbiter
        self.invariants = invariants

    def elaborate(self, platform) -> Module:
        """The arbiter in a free environment and the count of a requester's wait."""
        m = Module()
        m.submodules.arbiter = arbiter = self.arbiter
        width = arbiter.width
        requests, grants = arbiter.requests, arbiter.grants

        chosen = Signal(width)
        choice = AnyConst(width)
        m.d.comb += [
            requests.eq(AnySeq(width)),
            arbiter.advance.eq(AnySeq(1)),
            chosen.eq(choice),
            Assume(_ones(chosen) == 1, "one requester is chosen"),
        ]
        chosen_requests, chosen_granted = (requests & chosen).any(), (grants & chosen).any()

        used_by_others = Signal(range(width + 1))
        with m.If(~chosen_requests | (chosen_granted & arbiter.advance)):
            m.d.sync += used_by_others.eq(0)
        with m.Elif(~chosen_granted & arbiter.advance):
            m.d.sync += used_by_others.eq(used_by_others + 1)

        unused = Signal(width)
        m.d.sync += unused.eq(Mux(arbiter.advance, 0, grants))

        m.d.comb += [
            Assert((grants & (grants - 1)) == 0, "at most one grant"),
            Assert((grants & ~requests) == 0, "a grant goes to a request"),
            Assert(grants.any() == requests.any(), "a request brings a grant"),
            Assert(
                ~grants.any() | (grants == (1 << arbiter.index)), "the index is that of the grant"
            ),
            Assert(grants.any() | (arbiter.index == 0), "without a grant the index is zero"),
            Assert(
                ~(unused & requests).any() | (grants == unused),
                "an unused grant holds while its request does",
            ),
            Assert(used_by_others < width, "a request waits for fewer than width grants"),
            Cover(used_by_others == width - 1, "a request waits for all others"),
        ]
        if not self.invariants:
            return m

        # From the pointer on to the chosen requester, past the end where it must.
        mask = arbiter.at_or_after
        below_chosen = (chosen - 1)[:width]
        distance = Signal(range(width + 1))
        m.d.comb += [
            distance.eq(
                Mux(
                    (mask & chosen).any(),
                    _ones(mask & below_chosen),
                    _ones(mask) + _ones(below_chosen),
                )
            ),
            Assert((~mask & (~mask + 1)[:width]) == 0, "the mask has no gap"),
            Assert(used_by_others + distance < width, "a used grant comes nearer to who waits"),
        ]
        return m


def _ones(value: Value) -> Value:
    """How many bits are set."""
    return sum((value[bit] for bit in range(1, len(value))), start=value[0])
