"""What a controller's write path decides, cycle by cycle."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from neardecode.flash.write.control import WriteControl
from neardecode.flash.write.units import UnitState
from neardecode_testbench.devices.storage import StorageInterface, StoragePort

__all__ = ["Decision", "DecisionLogger", "WriteLog"]

ENTRIES = 1 << 12
"""More than the decisions of a round."""
ENTRY_BYTES = 16
CYCLE_BITS = 48
CHECKED, BEGUN = 1, 2


@dataclass(frozen=True)
class Decision:
    """What was decided on a command or on a unit.

    A unit that neither was checked for a command nor begun came to an end, or its program failed.

    Attributes:
        cycle: When, counted from reset.
        checked: A command was checked.
        begun: A bank begins to work for the unit.
        unit: Which unit.
        joins, opens: The command's data goes to that unit, and is its first.
        ended: The unit's fate is known.
        status, info: The answer of the command that does not join, or of the unit that ended.
    """

    cycle: int
    checked: bool
    begun: bool
    unit: int
    joins: bool
    opens: bool
    ended: bool
    status: int
    info: int


class DecisionLogger(wiring.Component):
    """Writes every decision of a write path's control to memory.

    Parameters:
        control: The control; it is watched from outside.

    Members:
        decisions: Out(`StoragePort`). Written once for each decision, one entry after another; the
            entries come round after `ENTRIES`.
    """

    decisions: StorageInterface

    def __init__(self, control: WriteControl):
        self._control = control
        port = StoragePort((ENTRIES - 1).bit_length(), ENTRY_BYTES, writable=True)
        super().__init__({"decisions": Out(port)})

    def elaborate(self, platform) -> Module:
        """An entry where a command is checked, a unit is begun or ends, or its program failed."""
        m = Module()
        control, log = self._control, self.decisions
        accepted, step = control.gatherer.accepted, control.steps.step
        checked = control.gatherer.accept
        failed = step.moves & (step.state == UnitState.PROGRAM_FAILED)
        place, now = Signal(range(ENTRIES)), Signal(CYCLE_BITS)
        m.d.sync += now.eq(now + 1)
        m.d.comb += [
            log.valid.eq(checked | step.start | step.decided | failed),
            log.write.eq(1),
            log.address.eq(place),
        ]
        with m.If(log.valid):
            m.d.sync += place.eq(place + 1)
        with m.If(checked):
            m.d.comb += log.write_data.eq(
                _entry(
                    now, CHECKED, control.gatherer.unit, accepted.joins, accepted.opens, 0, accepted
                )
            )
        with m.Else():
            m.d.comb += log.write_data.eq(
                _entry(
                    now,
                    Mux(step.start, BEGUN, 0),
                    control.visited,
                    0,
                    0,
                    step.decided,
                    step.fate,
                )
            )
        return m


def _entry(now, what, unit, joins, opens, ended, fate) -> Value:
    """An entry's bits: a byte a field, the first one never zero; the cycle last."""
    parts = (1, what, unit, joins, opens, ended, fate.status, fate.info)
    byte = [Value.cast(part) for part in parts]
    return Cat(*(Cat(part, Const(0, 8 - len(part))) for part in byte), now)


class WriteLog:
    """The memory behind ``decisions``, read once.

    Attributes:
        memory: (entries, bytes), to be served as a writable storage.
    """

    def __init__(self):
        self.memory = np.zeros((ENTRIES, ENTRY_BYTES), np.uint8)
        self._next = 0

    def read(self) -> list[Decision]:
        """The decisions since it was read last."""
        decisions = []
        while (entry := self.memory[self._next])[0]:
            fields = [int(part) for part in entry]
            decisions.append(
                Decision(
                    cycle=int.from_bytes(entry[8:].tobytes(), "little"),
                    checked=fields[1] == CHECKED,
                    begun=fields[1] == BEGUN,
                    unit=fields[2],
                    joins=bool(fields[3]),
                    opens=bool(fields[4]),
                    ended=bool(fields[5]),
                    status=fields[6],
                    info=fields[7],
                )
            )
            entry[:] = 0
            self._next = (self._next + 1) % ENTRIES
        return decisions
