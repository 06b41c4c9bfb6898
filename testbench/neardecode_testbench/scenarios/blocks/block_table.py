"""The block table, every answer in every cycle against a model."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neardecode.config import Flash
from neardecode.flash.blocks.counts import Counted
from neardecode.flash.blocks.ports import (
    BlockAddress,
    BlockErased,
    BlockRow,
    BlockState,
    BlockUpdate,
    BlockWear,
    ZoneSwap,
)
from neardecode.flash.status import Retired
from neardecode_testbench.drive.stimulus import Probe, Step
from neardecode_testbench.scenarios.blocks.edge import CheckError, Recorder
from neardecode_testbench.scenarios.packing import Packer

__all__ = [
    "BlockTableCycles",
    "BlockTableModel",
    "Cycle",
    "quiet_cycles",
    "random_cycles",
    "sweep_cycles",
]

Cycle = Mapping[str, Any]
"""What is asked in a cycle: for a port its fields in order, ``en`` left out, or its level."""

FIELDS = {
    "lookup": ("bank", "block"),
    "check": ("bank", "block"),
    "scan": ("bank", "block"),
    "update": ("bank", "block", "next_page", "failed"),
    "replace": ("bank", "block"),
    "swap": ("source", "destination"),
    "sensed": ("bank", "row"),
    "erased": ("bank", "row", "block"),
    "inspect": ("bank", "block"),
}
LEVELS = {"retire_channel": 0, "read_limit": 1000, "zone": 0}
LOOKS = {"lookup": "found", "check": "checked"}


def sweep_cycles(config: Flash) -> int:
    """Cycles from reset until ``ready``."""
    assert config.host is not None
    return config.banks * (config.blocks_a_bank + config.host.spare_blocks)


def quiet_cycles(config: Flash) -> int:
    """Cycles without reads after which all erases are counted."""
    assert config.host is not None
    return 3 * config.host.units + 3


@dataclass
class _Block:
    """What a zone's block is: where, and how far it is written."""

    physical: int
    next_page: int = 0
    failed: int = 0
    retired: bool = False


@dataclass
class _Replacing:
    """A replacement under way."""

    bank: int
    block: _Block
    looked: bool = False


