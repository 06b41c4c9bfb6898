"""A vault's writes: a beat for every command when it is on the lanes, and room for all of them."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Module, Mux, Signal, Value

from neardecode.config import Stack, StackCycles
from neardecode.lib.population import ones
from neardecode.stack.data_path import DataPath
from neardecode_testbench.scenarios.properties.access_queue import (
    ObservedAccessQueue,
    free_inputs,
)

__all__ = ["ObservedDataPath", "WrittenDataProperties"]


class ObservedDataPath(DataPath):
    """The path, with the beats that wait and the commands that are under way."""

    def __init__(self, config: Stack, cycles: StackCycles):
        super().__init__(config, cycles)
        self.level = self._waiting.level
        self.offered = self._waiting.o.valid
        self.sends = self._sends


class WrittenDataProperties(Elaboratable):
    """The queue in any environment, its writes' beats taken with them as the front does.

    Args:
        queue: The queue.
        path: What its commands move.
        config: What both were made with.
    """

    def __init__(self, queue: ObservedAccessQueue, path: ObservedDataPath, config: Stack):
        self.queue = queue
        self.path = path
        self.config = config

    def elaborate(self, platform) -> Module:
        """Both joined, and the writes that are anywhere between."""
        m = Module()
        m.submodules.queue = queue = self.queue
        m.submodules.path = path = self.path
        free_inputs(m, queue)
        access, command = queue.accesses.payload, queue.column_command
        taken = queue.accesses.valid & queue.accesses.ready
        m.d.comb += [
            path.written.valid.eq(taken & access.write),
            path.written.payload.as_value().eq(AnySeq(len(path.written.payload.as_value()))),
            path.writes.eq(command.valid & command.write),
            path.reads.eq(command.valid & ~command.write),
            path.place.eq(queue.place),
            # As `VaultFront` gives them: a write is a beat.
            Assume(~access.write | (access.left == 0), "a write is one beat"),
        ]
        waiting = Signal(range(self.config.queue + 1))
        inside: list[Value] = [
            Mux(place < queue.count, entry.write, 0) for place, entry in enumerate(queue.entries)
        ]
        m.d.comb += [
            waiting.eq(sum(inside, start=Value.cast(0))),
            *(
                Assert(
                    ~(entry.write & (place < queue.count)) | (entry.left == 0),
                    "a write that waits is one beat",
                )
                for place, entry in enumerate(queue.entries)
            ),
            Assert(queue.count <= self.config.queue, "no more is inside than fits"),
            Assert(
                path.level == waiting + ones(path.sends), "a beat for every write, and no other"
            ),
            Assert(~path.sends[-1] | path.offered, "a beat is there when it is on the lanes"),
            Assert(
                ~queue.accesses.ready | path.written.ready, "an access with room has its beat's"
            ),
            Cover(
                (waiting == queue.count) & (waiting != 0) & path.sends.any(),
                "writes wait while another is under way",
            ),
        ]
        return m
