"""What is put on a design's ports and what is read from them, in no simulator's terms.

A scenario is a function that is given `Step`: it hands over a `Play` or a `Probe` and gets back
what came of it, so that what it does next may depend on what the hardware answered. Every
simulator goes through the same steps in every cycle: drive the inputs, let them settle, sample
the outputs, clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "Outcome",
    "Play",
    "Probe",
    "Scenario",
    "Sink",
    "SinkLog",
    "Source",
    "Step",
    "Storage",
    "StorageError",
    "StuckError",
]


class StuckError(RuntimeError):
    """A design that did not come to an end within its cycles."""


class StorageError(RuntimeError):
    """A device that read or wrote beyond the memory behind it."""


@dataclass
class Source:
    """Payloads for an input stream.

    Attributes:
        stream: The stream's port, such as ``commands``.
        payloads: Raw bits, one integer a transfer.
        stalls: In cycle ``c`` a new payload is held back where ``stalls[c % len(stalls)]``; one
            already offered stays.
    """

    stream: str
    payloads: list[int]
    stalls: np.ndarray | None = None


@dataclass
class Sink:
    """Takes an output stream and compares it, in the cycle in which a payload is taken.

    Attributes:
        stream: The stream's port.
        count: Transfers to wait for.
        expected: Raw bits, one integer a transfer, or None to take anything.
        stalls: In cycle ``c`` nothing is taken where ``stalls[c % len(stalls)]``.
        keys: Where transfers may come in any order among each other: a mask of the bits that
            name a transfer. Each is then compared with the next expected payload that has the
            same bits under the mask.

    Raises:
        ValueError: if the expected payloads are not ``count``.
    """

    stream: str
    count: int
    expected: list[int] | None = None
    stalls: np.ndarray | None = None
    keys: int = 0

    def __post_init__(self):
        if self.expected is not None and len(self.expected) != self.count:
            raise ValueError(
                f"{self.stream}: {len(self.expected)} payloads are expected,"
                f" {self.count} waited for"
            )


@dataclass
class Storage:
    """Memory behind a device's storage port.

    Attributes:
        port: The port, such as ``storage__0``.
        memory: Bytes, any shape, contiguous; read as it is one cycle after the access, and
            written in place in the cycle of the access.
        beat_bytes: Bytes of a beat; addresses count beats.
        log_every: Keep the cycle and address of accesses whose address is a multiple of this;
            0 keeps none.
        writable: The port also writes.

    Raises:
        ValueError: if the memory is not contiguous, or cannot be written where it shall be.
    """

    port: str
    memory: np.ndarray
    beat_bytes: int
    log_every: int = 0
    writable: bool = False

    def __post_init__(self):
        if self.writable and not self.memory.flags.writeable:
            raise ValueError(f"{self.port}: its memory must be writable")
        if not self.memory.flags.c_contiguous:
            raise ValueError(f"{self.port}: its memory must be contiguous")


@dataclass
class Play:
    """Runs until every source is drained and every sink has its count.

    Attributes:
        sources, sinks, storages: What is connected; ports left out idle.
        levels: Inputs held at a value from here on.
        limit: Most cycles.
        trailing: Cycles to go on afterwards, in which a further transfer on a sink is a mismatch.
    """

    sources: list[Source] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)
    storages: list[Storage] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)
    limit: int = 1_000_000
    trailing: int = 0


@dataclass
class Probe:
    """One cycle that sets inputs and samples outputs.

    Sources and sinks idle in it; the storages of the play before stay connected, their accesses in
    this cycle are not kept.

    Attributes:
        levels: Inputs set from here on.
        outputs: Ports to sample.
    """

    levels: dict[str, int]
    outputs: list[str]


@dataclass
class SinkLog:
    """What a sink took.

    Attributes:
        cycles: The cycle of each transfer, counted from reset.
        payloads: Its raw bits.
        mismatches: Indices of transfers that differ from what was expected.
    """

    cycles: list[int] = field(default_factory=list)
    payloads: list[int] = field(default_factory=list)
    mismatches: list[int] = field(default_factory=list)


@dataclass
class Outcome:
    """What came of a `Play` or a `Probe`.

    Attributes:
        start: The first cycle, counted from reset.
        cycles: How many.
        sources: For each source's stream the cycle of each of its transfers.
        sinks: For each sink's stream what it took.
        accesses: For each storage's port the (cycle, address) pairs of reads kept.
        writes: The same of writes, for ports that write.
        outputs: For a probe, what was sampled.
    """

    start: int
    cycles: int
    sources: dict[str, list[int]] = field(default_factory=dict)
    sinks: dict[str, SinkLog] = field(default_factory=dict)
    accesses: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    writes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)


Step = Callable[[Play | Probe], Outcome]
Scenario = Callable[[Step], Any]
