"""A softmax with its cycles counted."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.compute.softmax.softmax import Softmax
from neardecode.config import Config, SoftmaxCause
from neardecode.lib.counters import CycleCounters

__all__ = ["SoftmaxBench"]


class SoftmaxBench(wiring.Component):
    """Softmax and its counters.

    Parameters:
        config: A configuration.

    Members:
        scores, rescales, probabilities, partials: As the softmax's.
        counting: In(1). Counters run.
        cycles: Out(counts by `SoftmaxCause`).
    """

    scores: stream.Interface
    rescales: stream.Interface
    probabilities: stream.Interface
    partials: stream.Interface
    counting: Signal
    cycles: data.View

    def __init__(self, config: Config):
        self._softmax = Softmax(config)
        self._cycles = CycleCounters(SoftmaxCause)
        streams = {
            name: member
            for name, member in self._softmax.signature.members.items()
            if member.is_signature
        }
        super().__init__({**streams, "counting": In(1), "cycles": Out(self._cycles.counts.shape())})

    def elaborate(self, platform) -> Module:
        """Both, side by side."""
        m = Module()
        m.submodules.softmax = softmax = self._softmax
        m.submodules.cycle_counters = counters = self._cycles
        for name in ("scores", "rescales", "probabilities", "partials"):
            connect(m, flipped(getattr(self, name)), getattr(softmax, name))
        m.d.comb += [
            counters.cause.eq(softmax.cause),
            counters.counting.eq(self.counting),
            self.cycles.eq(counters.counts),
        ]
        return m
