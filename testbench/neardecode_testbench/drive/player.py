"""The steps of a cycle, for simulators that are driven from Python."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

from neardecode_testbench.drive.stimulus import (
    Outcome,
    Play,
    Probe,
    Scenario,
    Sink,
    SinkLog,
    Source,
    Storage,
    StorageError,
    StuckError,
)

__all__ = ["Pins", "Player"]


class Pins(Protocol):
    """A design's ports in one simulator."""

    def set(self, port: str, value: int) -> None:
        """Drives an input."""
        ...

    async def settle(self) -> None:
        """Waits until the outputs follow the inputs."""
        ...

    def get(self, port: str) -> int:
        """Samples an output."""
        ...

    async def clock(self) -> None:
        """Gives one clock edge."""
        ...


@dataclass
class _Ended:
    """A scenario's end."""

    result: Any = None
    error: BaseException | None = None


class Expected:
    """The payloads that a sink waits for, in order or by key."""

    def __init__(self, sink: Sink):
        self._queues: dict[int, deque[int]] = {}
        self._keys = sink.keys
        self._compares = sink.expected is not None
        for payload in sink.expected or ():
            self._queues.setdefault(payload & sink.keys, deque()).append(payload)

    def matches(self, payload: int) -> bool:
        """Whether a payload is the next of its key, and takes that one off."""
        if not self._compares:
            return True
        queue = self._queues.get(payload & self._keys)
        return bool(queue) and queue.popleft() == payload


class _Feed:
    """A source at work."""

    def __init__(self, source: Source):
        self.source = source
        self.next = 0
        self.offered = False
        self.cycles: list[int] = []

    @property
    def drained(self) -> bool:
        return self.next == len(self.source.payloads)

    def drive(self, pins: Pins, cycle: int) -> None:
        stalls = self.source.stalls
        if not self.offered and not self.drained:
            self.offered = stalls is None or not stalls[cycle % len(stalls)]
        pins.set(f"{self.source.stream}__valid", int(self.offered))
        if self.offered:
            pins.set(f"{self.source.stream}__payload", self.source.payloads[self.next])

    def sample(self, pins: Pins, cycle: int) -> None:
        if self.offered and pins.get(f"{self.source.stream}__ready"):
            self.cycles.append(cycle)
            self.next += 1
            self.offered = False


class _Drain:
    """A sink at work."""

    def __init__(self, sink: Sink):
        self.sink = sink
        self.expected = Expected(sink)
        self.ready = False
        self.log = SinkLog()

    @property
    def satisfied(self) -> bool:
        return len(self.log.cycles) >= self.sink.count

    def drive(self, pins: Pins, cycle: int, trailing: bool) -> None:
        stalls = self.sink.stalls
        open_ = trailing or not self.satisfied
        self.ready = open_ and (stalls is None or not stalls[cycle % len(stalls)])
        pins.set(f"{self.sink.stream}__ready", int(self.ready))

    def sample(self, pins: Pins, cycle: int) -> None:
        if not self.ready or not pins.get(f"{self.sink.stream}__valid"):
            return
        payload = pins.get(f"{self.sink.stream}__payload")
        if self.satisfied or not self.expected.matches(payload):
            self.log.mismatches.append(len(self.log.cycles))
        self.log.cycles.append(cycle)
        self.log.payloads.append(payload)


class _Memory:
    """The memory behind a storage port at work.

    What it was asked for outlives it: a read is answered in the next cycle, whatever play that
    belongs to.
    """

    def __init__(self, storage: Storage, asked: dict[str, int | None]):
        self.storage = storage
        self.bytes = storage.memory.reshape(-1).view("uint8").data
        self.asked = asked
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []

    def drive(self, pins: Pins) -> None:
        address = self.asked.get(self.storage.port)
        if address is not None:
            size = self.storage.beat_bytes
            beat = self.bytes[address * size : (address + 1) * size]
            pins.set(f"{self.storage.port}__data", int.from_bytes(beat, "little"))

    def sample(self, pins: Pins, cycle: int) -> None:
        port, size = self.storage.port, self.storage.beat_bytes
        self.asked[port] = None
        if not pins.get(f"{port}__valid"):
            return
        address = pins.get(f"{port}__address")
        write = self.storage.writable and pins.get(f"{port}__write")
        if (address + 1) * size > len(self.bytes):
            raise StorageError(
                f"cycle {cycle}: {port} {'wrote' if write else 'read'} beat {address}, beyond its"
                f" {len(self.bytes) // size}"
            )
        if write:
            beat = pins.get(f"{port}__write_data").to_bytes(size, "little")
            self.bytes[address * size : (address + 1) * size] = beat
        else:
            self.asked[port] = address
        if self.storage.log_every and address % self.storage.log_every == 0:
            (self.writes if write else self.reads).append((cycle, address))


