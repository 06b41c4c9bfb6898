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
from neardecode_testbench.scenarios.flash_stream import StreamMeasure, stream_measure
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
        # Zeros are a codeword of any code; of a page that was never programmed there is none.
        port.records["programmed"] = flash.host.pages_a_block
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
        return stream_measure(
            self.config,
            log.cycles,
            outcome.cycles,
            stalls,
            warmup=self.warmup,
            rounds=self.rounds,
        )


def _refuse_errors(layout: data.StructLayout, payloads: Sequence[int]) -> None:
    user = layout["user"]
    for bits in payloads:
        status = bits >> user.offset + 2 & 15
        if status:
            raise ValueError(f"a read of the stream was answered with status {status}")


def measure_host_stream(stream: HostStream, backend: Backend = "native") -> StreamMeasure:
    """Measures a stream through a controller and its dies."""
    return simulate(Design(ControllerBench, (stream.config,)), stream, backend)