class BlockTableModel:
    """The table as its contract says it, a cycle at a time.

    Args:
        config: The flash section of a configuration.
        bank_limit: Blocks of a bank that may retire before the bank does.
    """

    def __init__(self, config: Flash, bank_limit: int):
        assert config.host is not None
        self._config = config
        self._host = host = config.host
        self._limit = bank_limit
        self._cycle = 0
        self._zones = list(range(host.zones))
        self._blocks = [
            [_Block(physical) for physical in range(config.blocks_a_bank)]
            for _ in range(config.banks)
        ]
        self._spares = [host.spare_blocks] * config.banks
        self._lost = [0] * config.banks
        self._replacing: _Replacing | None = None
        self._replaced: tuple[int, bool] | None = None
        self._answers: dict[str, tuple[int, _Block]] = {}
        self._counted: tuple[int, int] | None = None
        self._reads: dict[tuple[int, int], int] = {}
        self._erases: dict[tuple[int, int], int] = {}
        self._zone_erases = [0] * host.zones
        self._inspected: tuple[int, _Block] | None = None
        self._wears: set[tuple[int, int]] = set()
        self._unquiet = quiet_cycles(config)

    @property
    def replacing(self) -> bool:
        """A replacement is under way."""
        return self._replacing is not None

    def block(self, bank: int, block: int) -> _Block:
        """The block behind a logical one."""
        size = self._config.blocks_a_bank // self._host.zones
        return self._blocks[bank][self._zones[block // size] * size + block % size]

    def expected(self, levels: Mapping[str, int]) -> dict[str, Any]:
        """The outputs of this cycle that are certain: fields in order, or a level."""
        channel = bool(levels["retire_channel"])
        outputs: dict[str, Any] = {
            "ready": int(self._cycle >= sweep_cycles(self._config)),
            "replaced": int(self._replaced is not None),
            "reduced": int(
                channel or any(block.retired for bank in self._blocks for block in bank)
            ),
        }
        for port, (bank, block) in self._answers.items():
            retired = self._widest(bank, block.retired, channel)
            if port == "scan":
                outputs["scanned"] = retired
            else:
                outputs[LOOKS[port]] = (block.physical, block.next_page, block.failed, retired)
        if self._replaced is not None:
            outputs["replacement"] = self._widest(*self._replaced, channel)
        if self._counted is None:
            outputs["counted"] = None
        else:
            bank, reads = self._counted
            outputs["counted"] = (bank, int(reads > levels["read_limit"]))
        if self._unquiet == 0:
            outputs["maximum_erases"] = max(self._erases.values(), default=0)
            blocks = self._config.banks * self._config.blocks_a_bank
            outputs["average_erases"] = sum(self._erases.values()) // blocks
        share = self._config.banks * self._config.blocks_a_bank // self._host.zones
        outputs["zone_erases"] = self._zone_erases[self._zones[levels["zone"]]] // share
        return outputs

    @property
    def inspecting(self) -> bool:
        """A block's wear was asked for and is not there."""
        return self._inspected is not None

    def inspected(self) -> set[tuple[int, int]]:
        """What a block's wear, reads and erases, was since it was asked for; it is there now."""
        if self._inspected is None:
            raise CheckError(f"cycle {self._cycle}: no block was to be inspected")
        self._inspected = None
        return self._wears

    def _see_wear(self) -> None:
        if self._inspected is not None:
            bank, block = self._inspected
            place = bank, block.physical
            self._wears.add((self._reads.get(place, 0), self._erases.get(place, 0)))

    def step(self, asked: Cycle) -> None:
        """The clock's edge after a cycle in which this was asked."""
        self._answers.pop("scan", None)
        for port in ("lookup", "check", "scan"):
            if port in asked:
                bank, block = asked[port]
                self._answers[port] = (bank, _Block(**vars(self.block(bank, block))))
        self._step_replacement(asked)
        if "update" in asked:
            bank, block, next_page, failed = asked["update"]
            self.block(bank, block).next_page = next_page
            self.block(bank, block).failed = failed
        if "replace" in asked:
            bank, block = asked["replace"]
            self._replacing = _Replacing(bank, self.block(bank, block))
        if "inspect" in asked:
            bank, block = asked["inspect"]
            self._inspected, self._wears = (bank, self.block(bank, block)), set()
            self._see_wear()
        self._step_counts(asked)
        if "swap" in asked:
            first, second = asked["swap"]
            zones = self._zones
            zones[first], zones[second] = zones[second], zones[first]
        self._see_wear()
        self._cycle += 1

    def _step_replacement(self, asked: Cycle) -> None:
        self._replaced = None
        now = self._replacing
        if now is None:
            return
        if not (now.looked and "update" not in asked):
            now.looked = "scan" not in asked
            return
        bank, block = now.bank, now.block
        if block.retired:
            self._replaced = (bank, True)
        elif self._spares[bank]:
            block.physical = self._config.blocks_a_bank + self._host.spare_blocks
            block.physical -= self._spares[bank]
            block.next_page = block.failed = 0
            self._spares[bank] -= 1
            self._replaced = (bank, False)
        else:
            block.retired = True
            self._lost[bank] += 1
            self._replaced = (bank, True)
        self._replacing = None

    def _step_counts(self, asked: Cycle) -> None:
        self._counted = None
        if "sensed" in asked:
            bank, row = asked["sensed"]
            place = bank, row // self._host.pages_a_block
            self._reads[place] = self._reads.get(place, 0) + 1
            self._counted = bank, self._reads[place]
        if "erased" in asked:
            bank, row, block = asked["erased"]
            place = bank, row // self._host.pages_a_block
            size = self._config.blocks_a_bank // self._host.zones
            self._zone_erases[self._zones[block // size]] += 1
            self._reads[place] = 0
            self._erases[place] = self._erases.get(place, 0) + 1
        if "sensed" in asked or "erased" in asked:
            self._unquiet = quiet_cycles(self._config)
        else:
            self._unquiet = max(0, self._unquiet - 1)

    def _widest(self, bank: int, block: bool, channel: bool) -> int:
        """What is retired of a bank's block."""
        config = self._config
        banks = [lost > self._limit for lost in self._lost]
        size = config.banks_a_die
        dies = [all(banks[die * size : (die + 1) * size]) for die in range(config.dies)]
        if channel or all(dies):
            return Retired.CHANNEL.value
        if dies[bank // size]:
            return Retired.DIE.value
        if banks[bank]:
            return Retired.BANK.value
        return Retired.BLOCK.value if block else 0


@dataclass
class BlockTableCycles:
    """What is asked, cycle by cycle, after the sweep.

    Attributes:
        config, bank_limit: Of the table.
        script: A `Cycle` each; one with ``replace`` waits until no replacement is under way, one
            with ``inspect`` until none is inspected.
        recorder: Sees no stream, as the table has none.
    """

    config: Flash
    script: Sequence[Cycle]
    bank_limit: int = 4
    recorder: Recorder = field(default_factory=lambda: Recorder(()))

    def __call__(self, step: Step) -> list[dict[str, Any]]:
        """Plays the script and returns the outputs that were certain, of each of its cycles.

        Raises:
            CheckError: if an output is not what the model says.
        """
        config = self.config
        assert config.host is not None
        address, row, update = BlockAddress(config), BlockRow(config), BlockUpdate(config)
        self._inputs = {
            **dict.fromkeys(("lookup", "check", "scan", "replace"), Packer(address)),
            "update": Packer(update),
            "swap": Packer(ZoneSwap(config.host.zones)),
            "sensed": Packer(row),
            "erased": Packer(BlockErased(config)),
            "inspect": Packer(address),
        }
        self._wear = Packer(BlockWear())
        self._wears: set[tuple[int, int]] | None = None
        self._state = Packer(BlockState(config))
        self._counted = Packer(Counted(config))
        self._levels = dict(LEVELS)
        self._cycle = 0
        # What is not asked has other fields that mean nothing.
        self._noise = random.Random(1)
        model = BlockTableModel(config, self.bank_limit)
        for _ in range(sweep_cycles(config)):
            self._one(step, model, {})
        outputs = []
        for asked in self.script:
            while ("replace" in asked and model.replacing) or (
                "inspect" in asked and model.inspecting
            ):
                self._one(step, model, {})
            outputs.append(self._one(step, model, asked))
        if model.inspecting:
            raise CheckError("a block was not inspected")
        return outputs

    def _one(self, step: Step, model: BlockTableModel, asked: Cycle) -> dict[str, Any]:
        """One cycle, checked."""
        levels: dict[str, int] = {}
        for port, packer in self._inputs.items():
            if port in asked:
                levels[port] = packer.pack(
                    {"en": 1, **dict(zip(FIELDS[port], asked[port], strict=True))}
                )
            else:
                levels[port] = self._noise.getrandbits(64) & packer.mask(*FIELDS[port])
        self._levels |= {port: asked[port] for port in LEVELS if port in asked}
        expected = model.expected(self._levels)
        # What is not certain may be unknown in a simulator that has such values.
        outputs = step(Probe(levels | self._levels, [*expected, "inspected", "wear"])).outputs
        seen = {port: self._read(port, outputs[port]) for port in expected}
        for port, value in expected.items():
            if seen[port] != value:
                raise CheckError(f"{port} in cycle {self._cycle} is {seen[port]}, not {value}")
        if self._wears is not None:
            wear = tuple(self._wear.field(outputs["wear"], name) for name in ("reads", "erases"))
            if wear not in self._wears:
                raise CheckError(f"wear in cycle {self._cycle} is {wear}, not in {self._wears}")
            seen["wear"] = wear
        self._wears = model.inspected() if outputs["inspected"] else None
        model.step(asked)
        self._cycle += 1
        return seen

    def _read(self, port: str, bits: int) -> Any:
        """An output: its fields in order, or its level."""
        if port in LOOKS.values():
            names = ("physical", "next_page", "failed", "retired")
            return tuple(self._state.field(bits, name) for name in names)
        if port == "counted":
            if not self._counted.field(bits, "valid"):
                return None
            return tuple(self._counted.field(bits, name) for name in ("bank", "over"))
        return bits


def random_cycles(seed: int, config: Flash, stretches: int, busy: float = 0.5) -> list[Cycle]:
    """Stretches of everything at once, with quiet after each.

    A bank is sensed again at the earliest two cycles later, and one that was erased not before the
    quiet; in a stretch no more is erased than there are units.

    Args:
        seed: Of all.
        config: The flash section of a configuration.
        stretches: How many.
        busy: How likely each port is used in a cycle.
    """
    assert config.host is not None
    host = config.host
    source = np.random.default_rng(seed)
    banks, blocks = config.banks, config.blocks_a_bank

    def number(limit: int) -> int:
        return int(source.integers(limit))

    def stretch() -> Iterable[Cycle]:
        erased: set[int] = set()
        erases = host.units
        last_sensed: int | None = None
        for _ in range(40):
            asked: dict[str, Any] = {}
            for port in ("lookup", "check", "scan"):
                if source.random() < busy:
                    asked[port] = (number(banks), number(blocks))
            if source.random() < busy:
                asked["update"] = (
                    *(number(banks), number(blocks)),
                    *(number(host.pages_a_block + 1), number(2)),
                )
            if source.random() < 0.06:
                asked["replace"] = (number(banks), number(blocks))
            if source.random() < 0.06:
                asked["swap"] = (number(host.zones), number(host.zones))
            if source.random() < 0.1:
                asked["inspect"] = (number(banks), number(blocks))
            candidates = [
                bank for bank in range(banks) if bank not in erased and bank != last_sensed
            ]
            last_sensed = None
            if candidates and source.random() < busy:
                last_sensed = candidates[number(len(candidates))]
                asked["sensed"] = (last_sensed, number(config.rows))
            if erases and source.random() < 0.2:
                bank = number(banks)
                if bank not in (erased | {last_sensed}):
                    erases -= 1
                    erased.add(bank)
                    asked["erased"] = (bank, number(config.rows), number(blocks))
            yield asked

    script: list[Cycle] = []
    for _ in range(stretches):
        script += [{"read_limit": number(9), "retire_channel": int(source.random() < 0.05)}]
        script += [*stretch(), *([{}] * quiet_cycles(config))]
        script += [{"zone": number(host.zones)}]
    return script
