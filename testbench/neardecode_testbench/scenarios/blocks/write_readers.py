"""Readers of pages that are being written: they ask for one, hold its buffer, and read it."""

from dataclasses import dataclass

from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.blocks.write_around import WriteAround
from neardecode_testbench.scenarios.blocks.write_model import Page, Unit

__all__ = ["Readers"]


@dataclass
class _Reader:
    """A reader that was told of a unit, and reads its buffer."""

    unit: Unit
    number: int
    beats: list[int]
    acquires: int


class Readers:
    """Readers that come at random.

    Args:
        around: What all parts know.

    Attributes:
        held_after_end: Reads of a unit's buffer after its fate was known.
    """

    def __init__(self, around: WriteAround):
        self._around = around
        self.held_after_end = 0
        self._asked: tuple[Page, list[int]] | None = None
        self._hit: Unit | None = None
        self._probe: tuple[Unit | None, list[int], bool] | None = None
        self._readers: list[_Reader] = []
        self._acquired: _Reader | None = None
        self._released: _Reader | None = None
        self._reading: int | None = None
        self._read: int | None = None

    @property
    def idle(self) -> bool:
        """Nobody reads."""
        return not self._readers

    @property
    def outputs(self) -> list[str]:
        """Ports to look at: a memory that was never read gives nothing that could be sampled."""
        return ["probed", *(["read_data"] if self._read is not None else [])]

    def _any_page(self) -> Page:
        units = self._around.model.units
        if units and self._around.random.random() < 0.7:
            return self._around.random.choice(units).page
        return self._around.random.randrange(
            self._around.config.banks
        ), self._around.random.randrange(self._around.config.pages_a_bank)

    def drive(self, levels: dict[str, int]) -> None:
        """The inputs of a cycle."""
        levels |= {"probe": 0, "acquire": 0, "release": 0, "read": 0}
        self._asked = None
        if self._around.chance(self._around.settings.probes):
            bank, row = self._any_page()
            first = self._around.random.randrange(self._around.config.page_beats)
            beats = self._around.random.randint(1, self._around.config.page_beats - first)
            levels["probe"] = self._around.pack(
                "probe", en=1, bank=bank, row=row, first=first, beats=beats
            )
            self._asked = ((bank, row), list(range(first, first + beats)))
        self._acquired = self._released = None
        for reader in self._readers:
            if reader.acquires == self._around.cycle:
                levels["acquire"] = self._around.pack("unit", en=1, unit=reader.number)
                self._acquired = reader
        self._reading = None
        held = [reader for reader in self._readers if reader.acquires < self._around.cycle]
        if held and self._around.chance(0.5):
            reader = self._around.random.choice(held)
            if reader.beats:
                beat = reader.beats.pop()
                levels["read"] = self._around.pack("read", en=1, unit=reader.number, beat=beat)
                self._reading = reader.unit.data[beat]
                self.held_after_end += not reader.unit.live
            else:
                levels["release"] = self._around.pack("unit", en=1, unit=reader.number)
                self._released = reader

    def watch(self, seen: dict[str, int]) -> None:
        """What a probe of the cycle before has found, and a read."""
        if self._asked is not None:
            self._hit = self._around.model.live_unit(self._asked[0])
        if self._read is not None and seen["read_data"] != self._read:
            raise CheckError(f"read {seen['read_data']:#x}, not {self._read:#x}")
        self._read = self._reading
        if self._probe is None:
            return
        unit, beats, waits = self._probe
        hit, number, pending = self._around.fields(
            "probed", seen["probed"], "hit", "unit", "pending"
        )
        if hit != (unit is not None):
            raise CheckError(f"cycle {self._around.cycle}: a probe of {unit} hit: {hit}")
        if unit is None:
            return
        if pending != waits:
            raise CheckError(
                f"cycle {self._around.cycle}: beats {beats} of {unit} pending: {pending}"
            )
        if unit.number is None:
            unit.number = number
            if any(
                u.number == number and u is not unit and u.in_use for u in self._around.model.units
            ):
                raise CheckError(f"unit {number} has two pages")
        if unit.number != number:
            raise CheckError(f"page {unit.page} moved from unit {unit.number} to {number}")
        if not pending and len(self._readers) < 3 and self._around.chance(0.2):
            acquires = self._around.cycle + self._around.random.randint(1, 2)
            if all(reader.acquires != acquires for reader in self._readers):
                self._readers.append(_Reader(unit, number, list(beats), acquires))

    def settle(self) -> None:
        """The end of a cycle, in which commands came and beats."""
        model = self._around.model
        self._probe = None
        if self._asked is not None:
            beats = self._asked[1]
            waits = self._hit is not None and model.pending(self._hit, beats)
            self._probe = (self._hit, beats, waits)
        if self._acquired is not None:
            unit = self._acquired.unit
            unit.readers += 1
            if unit not in model.units:
                model.units.append(unit)
        if self._released is not None:
            self._released.unit.readers -= 1
            self._readers.remove(self._released)
