"""The banks behind a write path: shut for it by the read path, and operated by the core dies."""

from dataclasses import dataclass, field

from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.blocks.write_around import WriteAround
from neardecode_testbench.scenarios.blocks.write_model import Unit

__all__ = ["Banks", "Operating"]


@dataclass
class Operating:
    """What a bank works on."""

    bank: int
    erase: bool
    row: int
    starts: int
    beats: list[int] = field(default_factory=list)
    ends: int | None = None
    failed: bool = False


class Banks:
    """The read path, which shuts banks and lends the data lanes, and the dies.

    Args:
        around: What all parts know.

    Attributes:
        operating: What each bank works on.
        flash: The pages programmed, by bank and physical row.
        programmed: The pages programmed in each physical block since its erase.
        most_at_once: Most banks that operated at a time.
        withheld: The readers of a bank that is to be shut do not come to an end.
    """

    def __init__(self, around: WriteAround):
        self._around = around
        self.operating: dict[int, Operating] = {}
        self.flash: dict[tuple[int, int], list[int]] = {}
        self.programmed: dict[tuple[int, int], int] = {}
        self.most_at_once = 0
        self.withheld = False
        self._ended: dict[int, Operating] = {}
        self._filling: Operating | None = None
        self._offered_bank: int | None = None
        self._closing: tuple[int, int] | None = None
        self._shut: set[int] = set()
        self._killed: dict[int, int] = {}
        self._grant = 0
        self._granted = 0
        self._halted = 0

    def drive(self, levels: dict[str, int]) -> None:
        """The inputs of a cycle."""
        levels["bus_granted"] = self._granted
        if self._closing is not None:
            bank, delay = self._closing
            if delay or self.withheld:
                self._closing = (bank, max(delay - 1, 0))
            else:
                levels["closed"] = 1
        due = [
            bank
            for bank, work in self.operating.items()
            if work.ends is not None and work.ends <= self._around.cycle
        ]
        if due:
            bank = self._around.random.choice(due)
            work = self._ended[bank] = self.operating.pop(bank)
            levels["ended"] = 1
            levels["end"] = self._around.pack("end", bank=bank, failed=work.failed)
            block = (bank, work.row // self._around.host.pages_a_block)
            if not work.failed:
                self.programmed[block] = 0 if work.erase else self.programmed[block] + 1
        # An operation is taken when its bank is idle and no page is on its way.
        levels["operations__ready"] = int(
            not self._around.hold("operations")
            and self._filling is None
            and self._offered_bank is not None
            and self._offered_bank not in self.operating
        )

    def watch(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        """What is done to the banks in a cycle."""
        self._watch_read_path(levels, seen)
        self._watch_dies(levels, seen)
        self.most_at_once = max(self.most_at_once, len(self.operating))

    def take_end(self, bank: int, erase: bool, failed: bool, row: int | None = None) -> Operating:
        """The hardware has seen the end of an operation."""
        work = self._ended.pop(bank, None)
        if work is None or work.erase != erase or work.failed != failed:
            raise CheckError(f"bank {bank}: no such end (erase: {erase}, failed: {failed}): {work}")
        if row is not None and row != work.row:
            raise CheckError(f"bank {bank}: row {work.row} was erased, not {row}")
        return work

    def reopen(self, bank: int) -> None:
        """A bank may be read again."""
        if bank in self.operating or bank not in self._shut:
            raise CheckError(f"bank {bank} was reopened")
        self._shut.remove(bank)
        del self._killed[bank]

    def unit_of(self, bank: int) -> Unit:
        """The unit that a bank works for."""
        (unit,) = (
            u for u in self._around.model.units if u.live and u.operating and u.page[0] == bank
        )
        return unit

    def _watch_read_path(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        self._halted = self._halted + 1 if levels["halt"] else 0
        bank = seen["close_bank"]
        if self._closing is None:
            if seen["close"]:
                if bank in self._shut or bank in self.operating:
                    raise CheckError(f"bank {bank} is shut twice")
                if self._halted > 3 and not self._around.erase_request:
                    raise CheckError(f"bank {bank} is shut in a halt")
                self._closing = (
                    bank,
                    self._around.random.randint(0, self._around.settings.close_cycles),
                )
        elif not seen["close"] or bank != self._closing[0]:
            raise CheckError(f"bank {self._closing[0]} is no longer to be shut")
        elif levels["closed"]:
            self._shut.add(bank)
            self._closing = None
        en, bank, row, block = self._around.fields(
            "kill", seen["kill"], "en", "bank", "row", "block"
        )
        if en:
            self._kill(bank, row, bool(block))
        if seen["bus_request"]:
            self._grant = self._grant or self._around.random.randint(
                1, self._around.settings.grant_cycles
            )
            self._grant -= not self._granted and self._grant > 1
            self._granted = int(self._grant == 1)
        else:
            if self._filling is not None and not self._filling.erase:
                raise CheckError("the lanes were let go within a page")
            self._grant = self._granted = 0

    def _kill(self, bank: int, row: int, whole: bool) -> None:
        """Copies of a page or a block are dropped, before it changes."""
        model, pages = self._around.model, self._around.host.pages_a_block
        if bank not in self._shut or bank in self.operating:
            raise CheckError(f"copies of row {row} of bank {bank} were dropped while it was open")
        blocks = [
            block
            for (of_bank, block), record in model.blocks.items()
            if of_bank == bank and record.physical == row // pages and not record.retired
        ]
        if len(blocks) != 1 or whole != (row % pages == 0):
            raise CheckError(f"copies of row {row} of bank {bank} were dropped: {blocks}, {whole}")
        (block,) = blocks
        self._killed[bank] = row
        if self._around.erase_request and not any(unit.live for unit in model.units):
            self._around.erasing_zones = True
            zone = block * self._around.host.zones // self._around.config.blocks_a_bank
            if row % pages or not self._around.erase_zones >> zone & 1:
                raise CheckError(f"row {row} of bank {bank} is not to be erased")
            return
        unit = model.live_unit((bank, block * pages + row % pages))
        if unit is None or not model.complete(unit):
            raise CheckError(f"row {row} of bank {bank} is no complete page")
        if model.units_of_block((bank, block))[0] is not unit:
            raise CheckError(f"page {unit.page} goes before an older one")
        unit.operating = True

    def _watch_dies(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        self._offered_bank = None
        if seen["operations__valid"]:
            bank, row, erase = self._around.fields(
                "operations", seen["operations__payload"], "bank", "row", "erase"
            )
            self._offered_bank = bank
            if not erase and not levels["bus_granted"]:
                raise CheckError("a program without the lanes")
            if levels["operations__ready"]:
                self._offered_bank = None
                self._operate(bank, row, bool(erase))
        if seen["beats__valid"] and levels["beats__ready"]:
            bits = seen["beats__payload"]
            data, first, last = self._around.fields("beats", bits, "data", "first", "last")
            work = self._filling
            if work is None or work.starts == self._around.cycle or not levels["bus_granted"]:
                raise CheckError(f"cycle {self._around.cycle}: a beat without a program")
            work.beats.append(data)
            whole = len(work.beats) == self._around.config.page_beats
            if first != (len(work.beats) == 1) or last != whole:
                raise CheckError(f"beat {len(work.beats)} of a page: first {first}, last {last}")
            if whole:
                unit = self.unit_of(work.bank)
                if work.beats != [
                    unit.data[beat] for beat in range(self._around.config.page_beats)
                ]:
                    raise CheckError(f"page {unit.page} is programmed with other data")
                self._filling = None
                work.ends = self._around.cycle + self._around.random.randint(
                    1, self._around.settings.program_cycles
                )

    def _operate(self, bank: int, row: int, erase: bool) -> None:
        """The dies take an operation."""
        settings, pages = self._around.settings, self._around.host.pages_a_block
        block = (bank, row // pages)
        if bank not in self._shut or self._killed.get(bank) != row:
            raise CheckError(f"row {row} of bank {bank}: its bank is open")
        work = Operating(bank, erase, row, self._around.cycle)
        if erase:
            work.failed = self._around.chance(settings.erase_failures)
            work.ends = self._around.cycle + self._around.random.randint(1, settings.erase_cycles)
            if work.failed:
                self.programmed.pop(block, None)
        else:
            if self.programmed.get(block) != row % pages:
                raise CheckError(f"row {row} of bank {bank} is programmed out of order")
            work.failed = self._around.chance(settings.program_failures)
            self._filling = work
        self.operating[bank] = work
