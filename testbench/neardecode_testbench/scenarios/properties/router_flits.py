"""What becomes of one flit in a router, and of one token that waits."""

from collections.abc import Callable, Mapping
from itertools import pairwise

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Cat, Const, Cover, Module, Mux, Signal, Value

from .router_state import Channel, ObservedRouter, Way, exactly_one, total

__all__ = ["follow_a_flit", "watch_a_token"]

Channels = Mapping[Way, Channel]
State = Callable[[Module, Value, str], None]
"""Adds an invariant."""


def follow_a_flit(m: Module, router: ObservedRouter, channels: Channels, state: State) -> None:
    """One flit of one channel, any."""
    size, ports = router.flit.size, router.flit.ports
    deepest = max(buffer.depth for buffer in router.buffers.values())
    chosen, follow = Signal(range(len(router.ways))), Signal()
    followed, leaves = Signal(), Signal()
    ahead = Signal(range(deepest + 1))
    value, goal, place = Signal(size), Signal(ports), Signal(deepest)
    m.d.comb += [chosen.eq(AnyConst(len(chosen))), follow.eq(AnySeq(1))]
    for number, (way, channel) in enumerate(channels.items()):
        link, buffer = router.inputs[way[0]], router.buffers[way]
        write, taken = link.valid[way[1]], link.credit[way[1]]
        arrived = Value.cast(link.payload)
        route = Signal(ports, name=f"whole_route_{number}")
        m.d.comb += route.eq(Cat(channel.leads_to(output) for output in range(ports)))
        mine = Signal(name=f"mine_{number}")
        m.d.comb += mine.eq(followed & (chosen == number))
        with m.If((chosen == number) & ~followed & follow & write):
            m.d.sync += [
                followed.eq(1),
                ahead.eq(channel.missing - taken),
                value.eq(Mux(channel.begins, Cat(route, arrived[ports:]), arrived)),
                goal.eq(route),
                place.eq(buffer.following),
            ]
        with m.If(mine & taken):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.comb += leaves.eq(1)
                m.d.sync += followed.eq(0)
        for output, next_channel in router.ways[way].items():
            sent = router.outputs[output]
            same = Value.cast(sent.payload) == value
            m.d.comb += Assert(
                ~(mine & leaves & goal[output]) | (sent.valid[next_channel] & same),
                "a flit leaves in its turn, unchanged, where it must go",
            )
        state(m, ~mine | (ahead < channel.missing), "no more are ahead than are there")
        for index in range(buffer.depth):
            turned = buffer.oldest.rotate_left(index)
            state(
                m,
                ~mine | (ahead != index) | (place == turned),
                "the followed flit lies in its turn",
            )
            own = Cat(goal[output] for output in channel.outputs)
            kept = (buffer.entries[index] == value) & (own == channel.goals[index])
            state(m, ~mine | ~place[index] | kept, "the followed flit is kept as it came")
    state(m, ~followed | exactly_one(goal), "the followed flit has one output")
    m.d.comb += [
        Cover(leaves & value[-1], "a packet's last flit is followed"),
        Cover(leaves & ~value[-1], "another flit is followed"),
    ]


def watch_a_token(m: Module, router: ObservedRouter, channels: Channels, state: State) -> None:
    """A token's packet, any, that waits at the front of its buffer."""
    tokens = [way for way in router.ways if way[1] == 0]
    watched, wanted = Signal(range(len(tokens))), Signal(range(router.flit.ports))
    passed = Signal(range(router.flit.ports + 1))
    waits = Signal()
    m.d.comb += [
        watched.eq(AnyConst(len(watched))),
        wanted.eq(AnyConst(len(wanted))),
        Cover(passed == router.flit.ports - 2, "a token lets all but one other go first"),
    ]
    with m.If(~waits):
        m.d.sync += passed.eq(0)
    for output in range(router.flit.ports):
        sources = [way for way in tokens if output in router.ways[way]]
        if not sources:
            continue
        sent, count = router.outputs[output].valid[0], router.credits[output, 0]
        places = {way: channels[way].outputs.index(output) for way in sources}
        holds = {way: router.buffers[way].held[places[way]] for way in sources}
        grants = {way: router.grants(way, output) for way in sources}
        begins = total([grants[way] & ~holds[way] for way in sources]).any()
        # A packet whose next flit has not come.
        away = total([holds[way] & (channels[way].missing == 0) for way in sources]).any()
        for index, way in enumerate(sources):
            channel = channels[way]
            front = Signal(name=f"front_{output}_{index}")
            m.d.comb += front.eq(
                (watched == tokens.index(way))
                & (wanted == output)
                & (channel.missing != 0)
                & ~router.buffers[way].held.any()
                & (
                    Cat(
                        (buffer_place & goal[places[way]])
                        for buffer_place, goal in zip(
                            router.buffers[way].oldest, channel.goals, strict=True
                        )
                    ).any()
                )
            )
            delayed = sent | (count == 0) | away
            m.d.comb += Assert(
                ~front | grants[way] | delayed, "a token waits for a token or for credit"
            )
            with m.If(front & ~grants[way]):
                m.d.comb += waits.eq(1)
                m.d.sync += passed.eq(passed + begins)
            m.d.comb += Assert(
                ~front | (passed < len(sources)), "fewer packets go first than there are inputs"
            )
            # Inputs between the pointer and this one, who may go first.
            mask = router.at_or_after(output)
            below = total([mask[other] for other in range(index)])
            distance = Mux(mask[index], below, total(list(mask)) + index)
            state(
                m,
                ~front | (passed + distance < len(sources)),
                "each that goes first moves the pointer on",
            )
            # A pointer past the end is an empty mask.
            behind = Const(-1, len(sources)) << (index + 1)
            state(
                m,
                ~holds[way] | (mask == behind[: len(sources)]),
                "the pointer is behind the packet under way",
            )
        pointer = router.at_or_after(output)
        for low, high in pairwise(pointer):
            state(m, ~low | high, "a pointer is a mask of all from it on")
    # Without a watched token nobody has passed it.
    watching = Signal()
    m.d.sync += watching.eq(waits)
    state(m, watching | (passed == 0), "what does not wait was not passed")
