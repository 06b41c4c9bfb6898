"""How much of its bus a channel fills for its host: a burst a page through the controller."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.lib import data

from neardecode.config import ChannelCause, Config
from neardecode.flash.axi import AxiAddress, AxiReadBeat
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import read_counts
from neardecode_testbench.scenarios.flash.host_port import HostPort
from neardecode_testbench.scenarios.flash_stream import LARGEST_RATIO, StreamMeasure
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["HostStream", "measure_host_stream"]


@dataclass(frozen=True)
class HostStream:
    """Reads pages one after another, each in one burst, the ids in turn.

    Attributes:
        config: A configuration with ``flash.host``.
        warmup, rounds: Rounds of the stripe before those measured, and measured.
    """

    config: Config
    warmup: int = 3
    rounds: int = 8

    def __call__(self, step: Step) -> StreamMeasure:
        """Measures.

        Raises:
            ValueError: if the stream was faster than its bound, or an answer is an error.
        """
        flash = self.config.flash
        port = HostPort(flash, step)
        port.enable()
        assert flash.host is not None
        pack = Packer(AxiAddress(flash.host)).pack
        pages = flash.banks * (self.warmup + self.rounds + 1)
        ids = 1 << flash.host.id_bits
        commands = [
            pack(
                {
                    "id": page % ids,
                    "addr": page * flash.page_bytes,
                    "len": flash.page_beats - 1,
                    "user": 0,
                }
            )
            for page in range(pages)
        ]
        before = read_counts(step, "cycles", ChannelCause)
        outcome = step(
            Play(
                sources=[Source("axi__ar", commands)],
                sinks=[Sink("axi__r", pages * flash.page_beats)],
                storages=port.storages,
                levels={"counting": 1},
                limit=20 * pages * flash.page_beats
                + 20 * self.config.sense_cycles * pages
                + 10_000,
            )
        )
        stalls = {
            cause: count - before[cause]
            for cause, count in read_counts(step, "cycles", ChannelCause).items()
        }
        log = outcome.sinks["axi__r"]
        _refuse_errors(AxiReadBeat(flash.host, flash.beat_bytes), log.payloads)
        first = self.warmup * flash.banks * flash.page_beats
        last = first + self.rounds * flash.banks * flash.page_beats
        elapsed = log.cycles[last] - log.cycles[first]
        utilisation = (last - first) / elapsed
        bound = min(1.0, flash.banks * flash.page_beats / self.config.sense_cycles)
        if utilisation > LARGEST_RATIO * bound:
            raise ValueError(
                f"measured {utilisation / bound:.6f} of the bound, which cannot be exceeded"
            )
        total = sum(stalls.values())
        return StreamMeasure(utilisation, bound, utilisation / bound, elapsed, stalls, total)


def _refuse_errors(layout: data.StructLayout, payloads: Sequence[int]) -> None:
    user = layout["user"]
    for bits in payloads:
        status = bits >> user.offset + 2 & 15
        if status:
            raise ValueError(f"a read of the stream was answered with status {status}")


def measure_host_stream(stream: HostStream, backend: Backend = "native") -> StreamMeasure:
    """Measures a stream through a controller and its dies."""
    return simulate(Design(ControllerBench, (stream.config,)), stream, backend)
