"""The core-die bus: what a channel controller and its NAND core dies say to each other.

The OCP HBF specification leaves this bus to the maker. Ours has a command stream for senses, one
for transfers and one for programs and erases, lines of a bit a bank, and data lanes that never
wait: the controller asks only for a page that it has room for, and the dies take every beat of a
page that they are told to program.
"""

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash

__all__ = ["CoreDieBus", "CoreDieBusInterface", "DataBeat", "Operation", "OperationEnd", "Sense"]


class Sense(data.StructLayout):
    """A command to sense one page.

    Fields:
        bank: The bank, counted over all dies of the channel.
        row: The page within its bank, spare blocks last.
        stage: The read-retry stage, 0 for a first read.
    """

    def __init__(self, banks: int, rows: int):
        super().__init__(
            {
                "bank": unsigned(ceil_log2(banks)),
                "row": unsigned(ceil_log2(rows)),
                "stage": unsigned(3),
            }
        )


class Operation(data.StructLayout):
    """A command to program a page or to erase a block.

    Fields:
        bank: The bank.
        row: The page to program, or any page of the block to erase.
        erase: Erase.
    """

    def __init__(self, banks: int, rows: int):
        super().__init__(
            {
                "bank": unsigned(ceil_log2(banks)),
                "row": unsigned(ceil_log2(rows)),
                "erase": unsigned(1),
            }
        )


class OperationEnd(data.StructLayout):
    """How a program or an erase ended.

    Fields:
        bank: Where.
        failed: It did not work.
    """

    def __init__(self, banks: int):
        super().__init__({"bank": unsigned(ceil_log2(banks)), "failed": unsigned(1)})


class DataBeat(data.StructLayout):
    """A beat of a page on the data lanes.

    Fields:
        lanes: What the lanes carry: without repair the bytes of data and above them the parity.
        last: The last beat of the page.
    """

    def __init__(self, lanes: int):
        super().__init__({"lanes": unsigned(lanes), "last": unsigned(1)})


class CoreDieBusInterface(wiring.PureInterface):
    """The wires of a core-die bus; see `CoreDieBus`."""

    senses: stream.Interface
    transfers: stream.Interface
    sense_ready: Signal
    page_ready: Signal
    valid: Signal
    beat: data.View
    operations: stream.Interface
    idle: Signal
    write_valid: Signal
    write_beat: data.View
    ended: Signal
    end: data.View
    loopback: Signal


class CoreDieBus(wiring.Signature):
    """The bus, seen from the controller.

    Parameters:
        config: The flash section. Without ``host`` there are no operations and no lanes towards
            the dies; without ``repair`` there is no loopback.

    Members:
        senses: Out(stream of `Sense`). Accepted only by a bank whose ``sense_ready`` is high.
        transfers: Out(stream of bank). The bank's page register crosses the bus in consecutive
            cycles.
        sense_ready: In(banks). The bank can take a sense: its latch is free, and it neither
            programs nor erases.
        page_ready: In(banks). The bank's page register holds a page not yet asked for.
        valid: In(1). A beat is on the lanes from the dies; it cannot be held back.
        beat: In(`DataBeat`). The beat.
        operations: Out(stream of `Operation`). Accepted only by a bank whose ``idle`` is high, and
            not while an earlier program still waits for its beats. The bank is busy from the next
            cycle until the cycle of its ``ended``, inclusive.
        idle: In(banks). The bank neither senses, holds a page, programs nor erases.
        write_valid: Out(1). A beat is on the lanes towards the dies: the next of the page of the
            last program accepted, from the cycle after its acceptance on.
        write_beat: Out(`DataBeat`). The beat.
        ended: In(1). An operation ended.
        end: In(`OperationEnd`). Which, and how.
        loopback: Out(1). The dies return what the write lanes carry, a cycle later, on the read
            lanes; nothing else may be under way.
    """

    def __init__(self, config: Flash):
        banks, rows = config.banks, config.rows
        members = {
            "senses": Out(stream.Signature(Sense(banks, rows))),
            "transfers": Out(stream.Signature(unsigned(ceil_log2(banks)))),
            "sense_ready": In(banks),
            "page_ready": In(banks),
            "valid": In(1),
            "beat": In(DataBeat(config.lanes)),
        }
        if config.host is not None:
            members |= {
                "operations": Out(stream.Signature(Operation(banks, rows))),
                "idle": In(banks),
                "ended": In(1),
                "end": In(OperationEnd(banks)),
            }
        if config.host is not None or config.repair is not None:
            members |= {"write_valid": Out(1), "write_beat": Out(DataBeat(config.lanes))}
        if config.repair is not None:
            members["loopback"] = Out(1)
        super().__init__(members)

    def create(self, *, path=None, src_loc_at=0) -> CoreDieBusInterface:
        """The wires of one bus."""
        return CoreDieBusInterface(self, path=path, src_loc_at=1 + src_loc_at)
