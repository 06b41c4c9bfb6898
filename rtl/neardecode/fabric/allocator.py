"""Which flits cross a router in a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SwitchAllocator"]


class SwitchAllocator(wiring.Component):
    """Matches inputs with outputs, at most one flit from each and to each.

    One virtual channel after another asks for what those before it left free. An input asks for at
    most one output with one channel, so in each round the outputs can choose alone; and after the
    last round no request is left whose input and output are both free.

    Channels of an earlier class always come first. Within a class the channels take turns in
    coming first. In a class's first round each output grants the first request at or after its
    pointer for that channel, which then moves behind it: a request that stays is granted, at the
    latest, with the output's ``inputs``-th grant in such a round. In later rounds of a class
    requests are taken as they are numbered; whoever is overlooked has the turn of his channel.

    Latency: none, a path from ``requests`` to ``grants``.

    Parameters:
        inputs: Inputs.
        outputs: Outputs.
        classes: Virtual channels of each class of traffic, the first class first.
        crosspoints: The (input, output) pairs that may ever be asked for; all by default.

    Members:
        requests: ``In(outputs)``, by input and channel. At most one bit each; the grant is used.
        grants: ``Out(outputs)``, by input and channel.
    """

    requests: Sequence
    grants: Sequence

    def __init__(
        self,
        inputs: int,
        outputs: int,
        classes: Sequence[int] = (1,),
        crosspoints: Sequence[tuple[int, int]] | None = None,
    ):
        if not classes or any(not isinstance(size, int) or size < 1 for size in classes):
            raise ValueError(f"classes must be positive integers, not {classes!r}")
        self._inputs = inputs
        self._outputs = outputs
        self._classes = tuple(classes)
        if crosspoints is None:
            crosspoints = [(i, o) for i in range(inputs) for o in range(outputs)]
        self._sources = [
            [i for i in range(inputs) if (i, output) in crosspoints] for output in range(outputs)
        ]
        channels = sum(classes)
        self._turns = [
            Signal(size, name=f"turn_{number}", init=1) for number, size in enumerate(self._classes)
        ]
        # Of the sources of an output: those at or after the pointer.
        self._at_or_after = [
            [
                Signal(len(sources), name=f"at_or_after_{output}_{channel}", init=-1)
                for channel in range(channels)
            ]
            for output, sources in enumerate(self._sources)
        ]
        super().__init__(
            {
                "requests": In(outputs).array(inputs, channels),
                "grants": Out(outputs).array(inputs, channels),
            }
        )

    def elaborate(self, platform) -> Module:
        """A round for each channel of each class."""
        m = Module()
        busy_inputs: Value | int = 0
        busy_outputs: Value | int = 0
        base = 0
        for number, size in enumerate(self._classes):
            turn = self._turns[number]
            if size > 1:
                m.d.sync += turn.eq(turn.rotate_left(1))
            rounds = []
            for step in range(size):
                # In this round, for each channel, whether it asks.
                asks = turn.rotate_left(step) if size > 1 else [1]
                taken = self._round(
                    m, f"{number}_{step}", base, asks, busy_inputs, busy_outputs, first=step == 0
                )
                rounds.append((asks, taken))
                used_outputs = _columns(taken, self._outputs)
                busy_inputs = Cat(grants.any() for grants in taken) | busy_inputs
                busy_outputs = used_outputs | busy_outputs
            for i in range(self._inputs):
                for channel in range(size):
                    granted = 0
                    for asks, taken in rounds:
                        granted = granted | Mux(asks[channel], taken[i], 0)
                    m.d.comb += self.grants[i][base + channel].eq(granted)
            base += size
        return m

    def _round(
        self, m, name, base, asks, busy_inputs, busy_outputs, *, first: bool
    ) -> list[Signal]:
        """What each input is granted in one round."""
        taken = [Signal(self._outputs, name=f"taken_{name}_{i}") for i in range(self._inputs)]
        requests = []
        for i in range(self._inputs):
            asked = 0
            for channel in range(len(asks)):
                asked = asked | Mux(asks[channel], self.requests[i][base + channel], 0)
            free = 1 if isinstance(busy_inputs, int) else ~busy_inputs[i]
            requests.append(Mux(free, asked, 0))
        for output, sources in enumerate(self._sources):
            if not sources:
                continue
            wants = Signal(len(sources), name=f"wants_{name}_{output}")
            grants = Signal(len(sources), name=f"grants_{name}_{output}")
            free = 1 if isinstance(busy_outputs, int) else ~busy_outputs[output]
            m.d.comb += wants.eq(Mux(free, Cat(requests[i][output] for i in sources), 0))
            if first:
                pointers = self._at_or_after[output][base : base + len(asks)]
                pointer = 0
                for ask, own in zip(asks, pointers, strict=True):
                    pointer = pointer | Mux(ask, own, 0)
                ahead = Signal(len(sources), name=f"ahead_{name}_{output}")
                m.d.comb += [
                    ahead.eq(wants & pointer),
                    grants.eq(Mux(ahead.any(), _lowest(ahead), _lowest(wants))),
                ]
                behind = Cat(grants[:index].any() for index in range(len(sources)))
                for ask, own in zip(asks, pointers, strict=True):
                    with m.If(wants.any() & ask):
                        m.d.sync += own.eq(behind)
            else:
                m.d.comb += grants.eq(_lowest(wants))
            for index, i in enumerate(sources):
                m.d.comb += taken[i][output].eq(grants[index])
        return taken


def _lowest(requests: Signal) -> Value:
    """The lowest bit that is set, alone."""
    return Cat(
        requests[index] & ~requests[:index].any() if index else requests[0]
        for index in range(len(requests))
    )


def _columns(rows: Sequence[Value], width: int) -> Value:
    """For each column, whether any row has it."""
    return Cat(Cat(row[column] for row in rows).any() for column in range(width))
