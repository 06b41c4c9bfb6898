"""The NAND core dies by themselves, their bus driven directly, every wire compared every cycle.

Beside what `nand_dies` and `nand_operations` say: with a host a sense is also held back while the
one before it waits for its block's record, a transfer while a program's beats come, and a program
while a page crosses the bus or would.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import DataBeat, Operation, OperationEnd, Sense
from neardecode_testbench.devices.faults import Contents
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.devices.records import RECORD_TYPE
from neardecode_testbench.drive.stimulus import Probe, Step
from neardecode_testbench.scenarios.blocks.edge import CheckError, Recorder
from neardecode_testbench.scenarios.blocks.nand_dies import DiesModel
from neardecode_testbench.scenarios.blocks.nand_faults import FlipModel, LaneModel, page_rate
from neardecode_testbench.scenarios.blocks.nand_offers import Offers, Shares
from neardecode_testbench.scenarios.blocks.nand_operations import (
    Command,
    OperationsModel,
    Page,
    random_records,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["DiesRun", "DriveBus"]

STREAMS = ("bus__senses", "bus__transfers")


@dataclass
class DiesRun:
    """What the dies did.

    Attributes:
        senses: (cycle, bank, row) of each sense.
        transfers: (cycle, bank) of each transfer.
        beats: The cycle of each beat on the bus.
        flips: How many bits chance flipped.
        contents: What each page that crossed was.
        operations: (cycle, command) of each operation taken.
        ends: (cycle, command, failed) of each operation that ended.
        returned: Beats that came back in loopback.
    """

    senses: list[tuple[int, int, int]] = field(default_factory=list)
    transfers: list[tuple[int, int]] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)
    flips: int = 0
    contents: list[Contents] = field(default_factory=list)
    operations: list[tuple[int, Command]] = field(default_factory=list)
    ends: list[tuple[int, Command, bool]] = field(default_factory=list)
    returned: int = 0


@dataclass
class DriveBus:
    """Whatever the bus allows, at random or as often as the dies take it.

    Attributes:
        flash, sense_cycles, program_cycles, erase_cycles: The dies'.
        cycles: How long.
        seed: Of rows, contents and choices.
        die_seed: The dies'.
        sense_share, transfer_share, operation_share, write_share: How often a sense, a transfer, an
            operation or a beat is offered, if there is one.
        loopback_cycles: How long the lanes are looped back before all.
        records: The blocks' records at the beginning; without them random ones.
        faults: Levels of the dies' faults.
        faulty: The lanes that are led around.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    flash: Flash
    sense_cycles: int
    cycles: int
    program_cycles: int = 0
    erase_cycles: int = 0
    seed: int = 1
    die_seed: int = 1
    sense_share: float = 1.0
    transfer_share: float = 1.0
    operation_share: float = 0.0
    write_share: float = 1.0
    loopback_cycles: int = 0
    records: np.ndarray | None = None
    faults: Mapping[str, int] = field(default_factory=dict)
    faulty: int = 0
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> DiesRun:
        """Drives the bus and checks every wire in every cycle."""
        drive = _Drive(self)
        for cycle in range(self.cycles):
            drive.cycle(step, cycle)
        return drive.run


