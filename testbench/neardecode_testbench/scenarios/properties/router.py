"""One router for all time: credits, buffers, packets, and how long a token can wait."""

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cat, Elaboratable, Module, Mux, Signal, Value

from .router_flits import follow_a_flit, watch_a_token
from .router_state import Channel, ObservedRouter, Way, at_most_one, exactly_one, total

__all__ = ["RouterProperties"]


class RouterProperties(Elaboratable):
    """A router among senders that keep to their credits and receivers that take when they like.

    - One flit, any, is followed from its arrival on: it leaves in its turn, unchanged but for its
      header's route, on the output that leads to its packet's destination and on the channel that
      belongs to it. As many flits leave in a cycle as credits go back, so nothing else leaves.
    - Between a packet's first flit and its last its output's channel carries no other's.
    - An output sends one flit a cycle at most, and never more than its receiver has entries for;
      credits at an output and flits that it has not got back are always as many as at first.
    - A buffer is never written without a free entry (its own statement).
    - Where tokens have one channel, one input's token, any, is watched while it waits as a
      packet's first flit: in each cycle its output sends a token's flit, has no credit, or is held
      by a packet whose next flit has not come; and fewer packets go first than there are inputs.

    Args:
        router: With pins for its routes.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(self, router: ObservedRouter, invariants: bool = True):
        self.router = router
        self.invariants = invariants

    def elaborate(self, platform) -> Module:
        """The ends of the links, the followed flit, the watched token."""
        m = Module()
        m.submodules.router = router = self.router
        for port, routes in enumerate(router.routes):
            m.d.comb += routes.eq(AnyConst(router.flit.addresses))
            if any(own == port for own, _ in router.ways):
                self._input(m, port)
        self._channels = {way: self._channel(m, way) for way in router.ways}
        for way, channel in self._channels.items():
            self._buffer(m, way, channel)
        self._outputs(m)
        follow_a_flit(m, router, self._channels, self._state)
        if router.classes[0] == 1:
            watch_a_token(m, router, self._channels, self._state)
        return m

    def _state(self, m: Module, condition, text: str) -> None:
        """An invariant."""
        if self.invariants:
            m.d.comb += Assert(condition, text)

    def _input(self, m: Module, port: int) -> None:
        """A sender of any flits."""
        link = self.router.inputs[port]
        m.d.comb += [
            link.valid.eq(AnySeq(len(link.valid))),
            Value.cast(link.payload).eq(AnySeq(self.router.flit.size)),
            Assume(at_most_one(list(link.valid)), "a sender sends one flit"),
        ]
        for channel in range(len(link.valid)):
            if (port, channel) not in self.router.ways:
                m.d.comb += Assume(~link.valid[channel], "no packets come here")

    def _channel(self, m: Module, way: Way) -> Channel:
        """What a sender does on one channel, and where its packets must go."""
        router, (port, number) = self.router, way
        name = f"{port}_{number}"
        link, buffer, outputs = router.inputs[port], router.buffers[way], list(router.ways[way])
        depth = buffer.depth
        channel = Channel(
            Signal(name=f"begins_{name}", init=1),
            Signal(range(depth + 2), name=f"missing_{name}"),
            Signal(depth, name=f"kept_{name}"),
            outputs,
            Signal(len(outputs), name=f"route_{name}"),
            [Signal(len(outputs), name=f"goal_{name}_{index}") for index in range(depth)],
        )
        write, taken = link.valid[number], link.credit[number]
        header = router.flit.header["destination"]
        destination = Value.cast(link.payload)[header.offset :][: header.width]
        lead = Signal(router.flit.ports, name=f"lead_{name}")
        current = Signal(len(outputs), name=f"current_{name}")
        others = Cat(lead[output] for output in range(len(lead)) if output not in outputs)
        leads = Cat(lead[output] for output in outputs)
        m.d.comb += [
            lead.eq(Cat(routes.bit_select(destination, 1) for routes in router.routes)),
            channel.route.eq(Mux(channel.begins, leads, current)),
            Assume(
                ~(write & channel.begins) | (exactly_one(leads) & ~others.any()),
                "a packet has a route",
            ),
            Assume(~write | (channel.missing != depth), "a sender has a credit"),
            Assert(~taken | (channel.missing != 0), "no credit is given back that was not spent"),
            Assert(channel.missing <= depth, "a buffer does not overflow"),
        ]
        m.d.sync += [
            channel.missing.eq(channel.missing + write - taken),
            channel.kept.eq(
                (channel.kept & ~Mux(taken, buffer.oldest, 0)) | Mux(write, buffer.following, 0)
            ),
        ]
        with m.If(write):
            m.d.sync += [channel.begins.eq(link.payload.tail), current.eq(channel.route)]
            for index, goal in enumerate(channel.goals):
                with m.If(buffer.following[index]):
                    m.d.sync += goal.eq(channel.route)
        held, kept = router.buffers[way].held, channel.kept
        self._state(m, channel.begins | exactly_one(current), "a packet has one output")
        self._state(
            m, channel.begins == router.begins[port][number], "sender and router know a first flit"
        )
        self._state(
            m,
            kept.any() | (channel.begins == ~held.any()) & (channel.begins | (held == current)),
            "an empty buffer's packet holds its output",
        )
        for index, goal in enumerate(channel.goals):
            newest = kept[index] & buffer.following[(index + 1) % depth]
            tail = buffer.entries[index][-1]
            self._state(
                m,
                ~newest | (channel.begins == tail) & (channel.begins | (current == goal)),
                "the newest flit says what comes",
            )
        return channel

    def _buffer(self, m: Module, way: Way, channel: Channel) -> None:
        """Which entries hold a flit, and where each of them must go."""
        router, kept, goals = self.router, channel.kept, channel.goals
        buffer, held = router.buffers[way], router.buffers[way].held
        depth, oldest, following = buffer.depth, buffer.oldest, buffer.following
        self._state(
            m, exactly_one(oldest) & exactly_one(following), "one place is the oldest, one the next"
        )
        self._state(m, buffer.filled == kept.any(), "a buffer knows that it holds a flit")
        self._state(m, channel.missing == total(list(kept)), "a credit is missing for each entry")
        self._state(m, ~kept.all() | (oldest == following), "a full buffer writes its oldest")
        self._state(m, kept.any() | (oldest == following), "an empty one reads what it writes")
        self._state(m, at_most_one(list(held)), "a packet holds one output")
        for index in range(depth):
            before, after = (index - 1) % depth, (index + 1) % depth
            entry, goal = buffer.entries[index], goals[index]
            first = Mux(oldest[index], ~held.any(), buffer.entries[before][-1])
            header = Cat(entry[output] for output in channel.outputs)
            if depth > 1:
                self._state(m, ~kept[index] | kept[before] | oldest[index], "flits lie in a row")
                self._state(m, ~kept[index] | kept[after] | following[after], "a row ends")
            self._state(
                m,
                ~kept[index] | exactly_one(goal) & (~first | (header == goal)),
                "a header names the output",
            )
            self._state(
                m,
                ~kept[index] | first | (goal == Mux(oldest[index], held, goals[before])),
                "a packet's flits have one output",
            )

    def _outputs(self, m: Module) -> None:
        """Receivers that count what they hold, and whose packet each channel carries."""
        router = self.router
        moved, returned = [], [router.inputs[port].credit[own] for port, own in router.ways]
        for link in router.outputs:
            m.d.comb += [
                link.credit.eq(AnySeq(len(link.credit))),
                Assert(at_most_one(list(link.valid)), "an output sends one flit"),
            ]
            moved += list(link.valid)
        m.d.comb += Assert(
            total(moved) == total(returned), "as many flits leave as credits go back"
        )
        for turn in router.turns:
            self._state(m, exactly_one(turn), "one channel has the turn")
        for (port, channel), credits in router.credits.items():
            link = router.outputs[port]
            sent, back = link.valid[channel], link.credit[channel]
            there = Signal(range(router.output_credits + 2), name=f"there_{port}_{channel}")
            m.d.sync += there.eq(there + sent - back)
            m.d.comb += [
                Assume(~back | (there != 0), "a receiver gives up what it has"),
                Assert(there <= router.output_credits, "a receiver does not overflow"),
                Assert(there + credits == router.output_credits, "credits are conserved"),
            ]
            # Who sends here: where a credit goes back at the same time, and the packet leads here.
            senders = [way for way, ways in router.ways.items() if ways.get(port) == channel]
            crosses = Cat(router.grants(own, port) for own in senders)
            owner = Signal(len(senders), name=f"owner_{port}_{channel}")
            with m.If(sent):
                m.d.sync += owner.eq(Mux(router.outputs[port].payload.tail, 0, crosses))
            m.d.comb += [
                Assert(sent == crosses.any(), "an output sends what was granted"),
                Assert(at_most_one(list(crosses)), "an output grants one input"),
                Assert(~sent | ~owner.any() | (crosses == owner), "packets do not mix"),
            ]
            self._state(m, at_most_one(list(owner)), "a channel of an output has one owner")
            for index, way in enumerate(senders):
                held = router.buffers[way].held
                place = self._channels[way].outputs.index(port)
                self._state(m, owner[index] == held[place], "who holds an output owns it")
