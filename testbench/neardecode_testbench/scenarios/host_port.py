"""A host on AXI4-Lite: reads and writes of registers, one at a time."""

from collections.abc import Sequence

from neardecode.lib.axi_lite import LiteAddress, LiteAnswer, LiteRead, LiteWrite
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Host", "RefusedError"]

LIMIT = 1000


class RefusedError(RuntimeError):
    """A register that answered with an error."""


class Host:
    """Whoever is at the port.

    Args:
        step: The scenario's.
        storages: The memories that work meanwhile.
    """

    def __init__(self, step: Step, storages: Sequence[Storage] = ()):
        self._step, self._storages = step, list(storages)
        self._address, self._word = Packer(LiteAddress()), Packer(LiteWrite())
        self._answer, self._read = Packer(LiteAnswer()), Packer(LiteRead())

    def write(self, register: int, word: int) -> None:
        """Writes a register.

        Raises:
            RefusedError: if it answers so.
        """
        outcome = self._step(
            Play(
                sources=[
                    Source("axi__aw", [self._address.pack({"addr": register})]),
                    Source("axi__w", [self._word.pack({"data": word})]),
                ],
                sinks=[Sink("axi__b", 1)],
                storages=self._storages,
                limit=LIMIT,
            )
        )
        if self._answer.field(outcome.sinks["axi__b"].payloads[0], "resp"):
            raise RefusedError(f"writing register {register:#x}")

    def read(self, register: int) -> int:
        """What a register holds.

        Raises:
            RefusedError: if it answers so.
        """
        outcome = self._step(
            Play(
                sources=[Source("axi__ar", [self._address.pack({"addr": register})])],
                sinks=[Sink("axi__r", 1)],
                storages=self._storages,
                limit=LIMIT,
            )
        )
        answer = outcome.sinks["axi__r"].payloads[0]
        if self._read.field(answer, "resp"):
            raise RefusedError(f"reading register {register:#x}")
        return self._read.field(answer, "data")

    def wait(self, cycles: int) -> None:
        """Lets time pass while the memories work."""
        self._step(Play(storages=self._storages, trailing=cycles, limit=cycles + 1))
