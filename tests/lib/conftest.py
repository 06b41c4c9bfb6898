"""One bench for every cell that takes a stream and gives one."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from amaranth.hdl import Elaboratable, ResetInserter, Signal, Value
from amaranth.lib import stream
from amaranth.sim import Simulator

from neardecode_testbench.scenarios.stream_rules import StreamRules


@dataclass
class Transfers:
    """What crossed each stream, and in which cycle."""

    accepted: list[tuple[int, int]] = field(default_factory=list)
    received: list[tuple[int, int]] = field(default_factory=list)

    @property
    def payloads(self) -> list[int]:
        return [payload for _, payload in self.received]

    @property
    def cycles(self) -> list[int]:
        return [cycle for cycle, _ in self.received]


def _run(
    dut: Elaboratable,
    i: stream.Interface,
    o: stream.Interface,
    payloads: Sequence[int],
    *,
    source_stall: Callable[[int], bool] = lambda cycle: False,
    sink_stall: Callable[[int], bool] = lambda cycle: False,
    reset: Callable[[int], bool] = lambda cycle: False,
    each_cycle: Callable[[int, Callable[[Value], int]], None] = lambda cycle, get: None,
    cycles: int | None = None,
) -> Transfers:
    """Send ``payloads`` through; stop when all are out, or after ``cycles``.

    ``each_cycle`` looks at any signal before the clock edge that ends a cycle.
    """
    transfers = Transfers()
    i_payload, o_payload = Value.cast(i.payload), Value.cast(o.payload)
    reset_signal = Signal()
    i_rules, o_rules = StreamRules("i"), StreamRules("o")
    limit = cycles if cycles is not None else 100 + 40 * len(payloads)

    async def bench(ctx):
        waiting = list(payloads)
        offering = False
        for cycle in range(limit):
            if waiting and not offering and not source_stall(cycle):
                offering = True
                ctx.set(i_payload, waiting[0])
            ctx.set(i.valid, offering)
            ctx.set(o.ready, not sink_stall(cycle))
            ctx.set(reset_signal, reset(cycle))
            each_cycle(cycle, ctx.get)
            *_, iv, ir, ip, ov, ordy, op = await ctx.tick().sample(
                i.valid, i.ready, i_payload, o.valid, o.ready, o_payload
            )
            if i_rules.cycle(iv, ir, ip):
                transfers.accepted.append((cycle, waiting.pop(0)))
                offering = False
            if o_rules.cycle(ov, ordy, op):
                transfers.received.append((cycle, op))
            if reset(cycle):
                i_rules.reset()
                o_rules.reset()
            if cycles is None and len(transfers.received) == len(payloads):
                return
        if cycles is None:
            raise AssertionError(f"{len(transfers.received)} of {len(payloads)} after {limit}")

    simulator = Simulator(ResetInserter(reset_signal)(dut))
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return transfers


@pytest.fixture
def run_stream():
    return _run


@pytest.fixture
def random_stalls():
    """Stalls of a seed: long and short runs of cycles, in a share of all cycles."""

    def make(seed: int, share: float) -> Callable[[int], bool]:
        source = random.Random(seed)
        state = {"stalled": False, "left": 0}

        def stall(cycle: int) -> bool:
            if state["left"] == 0:
                state["stalled"] = source.random() < share
                state["left"] = source.choice((1, 1, 1, 2, 5))
            state["left"] -= 1
            return state["stalled"]

        return stall

    return make
