"""The NAND core dies by themselves, their bus driven directly, every wire compared every cycle.

For the n-th page of a bank, sensed in cycle q and asked for in cycle t, with P beats a page:

- ``page_ready`` and ``sense_ready`` rise in ``max(q(n) + tR, t(n - 1) + P + 1)``: once it is
  sensed and the page before it has left the register;
- ``page_ready`` falls, and a sense may follow, as the transfer or the sense is taken;
- the bus takes a transfer P cycles after the one before it, at the earliest;
- the storage is read in cycles ``t + 1`` to ``t + P`` and the beats are on the bus a cycle later.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import DataBeat, Sense
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.drive.stimulus import Probe, Step
from neardecode_testbench.scenarios.blocks.edge import CheckError, Recorder
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["DiesModel", "DiesRun", "DriveBus"]

STREAMS = ("bus__senses", "bus__transfers")


@dataclass
class _Bank:
    """A bank: pages sensed and not yet asked for, as (sensed, row), and the last transfer."""

    pages: deque[tuple[int, int]] = field(default_factory=deque)
    transferred: int | None = None


class DiesModel:
    """When banks are ready, from when they were told to sense and to transfer.

    Args:
        banks, page_beats, sense_cycles: As the dies'.
    """

    def __init__(self, banks: int, page_beats: int, sense_cycles: int):
        self._banks = [_Bank() for _ in range(banks)]
        self._page_beats = page_beats
        self._sense_cycles = sense_cycles
        self._last_transfer: int | None = None

    def _ready_from(self, bank: _Bank) -> int:
        sensed = bank.pages[0][0] + self._sense_cycles
        if bank.transferred is None:
            return sensed
        return max(sensed, bank.transferred + self._page_beats + 1)

    def page_ready(self, cycle: int) -> list[bool]:
        """Banks with a page in their register."""
        return [bool(bank.pages) and cycle >= self._ready_from(bank) for bank in self._banks]

    def sense_ready(self, cycle: int) -> list[bool]:
        """Banks whose latch is free."""
        return [
            not bank.pages or (len(bank.pages) == 1 and cycle >= self._ready_from(bank))
            for bank in self._banks
        ]

    def transfer_ready(self, cycle: int) -> bool:
        """Whether the bus takes a transfer."""
        return self._last_transfer is None or cycle >= self._last_transfer + self._page_beats

    def sense(self, cycle: int, bank: int, row: int) -> None:
        """A sense was taken."""
        self._banks[bank].pages.append((cycle, row))

    def transfer(self, cycle: int, bank: int) -> int:
        """A transfer was taken; the row of its page."""
        self._banks[bank].transferred = self._last_transfer = cycle
        return self._banks[bank].pages.popleft()[1]


@dataclass
class DiesRun:
    """What the dies did.

    Attributes:
        senses: (cycle, bank, row) of each sense.
        transfers: (cycle, bank) of each transfer.
        beats: The cycle of each beat on the bus.
    """

    senses: list[tuple[int, int, int]] = field(default_factory=list)
    transfers: list[tuple[int, int]] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)


@dataclass
class DriveBus:
    """Senses and transfers at random, or as often as the dies take them.

    Attributes:
        flash, sense_cycles: The dies'.
        cycles: How long.
        seed: Of rows, contents and choices.
        sense_share, transfer_share: How often a sense or a transfer is offered, if there is one.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    flash: Flash
    sense_cycles: int
    cycles: int
    seed: int = 1
    sense_share: float = 1.0
    transfer_share: float = 1.0
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> DiesRun:
        """Drives the bus and checks every wire in every cycle."""
        random = np.random.default_rng(self.seed)
        flash = self.flash
        model = DiesModel(flash.banks, flash.page_beats, self.sense_cycles)
        sense_packer = Packer(Sense(flash.banks, flash.rows))
        beat_packer = Packer(DataBeat(flash.lanes))
        memory = [
            int.from_bytes(random.bytes(flash.stored_bytes), "little")
            for _ in range(flash.banks * flash.rows * flash.page_beats)
        ]
        run = DiesRun()
        sense: tuple[int, int] | None = None
        transfer: int | None = None
        reading: deque[tuple[int, int, bool]] = deque()
        asked: int | None = None
        last = False
        for cycle in range(self.cycles):
            page_ready, sense_ready = model.page_ready(cycle), model.sense_ready(cycle)
            if sense is None and random.random() < self.sense_share:
                # At random a bank that is busy, so that the sense has to wait.
                banks = [bank for bank in range(flash.banks) if sense_ready[bank]]
                if self.sense_share < 1 and random.random() < 0.3:
                    banks = list(range(flash.banks))
                if banks:
                    sense = (int(random.choice(banks)), int(random.integers(flash.rows)))
            if transfer is None and random.random() < self.transfer_share:
                banks = [bank for bank in range(flash.banks) if page_ready[bank]]
                if banks:
                    transfer = int(random.choice(banks))

            levels = {
                "bus__senses__valid": int(sense is not None),
                "bus__transfers__valid": int(transfer is not None),
            }
            if sense is not None:
                levels["bus__senses__payload"] = sense_packer.pack(
                    {"bank": sense[0], "row": sense[1], "stage": 0}
                )
            if transfer is not None and flash.banks > 1:
                levels["bus__transfers__payload"] = transfer
            if asked is not None:
                levels["storage__data"] = memory[asked]
            seen = step(
                Probe(
                    levels,
                    [
                        *("bus__senses__ready", "bus__transfers__ready"),
                        *("bus__sense_ready", "bus__page_ready", "bus__valid", "bus__beat"),
                        *("storage__valid", "storage__address"),
                    ],
                )
            ).outputs

            expected = {
                "bus__sense_ready": _mask(sense_ready),
                "bus__page_ready": _mask(page_ready),
                "bus__transfers__ready": int(model.transfer_ready(cycle)),
                "storage__valid": int(bool(reading) and reading[0][0] == cycle),
                "bus__valid": int(asked is not None),
            }
            if sense is not None:
                expected["bus__senses__ready"] = int(sense_ready[sense[0]])
            if asked is not None:
                run.beats.append(cycle)
                expected["bus__beat"] = beat_packer.pack({"lanes": memory[asked], "last": last})
            asked = None
            if expected["storage__valid"]:
                _, asked, last = reading.popleft()
                expected["storage__address"] = asked
            for name, value in expected.items():
                if seen[name] != value:
                    raise CheckError(f"{name}, cycle {cycle}: {seen[name]:#x}, not {value:#x}")

            if sense is not None and sense_ready[sense[0]]:
                model.sense(cycle, *sense)
                run.senses.append((cycle, *sense))
                sense = None
            if transfer is not None and model.transfer_ready(cycle):
                row = model.transfer(cycle, transfer)
                run.transfers.append((cycle, transfer))
                first = (row << ceil_log2(flash.banks) | transfer) * flash.page_beats
                reading += [
                    (
                        cycle + NandDies.transfer_latency - 1 + beat,
                        first + beat,
                        beat == flash.page_beats - 1,
                    )
                    for beat in range(flash.page_beats)
                ]
                transfer = None
        return run


def _mask(banks: list[bool]) -> int:
    return sum(ready << bank for bank, ready in enumerate(banks))
