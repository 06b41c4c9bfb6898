"""Counters: where every cycle went, and how often something happened."""

import enum
from collections.abc import Sequence

from amaranth.hdl import Array, Assert, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CycleCounters", "EventCounters", "chosen_count"]

_GROUP_BITS = 4


class CycleCounters(wiring.Component):
    """Count cycles, each under exactly one cause.

    There is one cause a cycle, so the counts add up to the number of cycles in which ``counting``
    was high, until one of them saturates.

    Latency: a cycle is in ``counts`` one cycle later. Rate: one cause a cycle. A count that has
    reached ``2 ** width - 1`` stays there until reset.

    Parameters:
        causes: Where a cycle can go: an enumeration of the values 0 to n - 1.
        width: Bits of a count. 48 bits last for 48 hours at 1.6 GHz.

    Members:
        cause: ``In(range(n))``. Where this cycle goes.
        counting: ``In(1)``. This cycle is counted.
        counts: ``Out(data.ArrayLayout(width, n))``. By the value of the cause.

    Raises:
        ValueError: if ``causes`` is not such an enumeration, or ``width`` not a positive integer.
    """

    cause: Signal
    counting: Signal
    counts: data.View

    def __init__(self, causes: type[enum.Enum], width: int = 48):
        self._names = _names("causes", causes)
        _check_width(width)
        self._width = width
        super().__init__(
            {
                "cause": In(range(len(self._names))),
                "counting": In(1),
                "counts": Out(data.ArrayLayout(width, len(self._names))),
            }
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The causes' names, in the order of ``counts``."""
        return self._names

    @property
    def width(self) -> int:
        """Bits of a count."""
        return self._width

    def elaborate(self, platform) -> Module:
        """One saturating counter a cause, one of them chosen each cycle."""
        m = Module()

        with m.If(self.counting), m.Switch(self.cause):
            for value in range(len(self._names)):
                with m.Case(value):
                    count = self.counts[value]
                    m.d.sync += count.eq(count + ~count.all())

        m.d.sync += Assert(
            ~self.counting | (self.cause < len(self._names)), "a cycle went to no known cause"
        )
        return m


class EventCounters(wiring.Component):
    """Count events, any number of kinds in a cycle and each at most once.

    Latency: a strobe is in ``counts`` one cycle later. Rate: every strobe in every cycle. A count
    that has reached ``2 ** width - 1`` stays there until reset.

    Parameters:
        events: What is counted: an enumeration of the values 0 to n - 1.
        width: Bits of a count.

    Members:
        strobes: ``In(n)``. Bit k is high in a cycle in which the event of value k happens.
        counting: ``In(1)``. This cycle is counted.
        counts: ``Out(data.ArrayLayout(width, n))``. By the value of the event.

    Raises:
        ValueError: if ``events`` is not such an enumeration, or ``width`` not a positive integer.
    """

    strobes: Signal
    counting: Signal
    counts: data.View

    def __init__(self, events: type[enum.Enum], width: int = 48):
        self._names = _names("events", events)
        _check_width(width)
        self._width = width
        super().__init__(
            {
                "strobes": In(len(self._names)),
                "counting": In(1),
                "counts": Out(data.ArrayLayout(width, len(self._names))),
            }
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The events' names, in the order of ``counts``."""
        return self._names

    @property
    def width(self) -> int:
        """Bits of a count."""
        return self._width

    def elaborate(self, platform) -> Module:
        """One saturating counter an event."""
        m = Module()

        with m.If(self.counting):
            for value in range(len(self._names)):
                with m.If(self.strobes[value]):
                    count = self.counts[value]
                    m.d.sync += count.eq(count + ~count.all())

        return m


def chosen_count(counts: Sequence[Value], address: Signal) -> Value:
    """The count at an address, any beyond the last; simulators nest the choices of one step."""
    low, groups = address[:_GROUP_BITS], range(0, len(counts), 1 << _GROUP_BITS)
    chosen = [Array(counts[first : first + (1 << _GROUP_BITS)])[low] for first in groups]
    return Array(chosen)[address >> _GROUP_BITS]


def _names(parameter: str, members: type[enum.Enum]) -> tuple[str, ...]:
    """Names in the order of their values, which are 0 to n - 1."""
    if not (isinstance(members, type) and issubclass(members, enum.Enum)):
        raise ValueError(f"{parameter} must be an enumeration, not {members!r}")
    by_value = {member.value: member.name for member in members}
    if not by_value or set(by_value) != set(range(len(by_value))):
        raise ValueError(
            f"{parameter} must be an enumeration of the values 0 to n - 1,"
            f" not {[member.value for member in members]!r}"
        )
    return tuple(by_value[value] for value in range(len(by_value)))


def _check_width(width: int) -> None:
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a positive integer, not {width!r}")
