"""What the surroundings of a write path have in common: its wires, how they behave, their time."""

import random
from dataclasses import dataclass

from neardecode.config import Flash
from neardecode.flash.axi import AxiWriteBeat
from neardecode.flash.blocks.ports import BlockAddress, BlockErased, BlockState, BlockUpdate
from neardecode.flash.bus import Operation, OperationEnd
from neardecode.flash.read.pages import Kill
from neardecode.flash.write.ports import (
    BankStrobe,
    UnitProbe,
    UnitProbed,
    UnitRead,
    UnitStrobe,
    WriteEnd,
    WriteEvents,
    WriteOpen,
)
from neardecode.flash.write.programmer import PageData
from neardecode_testbench.scenarios.blocks.write_model import WriteModel
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["EVENTS", "STREAMS", "WriteAround", "WriteSettings"]

STREAMS: tuple[str, ...] = ("opens", "data", "ends", "operations", "beats")
EVENTS = ("programs", "erases", "program_failures", "erase_failures", "timeouts")


@dataclass(frozen=True)
class WriteSettings:
    """How the stand-ins behave.

    Attributes:
        seed: Of everything random.
        stalls: The share of cycles in which a stream is held back.
        unit_limit, gather_cycles: As the ports; no limit given means all units.
        close_cycles, grant_cycles, replace_cycles: Longest delays of an answer.
        erase_cycles, program_cycles: Longest time of an operation.
        erase_failures, program_failures: The share of operations that fail.
        probes: The share of cycles with a probe.
    """

    seed: int = 0
    stalls: float = 0.3
    unit_limit: int | None = None
    gather_cycles: int = 400
    close_cycles: int = 12
    grant_cycles: int = 6
    replace_cycles: int = 5
    erase_cycles: int = 60
    program_cycles: int = 40
    erase_failures: float = 0.0
    program_failures: float = 0.0
    probes: float = 0.5


class WriteAround:
    """What every part of the surroundings knows.

    Args:
        config: The flash section.
        settings: How they behave.

    Attributes:
        model: What must come of it.
        random: Of everything.
        cycle: The next cycle.
        erase_request, erase_zones: As the ports.
        erasing_zones: A secure erase runs.
    """

    def __init__(self, config: Flash, settings: WriteSettings):
        assert config.host is not None
        self.config, self.host, self.settings = config, config.host, settings
        self.random = random.Random(settings.seed)
        self.model = WriteModel(config)
        self.cycle = 0
        self.erase_request = 0
        self.erase_zones = 0
        self.erasing_zones = False
        self._stalled = dict.fromkeys(STREAMS, False)
        self._packers = {
            "probe": Packer(UnitProbe(config)),
            "probed": Packer(UnitProbed(config)),
            "unit": Packer(UnitStrobe(config)),
            "read": Packer(UnitRead(config)),
            "block": Packer(BlockAddress(config)),
            "checked": Packer(BlockState(config)),
            "update": Packer(BlockUpdate(config)),
            "erased": Packer(BlockErased(config)),
            "kill": Packer(Kill(config)),
            "bank": Packer(BankStrobe(config)),
            "end": Packer(OperationEnd(config.banks)),
            "events": Packer(WriteEvents()),
            "opens": Packer(WriteOpen(config)),
            "data": Packer(AxiWriteBeat(config.beat_bytes)),
            "ends": Packer(WriteEnd(self.host.writes)),
            "operations": Packer(Operation(config.banks, config.rows)),
            "beats": Packer(PageData(config.beat_bytes)),
        }

    def pack(self, name: str, **fields: int) -> int:
        """The bits of a port."""
        return self._packers[name].pack(fields)

    def fields(self, name: str, bits: int, *fields: str) -> list[int]:
        """Fields of a port."""
        return [self._packers[name].field(bits, each) for each in fields]

    def chance(self, share: float) -> bool:
        """Whether something happens."""
        return self.random.random() < share

    def hold(self, stream: str) -> bool:
        """Whether a stream is held back in this cycle: now and then for a while."""
        if self.chance(0.2):
            self._stalled[stream] = self.chance(self.settings.stalls)
        return self._stalled[stream]
