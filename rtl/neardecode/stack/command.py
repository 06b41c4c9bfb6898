"""What crosses the TSVs between a vault's controller and its DRAM."""

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Stack

__all__ = ["ColumnCommand", "DramBus", "DramBusInterface", "RowCommand", "RowKind"]


class RowKind(enum.Enum, shape=3):
    """A command on the row bus."""

    NONE = 0
    ACTIVATE = 1
    """Open a row of a bank."""
    PRECHARGE = 2
    """Close a bank's row."""
    PRECHARGE_ALL = 3
    """Close all rows."""
    REFRESH_ALL = 4
    """Refresh all banks, which are closed."""
    REFRESH_BANK = 5
    """Refresh one bank, which is closed."""


class RowCommand(data.StructLayout):
    """What the row bus carries in one cycle.

    Parameters:
        config: The stack section of a configuration.

    Fields:
        kind: Which command.
        bank: ``bank * bank_groups + group``, where the command has one.
        row: The row to open.
    """

    def __init__(self, config: Stack):
        super().__init__(
            {
                "kind": RowKind,
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(exact_log2(config.pages_a_bank)),
            }
        )


class ColumnCommand(data.StructLayout):
    """What the column bus carries in one cycle.

    Parameters:
        config: The stack section of a configuration.

    Fields:
        valid: There is a command.
        write: It writes.
        bank: As in `RowCommand`.
        column: Which beat of the open row.
    """

    def __init__(self, config: Stack):
        super().__init__(
            {
                "valid": unsigned(1),
                "write": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "column": unsigned(exact_log2(config.columns)),
            }
        )


class DramBusInterface(wiring.PureInterface):
    """The wires of a vault's TSVs; see `DramBus`."""

    row: data.View
    column: data.View
    write_lanes: Signal
    read_lanes: Signal
    loopback: Signal


class DramBus(wiring.Signature):
    """A vault's TSVs.

    A read command's beat is on the lanes CL cycles after it, a write command's CWL cycles after it.
    The lanes are used in one direction at a time.

    Parameters:
        config: The stack section of a configuration.

    Members:
        row: Out(`RowCommand`).
        column: Out(`ColumnCommand`).
        write_lanes: Out(lanes). Towards the DRAM: the beat, above it the bytes that are written.
        read_lanes: In(lanes). From the DRAM.
        loopback: Out(1). The DRAM returns in the next cycle what is on the lanes.
    """

    def __init__(self, config: Stack):
        super().__init__(
            {
                "row": Out(RowCommand(config)),
                "column": Out(ColumnCommand(config)),
                "write_lanes": Out(config.lanes),
                "read_lanes": In(config.lanes),
                "loopback": Out(1),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> DramBusInterface:
        """The wires of one vault."""
        return DramBusInterface(self, path=path, src_loc_at=1 + src_loc_at)
