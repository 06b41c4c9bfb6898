"""A fair choice of one among many."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.one_hot import one_hot_index

__all__ = ["RoundRobin"]


class RoundRobin(wiring.Component):
    """Grant one of the requests, each in its turn.

    The rule, for a pointer that stands at 0 after reset:

    1. The grant goes to the first request at or after the pointer, counting on from ``width - 1``
       to 0; without a request there is no grant.
    2. A grant that is used (``advance`` high) moves the pointer to just after the granted index.
    3. A grant that is not used (``advance`` low) moves the pointer to the granted index itself. So
       the grant holds while its request does, whatever other requests come, as a stream's payload
       must; if the request is withdrawn, the search goes on from there.
    4. Without a request the pointer stays, and ``advance`` means nothing.

    The pointer never passes a request that waits, and each used grant moves it by at least one:
    a request that stays is granted, at the latest, with the ``width``-th advance.

    Latency: none, a path from ``requests`` to ``grants`` and ``index``. Rate: one grant a cycle.

    Parameters:
        width: Requesters.

    Members:
        requests: ``In(width)``.
        advance: ``In(1)``. The grant is used in this cycle.
        grants: ``Out(width)``. One-hot, or zero without a request.
        index: ``Out(range(width))``. Index of the grant; zero without a request.

    Raises:
        ValueError: if ``width`` is not a positive integer.
    """

    requests: Signal
    advance: Signal
    grants: Signal
    index: Signal

    def __init__(self, width: int):
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be a positive integer, not {width!r}")
        self._width = width
        # The pointer as a mask of the indices at or after it. A pointer past the end is an empty
        # mask, which chooses as pointer 0 does.
        self._at_or_after = Signal(width, name="at_or_after", init=-1)
        super().__init__(
            {
                "requests": In(width),
                "advance": In(1),
                "grants": Out(width),
                "index": Out(range(width)),
            }
        )

    @property
    def width(self) -> int:
        """Requesters."""
        return self._width

    def elaborate(self, platform) -> Module:
        """Masks of the requests, and the pointer."""
        m = Module()

        at_or_after = self._at_or_after
        ahead = Signal(self._width)
        candidates = Signal(self._width)
        upward = [Signal(self._width, name=f"upward_{reach}") for reach in self._reaches()]
        from_grant = upward[-1] if upward else candidates
        past_grant = _shifted(from_grant, 1)

        m.d.comb += [
            ahead.eq(self.requests & at_or_after),
            candidates.eq(Mux(ahead.any(), ahead, self.requests)),
            # The mask from the lowest candidate upwards, in steps that double its reach. A
            # negation says the same with a carry chain, and needs one bit more than the requests.
            *(
                mask.eq(below | _shifted(below, reach))
                for reach, below, mask in zip(
                    self._reaches(), [candidates, *upward], upward, strict=False
                )
            ),
            self.grants.eq(from_grant & ~past_grant),
            self.index.eq(one_hot_index(self.grants)),
        ]

        with m.If(self.requests.any()):
            m.d.sync += at_or_after.eq(Mux(self.advance, past_grant, from_grant))

        return m

    def _reaches(self) -> list[int]:
        """Powers of two below the width."""
        return [1 << step for step in range((self._width - 1).bit_length())]


def _shifted(mask: Signal, places: int) -> Value:
    """A mask moved up within its own width."""
    return Cat(Const(0, places), mask[:-places])
