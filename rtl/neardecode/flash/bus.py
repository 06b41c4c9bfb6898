"""The core-die bus: what a channel controller and its NAND core dies say to each other.

The OCP HBF specification leaves this bus to the maker. Ours has a command stream for senses and
one for transfers, a ready line and a page line for every bank, and a data bus that never waits:
the controller asks only for a page that it has room for.
"""

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["CoreDieBus", "CoreDieBusInterface", "DataBeat", "Sense"]


class Sense(data.StructLayout):
    """A command to sense one page.

    Fields:
        bank: The bank, counted over all dies of the channel.
        row: The page within its bank.
    """

    def __init__(self, banks: int, rows: int):
        super().__init__({"bank": unsigned(ceil_log2(banks)), "row": unsigned(ceil_log2(rows))})


class DataBeat(data.StructLayout):
    """A beat of a page on its way to the controller.

    Fields:
        data: The bytes.
        last: The last beat of the page.
    """

    def __init__(self, beat_bytes: int):
        super().__init__({"data": unsigned(8 * beat_bytes), "last": unsigned(1)})


class CoreDieBusInterface(wiring.PureInterface):
    """The wires of a core-die bus; see `CoreDieBus`."""

    senses: stream.Interface
    transfers: stream.Interface
    sense_ready: Signal
    page_ready: Signal
    valid: Signal
    beat: data.View


class CoreDieBus(wiring.Signature):
    """The bus, seen from the controller.

    Parameters:
        banks: Banks of the channel, over all dies.
        rows: Pages of a bank.
        beat_bytes: Bytes of a beat.

    Members:
        senses: Out(stream of `Sense`). Accepted only by a bank whose ``sense_ready`` is high.
        transfers: Out(stream of bank). The bank's page register crosses the bus in consecutive
            cycles.
        sense_ready: In(banks). The bank can take a sense: its latch is free.
        page_ready: In(banks). The bank's page register holds a page not yet asked for.
        valid: In(1). A beat is on the data bus; it cannot be held back.
        beat: In(`DataBeat`). The beat.
    """

    def __init__(self, banks: int, rows: int, beat_bytes: int):
        super().__init__(
            {
                "senses": Out(stream.Signature(Sense(banks, rows))),
                "transfers": Out(stream.Signature(unsigned(ceil_log2(banks)))),
                "sense_ready": In(banks),
                "page_ready": In(banks),
                "valid": In(1),
                "beat": In(DataBeat(beat_bytes)),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> CoreDieBusInterface:
        """The wires of one bus."""
        return CoreDieBusInterface(self, path=path, src_loc_at=1 + src_loc_at)
