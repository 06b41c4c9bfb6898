"""A host that does one thing after another: writes a page, reads a page, sets a register."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.lib import data

from neardecode.config import Flash
from neardecode.flash.axi import AxiAddress, AxiReadBeat, AxiResponse, AxiWriteBeat
from neardecode.flash.status import Opcode, PacketType
from neardecode_testbench.devices.records import new_records
from neardecode_testbench.drive.stimulus import Outcome, Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Answered", "HostPort", "Issued"]

BUCC = 0x0C
MMIO = 1 << 2
ENABLE = 1


@dataclass(frozen=True)
class Issued:
    """A command: a read of ``beats``, or a write of the beats in ``payload``."""

    address: int
    beats: int = 1
    payload: tuple[int, ...] = ()
    id: int = 0
    user: int = 0


@dataclass(frozen=True)
class Answered:
    """How a command ended.

    Attributes:
        status, info: Its answer.
        words: The beats of a read.
    """

    status: int
    info: int
    words: tuple[int, ...] = ()


@dataclass
class HostPort:
    """The port of a `ControllerBench`, driven from outside.

    Attributes:
        config: The flash section, with ``host``.
        step: Of the scenario.
        levels: Inputs that are held: faults, temperature.
        limit: Most cycles of a command.
    """

    config: Flash
    step: Step
    levels: dict[str, int] = field(default_factory=dict)
    limit: int = 200_000

    def __post_init__(self) -> None:
        flash = self.config
        assert flash.host is not None
        self.host = flash.host
        self.memory = np.zeros(
            (flash.rows * flash.banks * flash.page_beats, flash.stored_bytes), np.uint8
        )
        self.records = new_records(flash, 0)
        self.storages = [
            Storage("storage", self.memory, flash.stored_bytes, writable=True),
            Storage("records", self.records, self.records.itemsize, writable=True),
        ]
        self._address = Packer(AxiAddress(self.host)).pack
        self._beat = Packer(AxiWriteBeat(flash.beat_bytes)).pack
        self._response = AxiResponse(self.host)
        self._read_beat = AxiReadBeat(self.host, flash.beat_bytes)

    def sample(self, port: str) -> int:
        """An output, now."""
        return self.step(Probe(dict(self.levels), [port])).outputs[port]

    def wait(self, cycles: int) -> None:
        """Lets cycles pass."""
        self.step(
            Play(
                storages=self.storages, levels=dict(self.levels), limit=cycles, trailing=cycles - 1
            )
        )

    def play_hot(
        self, writes: Sequence[Issued], temperature: int, reads: Sequence[Issued] = ()
    ) -> tuple[list[Answered], list[Answered]]:
        """Gives commands, and when all of them are taken makes it hot; waits for their answers."""
        self._play(reads, writes, answers=False)
        self.levels["temperature"] = temperature
        return self._play(reads, writes, commands=False)

    def play(
        self, reads: Sequence[Issued] = (), writes: Sequence[Issued] = ()
    ) -> tuple[list[Answered], list[Answered]]:
        """Gives commands and waits for all answers; those of an id come in its order.

        Returns:
            The answers of the reads and of the writes, in the order of the commands.
        """
        return self._play(reads, writes)

    def _play(
        self,
        reads: Sequence[Issued],
        writes: Sequence[Issued],
        commands: bool = True,
        answers: bool = True,
    ) -> tuple[list[Answered], list[Answered]]:
        outcome: Outcome = self.step(
            Play(
                sources=[
                    Source("axi__ar", [self._command(read, read.beats) for read in reads]),
                    Source("axi__aw", [self._command(w, len(w.payload)) for w in writes]),
                    Source(
                        "axi__w",
                        [
                            self._beat({"data": word, "last": index == len(write.payload) - 1})
                            for write in writes
                            for index, word in enumerate(write.payload)
                        ],
                    ),
                ]
                if commands
                else [],
                sinks=[
                    Sink("axi__r", sum(read.beats for read in reads)),
                    Sink("axi__b", len(writes)),
                ]
                if answers
                else [],
                storages=self.storages,
                levels=dict(self.levels),
                limit=self.limit,
            )
        )
        if not answers:
            return [], []
        beats: dict[int, list[dict[str, int]]] = {}
        for bits in outcome.sinks["axi__r"].payloads:
            beat = _fields(self._read_beat, bits)
            beats.setdefault(beat["id"], []).append(beat)
        responses: dict[int, list[dict[str, int]]] = {}
        for bits in outcome.sinks["axi__b"].payloads:
            response = _fields(self._response, bits)
            responses.setdefault(response["id"], []).append(response)
        read_answers = []
        for read in reads:
            mine = [beats[read.id].pop(0) for _ in range(read.beats)]
            user = mine[0]["user"]
            read_answers.append(
                Answered(user >> 2 & 15, user >> 6, tuple(beat["data"] for beat in mine))
            )
        write_answers = []
        for write in writes:
            user = responses[write.id].pop(0)["user"]
            write_answers.append(Answered(user >> 2 & 15, user >> 6))
        return read_answers, write_answers

    def read(self, page: int, first: int = 0, beats: int | None = None, user: int = 0) -> Answered:
        """Reads beats of a page, all of them by default."""
        address = (page * self.config.page_beats + first) * self.config.beat_bytes
        return self.play([Issued(address, beats or self.config.page_beats - first, user=user)])[0][
            0
        ]

    def write(self, page: int, words: Sequence[int]) -> Answered:
        """Writes a page in one burst."""
        return self.play((), [self.page_write(page, words)])[1][0]

    def page_write(self, page: int, words: Sequence[int], id: int = 0) -> Issued:
        """The write of a page."""
        return Issued(page * self.config.page_bytes, payload=tuple(words), id=id)

    def register(self, offset: int, value: int | None = None) -> Answered:
        """Reads a register, or writes it."""
        address = offset << 8 | Opcode.REGISTER.value
        user = PacketType.ADMIN.value | MMIO
        if value is None:
            return self.play([Issued(address, user=user)])[0][0]
        return self.play((), [Issued(address, payload=(value,), user=user)])[1][0]

    def feature(self, number: int, value: int) -> Answered:
        """Sets a feature."""
        address = number << 8 | Opcode.SET_FEATURE.value
        return self.play((), [Issued(address, payload=(value,), user=PacketType.ADMIN.value)])[1][0]

    def enable(self) -> None:
        """Lets commands to flash and scratchpad in."""
        settings = self.register(BUCC).words[0]
        answer = self.register(BUCC, settings | ENABLE)
        if answer.status:
            raise ValueError(f"the channel could not be enabled: status {answer.status}")

    def _command(self, command: Issued, beats: int) -> int:
        return self._address(
            {
                "id": command.id,
                "addr": command.address,
                "len": beats - 1,
                "user": command.user,
            }
        )


def _fields(layout: data.StructLayout, bits: int) -> dict[str, int]:
    return {str(name): bits >> field.offset & (1 << field.width) - 1 for name, field in layout}