class Player:
    """Plays a scenario on pins, cycle by cycle.

    Args:
        pins: The design's ports.
        watch: Called in every cycle after the outputs settled; a monitor's place.
    """

    def __init__(self, pins: Pins, watch: Callable[[Pins, int], None] | None = None):
        self._pins = pins
        self._watch = watch
        self._cycle = 0
        self._asked: dict[str, int | None] = {}
        self._memories: list[_Memory] = []

    async def run(self, scenario: Scenario) -> Any:
        """Plays to the end and returns the scenario's result.

        The scenario runs in a thread of its own, and this one waits for its steps: the two never
        run at the same time.
        """
        steps: SimpleQueue[Any] = SimpleQueue()
        outcomes: SimpleQueue[Any] = SimpleQueue()

        def hand_over(step: Play | Probe) -> Outcome:
            steps.put(step)
            outcome = outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        def body() -> None:
            try:
                steps.put(_Ended(scenario(hand_over)))
            except BaseException as error:
                steps.put(_Ended(error=error))

        thread = Thread(target=body, daemon=True)
        thread.start()
        while not isinstance(step := steps.get(), _Ended):
            try:
                outcomes.put(
                    await (self._probe(step) if isinstance(step, Probe) else self._play(step))
                )
            except (StuckError, StorageError) as error:
                outcomes.put(error)
        thread.join()
        if step.error is not None:
            raise step.error
        return step.result

    async def _step(self) -> None:
        if self._watch is not None:
            self._watch(self._pins, self._cycle)
        await self._pins.clock()
        self._cycle += 1

    async def _probe(self, probe: Probe) -> Outcome:
        for port, value in probe.levels.items():
            self._pins.set(port, value)
        for memory in self._memories:
            memory.drive(self._pins)
        await self._pins.settle()
        outputs = {port: self._pins.get(port) for port in probe.outputs}
        for memory in self._memories:
            memory.sample(self._pins, self._cycle)
        await self._step()
        return Outcome(self._cycle - 1, 1, outputs=outputs)

    async def _play(self, play: Play) -> Outcome:
        pins = self._pins
        feeds = [_Feed(source) for source in play.sources]
        drains = [_Drain(sink) for sink in play.sinks]
        self._memories = memories = [_Memory(storage, self._asked) for storage in play.storages]
        for port, value in play.levels.items():
            pins.set(port, value)

        start = self._cycle
        trailing = play.trailing
        while True:
            done = all(feed.drained for feed in feeds) and all(drain.satisfied for drain in drains)
            if done:
                if trailing == 0:
                    break
                trailing -= 1
            if self._cycle - start >= play.limit:
                raise StuckError(_where_stuck(feeds, drains, play.limit))
            for feed in feeds:
                feed.drive(pins, self._cycle)
            for drain in drains:
                drain.drive(pins, self._cycle, done)
            for memory in memories:
                memory.drive(pins)
            await pins.settle()
            for feed in feeds:
                feed.sample(pins, self._cycle)
            for drain in drains:
                drain.sample(pins, self._cycle)
            for memory in memories:
                memory.sample(pins, self._cycle)
            await self._step()

        for feed in feeds:
            pins.set(f"{feed.source.stream}__valid", 0)
        for drain in drains:
            pins.set(f"{drain.sink.stream}__ready", 0)
        return Outcome(
            start,
            self._cycle - start,
            sources={feed.source.stream: feed.cycles for feed in feeds},
            sinks={drain.sink.stream: drain.log for drain in drains},
            accesses={memory.storage.port: list(memory.reads) for memory in memories},
            writes={
                memory.storage.port: list(memory.writes)
                for memory in memories
                if memory.storage.writable
            },
        )


def _where_stuck(feeds: list[_Feed], drains: list[_Drain], limit: int) -> str:
    parts = [
        f"{feed.source.stream} gave {feed.next} of {len(feed.source.payloads)}" for feed in feeds
    ] + [
        f"{drain.sink.stream} took {len(drain.log.cycles)} of {drain.sink.count}"
        for drain in drains
    ]
    return f"no end after {limit} cycles: {'; '.join(parts)}"
