"""What is offered to the NAND core dies in a run at random: all that their bus allows."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from neardecode.config import Flash
from neardecode_testbench.scenarios.blocks.nand_dies import DiesModel
from neardecode_testbench.scenarios.blocks.nand_faults import LaneModel
from neardecode_testbench.scenarios.blocks.nand_operations import (
    Command,
    OperationsModel,
    Page,
)

__all__ = ["Offers", "Shares"]


@dataclass(frozen=True)
class Shares:
    """How often a sense, a transfer, an operation or a beat is offered, if there is one."""

    sense: float
    transfer: float
    operation: float
    write: float


class Offers:
    """The commands and the beat that stand on the bus.

    Args:
        flash: The flash section.
        shares: How often something new is offered.
        random: Chooses.
        dies, operations: The models of the dies.
        faulty: Lanes that carry nothing.
    """

    def __init__(
        self,
        flash: Flash,
        shares: Shares,
        random: np.random.Generator,
        dies: DiesModel,
        operations: OperationsModel | None,
        faulty: int,
    ):
        self._flash = flash
        self._shares = shares
        self._random = random
        self._dies = dies
        self._operations = operations
        self._faulty = faulty
        self._lanes = LaneModel(flash)
        self._stages = 1 if flash.host is None and flash.ecc is None else 8
        self.sense: Page | None = None
        self.transfer: int | None = None
        self.command: Command | None = None
        self.written: int | None = None
        self.last = False
        # Pages of each bank on their way to the bus.
        self.pages: list[deque[Page]] = [deque() for _ in range(flash.banks)]

    def _sometimes(self, share: float) -> bool:
        return self._random.random() < share

    def choose_any(self) -> None:
        """Offers a beat of anything, to be looped back."""
        self.written = None
        if self._sometimes(0.7):
            bits = int.from_bytes(self._random.bytes(self._flash.lanes // 8 + 1), "little")
            self.written = bits & (1 << self._flash.lanes) - 1
            self.last = self._sometimes(0.5)

    def choose(self, cycle: int, sense_ready: list[bool]) -> None:
        """Offers what is not offered yet; what has been, stays."""
        random, shares, banks = self._random, self._shares, range(self._flash.banks)
        page_ready = self._dies.page_ready(cycle)
        # A bank that is to program or to erase gets no sense.
        shut = None if self.command is None else self.command.bank
        if self.sense is None and self._sometimes(shares.sense):
            # At random a bank that is busy, so that the sense has to wait.
            any_bank = shares.sense < 1 and self._sometimes(0.3)
            free = [bank for bank in banks if (any_bank or sense_ready[bank]) and bank != shut]
            if free:
                self.sense = Page(
                    int(random.choice(free)),
                    int(random.integers(self._flash.rows)),
                    int(random.integers(self._stages)) if self._sometimes(0.3) else 0,
                )
        # A program waits for a gap between transfers.
        hold = shut is not None and not self.pages[shut] and self._sometimes(0.7)
        if self.transfer is None and not hold and self._sometimes(shares.transfer):
            ready = [bank for bank in banks if page_ready[bank]]
            if shut in ready:
                ready = [shut]
            if ready:
                self.transfer = int(random.choice(ready))
        self.written = None
        model = self._operations
        if model is None:
            return
        if self.command is None and self._sometimes(shares.operation):
            self.command = self._new_command(model)
        if model.writing is not None and self._sometimes(shares.write):
            beat = int.from_bytes(random.bytes(self._flash.stored_bytes), "little")
            self.written = self._lanes.spread(beat, self._faulty)
            self.last = model.last

    def _new_command(self, model: OperationsModel) -> Command | None:
        """An erase of any block, or a program of the next page of one that has such a page."""
        assert self._flash.host is not None
        pages = self._flash.host.pages_a_block
        bank = int(self._random.integers(self._flash.banks))
        if bank in model.busy and self._sometimes(0.8):
            return None
        if self.sense is not None and self.sense.bank == bank:
            return None
        row = int(self._random.integers(self._flash.rows))
        if self._sometimes(0.3):
            return Command(bank, row, True)
        record = model.record(bank, row)
        page = int(record["programmed"])
        if bank in model.busy or record["flags"] or page == pages:
            return None
        return Command(bank, row - row % pages + page, False)