class _Drive:
    """A run of `DriveBus`: what is offered, and what must come of it."""

    def __init__(self, bus: DriveBus):
        self.bus = bus
        self.flash = flash = bus.flash
        self.random = np.random.default_rng(bus.seed)
        self.run = DiesRun()
        self.dies = DiesModel(flash.banks, flash.page_beats, bus.sense_cycles)
        self.memory = [
            int.from_bytes(self.random.bytes(flash.stored_bytes), "little")
            for _ in range(flash.banks * flash.rows * flash.page_beats)
        ]
        self.operations: OperationsModel | None = None
        if flash.host is not None:
            records = random_records(flash, bus.seed) if bus.records is None else bus.records
            self.operations = OperationsModel(
                flash, bus.program_cycles, bus.erase_cycles, bus.die_seed, records
            )
        self.flips = FlipModel(8 * flash.stored_bytes, bus.die_seed)
        self.lanes = LaneModel(flash)
        self.sense_packer = Packer(Sense(flash.banks, flash.rows))
        self.beat_packer = Packer(DataBeat(flash.lanes))
        self.operation_packer = Packer(Operation(flash.banks, flash.rows))
        self.end_packer = Packer(OperationEnd(flash.banks))
        self.has_faults = flash.host is not None or flash.ecc is not None

        self.offers = Offers(
            flash,
            Shares(bus.sense_share, bus.transfer_share, bus.operation_share, bus.write_share),
            self.random,
            self.dies,
            self.operations,
            bus.faulty,
        )
        self.returned: tuple[int, bool] | None = None
        # Beats that will be read.
        self.reading: deque[tuple[int, int, bool, Page]] = deque()
        # What the storage and the records were asked for in the last cycle.
        self.asked: tuple[int, bool, Page] | None = None
        self.asked_block: int | None = None

    def cycle(self, step: Step, cycle: int) -> None:
        """One cycle: offers, checks, and what follows."""
        offers = self.offers
        looping = cycle < self.bus.loopback_cycles
        if looping:
            offers.choose_any()
        else:
            offers.choose(cycle, self._sense_ready(cycle))
        loopback = offers.written is not None and looping
        writes = offers.written is not None and not looping
        levels = self._levels(looping)
        expected = self._expected(cycle, writes)
        seen = step(Probe(levels, list(expected))).outputs
        for name, value in expected.items():
            if value is None:
                continue
            bits, mask = value if isinstance(value, tuple) else (value, -1)
            if seen[name] & mask != bits & mask:
                raise CheckError(f"{name}, cycle {cycle}: {seen[name]:#x}, not {bits:#x}")
        self._follow(cycle, expected, writes)
        self.returned = None
        if loopback:
            assert offers.written is not None
            self.returned = (self._stuck(offers.written), offers.last)
            self.run.returned += 1

    def _stuck(self, lanes: int) -> int:
        stuck = self.bus.faults.get("stuck", 0)
        return lanes & ~stuck | self.bus.faults.get("stuck_value", 0) & stuck

    def _sense_ready(self, cycle: int) -> list[bool]:
        busy = set() if self.operations is None else self.operations.busy
        return [
            ready and bank not in busy for bank, ready in enumerate(self.dies.sense_ready(cycle))
        ]

    def _idle(self, cycle: int) -> list[bool]:
        assert self.operations is not None
        return [
            free and bank not in self.operations.busy
            for bank, free in enumerate(self.dies.free(cycle))
        ]

    def _levels(self, looping: bool) -> dict[str, int]:
        """The inputs of a cycle."""
        offers = self.offers
        flash = self.flash
        levels = {
            "bus__senses__valid": int(offers.sense is not None),
            "bus__transfers__valid": int(offers.transfer is not None),
        }
        if offers.sense is not None:
            levels["bus__senses__payload"] = self.sense_packer.pack(
                {
                    "bank": offers.sense.bank,
                    "row": offers.sense.row,
                    "stage": offers.sense.stage,
                }
            )
        if offers.transfer is not None and flash.banks > 1:
            levels["bus__transfers__payload"] = offers.transfer
        if self.asked is not None:
            levels["storage__data"] = self.memory[self.asked[0]]
        if self.has_faults:
            levels |= {f"faults__{name}": value for name, value in self.bus.faults.items()}
        if flash.repair is not None:
            levels |= {"bus__loopback": int(looping), "faulty": self.bus.faulty}
        if flash.host is not None or flash.repair is not None:
            levels["bus__write_valid"] = int(offers.written is not None)
            if offers.written is not None:
                levels["bus__write_beat"] = self.beat_packer.pack(
                    {"lanes": offers.written, "last": offers.last}
                )
        if self.operations is not None:
            levels["bus__operations__valid"] = int(offers.command is not None)
            if offers.command is not None:
                levels["bus__operations__payload"] = self.operation_packer.pack(
                    vars(offers.command)
                )
            if self.asked_block is not None:
                record = self.operations.records.reshape(-1)[self.asked_block]
                levels["records__data"] = int.from_bytes(record.tobytes(), "little")
        return levels

    def _expected(self, cycle: int, writes: bool) -> dict[str, int | tuple[int, int] | None]:
        """The outputs of a cycle, some of them only under a mask; None where anything may be."""
        offers = self.offers
        flash, model = self.flash, self.operations
        sense_ready = self._sense_ready(cycle)
        transfer_ready = self.dies.transfer_ready(cycle)
        expected: dict[str, int | tuple[int, int] | None] = {
            "bus__sense_ready": _mask(sense_ready),
            "bus__page_ready": _mask(self.dies.page_ready(cycle)),
            "bus__transfers__ready": int(
                transfer_ready and (model is None or model.writing is None)
            ),
            "bus__senses__ready": None,
            "storage__valid": int(bool(self.reading) and self.reading[0][0] == cycle),
            "storage__address": None,
            "bus__valid": int(self.asked is not None or self.returned is not None),
            "bus__beat": None,
        }
        if offers.sense is not None:
            expected["bus__senses__ready"] = int(
                sense_ready[offers.sense.bank] and (model is None or model.sense is None)
            )
        if expected["storage__valid"]:
            expected["storage__address"] = self.reading[0][1]
        if self.has_faults:
            expected["flipped"] = 0
        if self.returned is not None:
            lanes, last = self.returned
            expected["bus__beat"] = self.beat_packer.pack(
                {"lanes": self._stuck(lanes), "last": last}
            )
        elif self.asked is not None:
            address, last, page = self.asked
            stored = self.memory[address]
            if page.contents == Contents.ERASED:
                stored = (1 << 8 * flash.stored_bytes) - 1
            if self.has_faults:
                stored, flipped = self.flips.beat(
                    stored, page.rate, page.contents == Contents.GARBAGE
                )
                expected["flipped"] = flipped
                self.run.flips += flipped
            lanes = self._stuck(self.lanes.spread(stored, self.bus.faulty))
            used = self.lanes.used(self.bus.faulty) | self.bus.faults.get("stuck", 0)
            expected["bus__beat"] = (
                self.beat_packer.pack({"lanes": lanes, "last": last}),
                self.beat_packer.pack({"lanes": used, "last": 1}),
            )
        if flash.host is not None or flash.repair is not None:
            expected["violated"] = 0
        if model is not None:
            self._expect_operations(expected, cycle, writes, model)
        return expected

    def _expect_operations(self, expected, cycle: int, writes: bool, model) -> None:
        """The outputs that a host adds."""
        offers = self.offers
        idle = self._idle(cycle)
        expected |= {
            "bus__idle": _mask(idle),
            "bus__operations__ready": None,
            "bus__ended": int(model.ended is not None),
            "bus__end": None,
            "storage__write": int(writes),
            "storage__write_data": None,
        }
        if offers.command is not None:
            quiet = offers.transfer is None and not self.dies.reading(cycle)
            expected["bus__operations__ready"] = int(
                idle[offers.command.bank]
                and model.start is None
                and model.writing is None
                and (offers.command.erase or quiet)
            )
        if model.ended is not None:
            command, failed = model.ended
            expected["bus__end"] = self.end_packer.pack({"bank": command.bank, "failed": failed})
        if writes:
            expected |= {
                "storage__valid": 1,
                "storage__address": model.next_beat,
                "storage__write_data": self.lanes.gather(
                    self._stuck(offers.written or 0), self.bus.faulty
                ),
            }
        read, write = model.read(), model.write(cycle, dict(self.bus.faults))
        expected |= {
            "records__valid": int(read is not None or write is not None),
            "records__write": int(write is not None),
            "records__address": read if write is None else write[0],
            "records__write_data": None if write is None else write[1],
        }

    def _follow(self, cycle: int, expected, writes: bool) -> None:
        """What the cycle's transfers of the streams lead to."""
        offers = self.offers
        run, flash, model = self.run, self.flash, self.operations
        if self.asked is not None:
            run.beats.append(cycle)
        self.asked = None
        if self.reading and self.reading[0][0] == cycle:
            self.asked = self.reading.popleft()[1:]
        if writes:
            self.memory[expected["storage__address"]] = expected["storage__write_data"]
        if model is not None:
            self.asked_block = None
            if expected["records__write"]:
                record = expected["records__write_data"].to_bytes(RECORD_TYPE.itemsize, "little")
                model.records.reshape(-1)[expected["records__address"]] = np.frombuffer(
                    record, RECORD_TYPE
                )[0]
            elif expected["records__valid"]:
                self.asked_block = expected["records__address"]

        sensed = taken = None
        if offers.sense is not None and expected["bus__senses__ready"]:
            sensed, offers.sense = offers.sense, None
            self.dies.sense(cycle, sensed.bank, sensed.row)
            offers.pages[sensed.bank].append(sensed)
            run.senses.append((cycle, sensed.bank, sensed.row))
            sensed.rate = page_rate(self.bus.faults, sensed.stage)
        if offers.command is not None and expected["bus__operations__ready"]:
            taken, offers.command = offers.command, None
            run.operations.append((cycle, taken))
        if offers.transfer is not None and expected["bus__transfers__ready"]:
            bank, offers.transfer = offers.transfer, None
            self.dies.transfer(cycle, bank)
            page = offers.pages[bank].popleft()
            run.transfers.append((cycle, bank))
            run.contents.append(page.contents)
            first = (page.row << ceil_log2(flash.banks) | bank) * flash.page_beats
            self.reading += [
                (
                    cycle + NandDies.transfer_latency - 1 + beat,
                    first + beat,
                    beat == flash.page_beats - 1,
                    page,
                )
                for beat in range(flash.page_beats)
            ]
        if model is not None:
            model.advance(cycle, sensed, taken, writes, dict(self.bus.faults))
            run.ends = model.ends


def _mask(banks: list[bool]) -> int:
    return sum(ready << bank for bank, ready in enumerate(banks))
