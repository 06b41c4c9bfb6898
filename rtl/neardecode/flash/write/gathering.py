"""What the control and the gatherer of the write path say to each other."""

from amaranth.hdl import Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.sections import host_of

__all__ = ["Accepted", "Answered", "Gathering", "GatheringInterface"]


class Accepted(StructLayout):
    """What became of a command.

    Fields:
        entry: Names it.
        joins: Its data goes to a unit and it is answered with it; otherwise its data is dropped
            and it is answered after that.
        opens: It is the first of that unit.
        status, info: The answer of a command that does not join.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "entry": unsigned(exact_log2(host_of(config).writes)),
                "joins": unsigned(1),
                "opens": unsigned(1),
                "status": unsigned(4),
                "info": unsigned(3),
            }
        )


class Answered(StructLayout):
    """A unit whose fate is known, if ``en``.

    Fields:
        unit: Which.
        status, info: How its commands are answered.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "unit": unsigned(exact_log2(host_of(config).units)),
                "status": unsigned(4),
                "info": unsigned(3),
            }
        )


class GatheringInterface(wiring.PureInterface):
    """The wires of `Gathering`."""

    unit: Signal
    first: Signal
    beats: Signal
    overlap: Signal
    accept: Signal
    accepted: View
    room: Signal
    answer: View
    answering: Signal
    complete: Signal
    listed: Signal
    settled: Signal


class Gathering(wiring.Signature):
    """What the control has to do with the gatherer, seen from the control.

    Members:
        unit, first, beats: Out. Beats of a unit.
        overlap: In(1). One of them was promised; a path from them.
        accept: Out(1). In this cycle a command for them is accepted, while ``room``.
        accepted: Out(`Accepted`). What became of it.
        room: In(1).
        answer: Out(`Answered`). The commands that have come are to be answered, while not
            ``answering``.
        answering: In(1).
        complete: In(units). All beats of the page came.
        listed: In(units). Some command waits for ``answer``.
        settled: In(units). Every command of the unit was answered.
    """

    def __init__(self, config: Flash):
        host = host_of(config)
        super().__init__(
            {
                "unit": Out(exact_log2(host.units)),
                "first": Out(ceil_log2(config.page_beats)),
                "beats": Out(ceil_log2(config.page_beats + 1)),
                "overlap": In(1),
                "accept": Out(1),
                "accepted": Out(Accepted(config)),
                "room": In(1),
                "answer": Out(Answered(config)),
                "answering": In(1),
                "complete": In(host.units),
                "listed": In(host.units),
                "settled": In(host.units),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> GatheringInterface:
        """The wires."""
        return GatheringInterface(self, path=path, src_loc_at=1 + src_loc_at)
