"""Spare lanes of a wide bus: where the good ones are, and which ones are not."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.population import ones

__all__ = ["LaneGather", "LaneSpread", "LaneTest", "check_lanes"]

PATTERNS = 4
SETTLE = 2


def check_lanes(width: int, groups: int, spares: int) -> None:
    """Checks how lanes are grouped.

    Raises:
        ValueError: if ``groups`` does not divide ``width``, or a number is not positive.
    """
    for name, value in (("width", width), ("groups", groups), ("spares", spares)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, not {value!r}")
    if width % groups:
        raise ValueError(f"groups must divide the width {width}, not {groups!r}")


class LaneSpread(wiring.Component):
    """Puts bits on the lanes that are good; spare and faulty lanes carry a neighbour's bit.

    Each group of ``width / groups`` bits has ``spares`` lanes more than bits, and its bits move up
    past its faulty lanes. Latency: none.

    Parameters:
        width: Bits.
        groups: Groups of lanes, each with its own spares.
        spares: Spare lanes of a group.

    Members:
        bits: In(width).
        faulty: In(lanes). Which lanes are not used.
        lanes: Out(width + groups * spares).

    Raises:
        ValueError: as `check_lanes`.
    """

    bits: Signal
    faulty: Signal
    lanes: Signal

    def __init__(self, width: int, groups: int, spares: int):
        check_lanes(width, groups, spares)
        self._width, self._groups, self._spares = width, groups, spares
        lanes = width + groups * spares
        super().__init__({"bits": In(width), "faulty": In(lanes), "lanes": Out(lanes)})

    def elaborate(self, platform) -> Module:
        """A step up for the lanes above each faulty one, from the lowest on."""
        m = Module()
        spares = self._spares
        size = self._width // self._groups
        parts = []
        for group in range(self._groups):
            bits = self.bits[group * size : (group + 1) * size]
            first = group * (size + spares)
            faulty: Value = self.faulty[first : first + size + spares]
            lanes: Value = Cat(bits, bits[-1].replicate(spares))
            for step in range(spares):
                above = Signal(size + spares, name=f"above_{group}_{step}")
                m.d.comb += above.eq(faulty ^ -faulty)
                lanes = _chosen(m, above, Cat(lanes[0], lanes[:-1]), lanes, f"up_{group}_{step}")
                faulty = faulty & (faulty - 1)[: len(faulty)]
            parts.append(lanes)
        m.d.comb += self.lanes.eq(Cat(*parts))
        return m


class LaneGather(wiring.Component):
    """Takes bits from the lanes that `LaneSpread` put them on. Latency: none.

    Parameters:
        width, groups, spares: As in `LaneSpread`.

    Members:
        lanes: In(width + groups * spares).
        faulty: In(lanes).
        bits: Out(width).

    Raises:
        ValueError: as `check_lanes`.
    """

    lanes: Signal
    faulty: Signal
    bits: Signal

    def __init__(self, width: int, groups: int, spares: int):
        check_lanes(width, groups, spares)
        self._width, self._groups, self._spares = width, groups, spares
        lanes = width + groups * spares
        super().__init__({"lanes": In(lanes), "faulty": In(lanes), "bits": Out(width)})

    def elaborate(self, platform) -> Module:
        """A step down for the lanes from each faulty one up, from the lowest on."""
        m = Module()
        spares = self._spares
        size = self._width // self._groups
        parts = []
        for group in range(self._groups):
            first = group * (size + spares)
            lanes: Value = self.lanes[first : first + size + spares]
            faulty: Value = self.faulty[first : first + size + spares]
            for step in range(spares):
                beyond = Signal(len(lanes), name=f"beyond_{group}_{step}")
                m.d.comb += beyond.eq(faulty | -faulty)
                lanes = _chosen(m, beyond, lanes >> 1, lanes, f"down_{group}_{step}")
                # The lane is gone, and those above it are one place lower.
                faulty = (faulty & (faulty - 1)[: len(faulty)]) >> 1
                faulty = Cat(faulty, Const(0, len(lanes) - len(faulty)))
            parts.append(lanes[:size])
        m.d.comb += self.bits.eq(Cat(*parts))
        return m


class LaneTest(wiring.Component):
    """Finds the lanes that do not carry what they are given.

    After reset it drives four patterns, zeros, ones and both ways of alternating, each for a cycle,
    and compares what the far side returns. Neighbours differ in the last two, so that a bridge
    between them shows. Takes ``latency + 7`` cycles; the results hold from then on.

    Parameters:
        groups: Groups of lanes.
        group_lanes: Lanes of a group, spares included.
        spares: Spare lanes of a group.
        latency: Cycles from a pattern driven to its return.

    Members:
        loopback: Out(1). The far side returns what it is given.
        drive: Out(lanes).
        returned: In(lanes).
        faulty: Out(lanes). Lanes that failed.
        done: Out(1). The test is over.
        repaired: Out(1). Some lane is faulty, and no group has more than its spares.
        failed: Out(1). A group has more.
        awake: Out(1). As `Sleeper`, until it is done.

    Raises:
        ValueError: if there is no bit left in a group, or a number is not positive.
    """

    loopback: Signal
    drive: Signal
    returned: Signal
    faulty: Signal
    done: Signal
    repaired: Signal
    failed: Signal
    awake: Signal

    def __init__(self, groups: int, group_lanes: int, spares: int, latency: int):
        check_lanes((group_lanes - spares) * groups, groups, spares)
        if not isinstance(latency, int) or latency < 1:
            raise ValueError(f"latency must be a positive integer, not {latency!r}")
        self._groups, self._group_lanes = groups, group_lanes
        self._spares, self._latency = spares, latency
        lanes = groups * group_lanes
        super().__init__(
            {
                "loopback": Out(1),
                "drive": Out(lanes),
                "returned": In(lanes),
                "faulty": Out(lanes),
                "done": Out(1),
                "repaired": Out(1),
                "failed": Out(1),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A count of cycles, the pattern that is due back, and the lanes that failed."""
        m = Module()
        lanes = self._groups * self._group_lanes
        alternating = sum(1 << lane for lane in range(0, lanes, 2))
        patterns = [0, (1 << lanes) - 1, alternating, alternating ^ ((1 << lanes) - 1)]
        # The lanes are quiet before the first pattern; a pattern is due ``latency`` cycles later,
        # and one more cycle counts what failed.
        last = SETTLE + PATTERNS + self._latency + 1
        cycle = Signal(range(last + 1))
        due = Signal(lanes)
        checks = Signal()
        m.d.comb += [
            self.done.eq(cycle == last),
            self.loopback.eq(~self.done),
            self.awake.eq(~self.done),
        ]
        with m.If(~self.done):
            m.d.sync += cycle.eq(cycle + 1)
        with m.Switch(cycle):
            for index, pattern in enumerate(patterns):
                with m.Case(SETTLE + index):
                    m.d.comb += self.drive.eq(pattern)
        with m.Switch(cycle):
            for index, pattern in enumerate(patterns):
                with m.Case(SETTLE + index + self._latency):
                    m.d.comb += [due.eq(pattern), checks.eq(1)]
        with m.If(checks):
            m.d.sync += self.faulty.eq(self.faulty | (self.returned ^ due))

        beyond = []
        for group in range(self._groups):
            first = group * self._group_lanes
            count = ones(self.faulty[first : first + self._group_lanes])
            beyond.append(count > self._spares)
        m.d.sync += [
            self.failed.eq(Cat(beyond).any()),
            self.repaired.eq(self.faulty.any() & ~Cat(beyond).any()),
        ]
        return m


def _chosen(m: Module, mask: Signal, where: Value, elsewhere: Value, name: str) -> Signal:
    """Bits of the one where the mask is set, of the other elsewhere."""
    chosen = Signal(len(mask), name=name)
    m.d.comb += chosen.eq((where & mask) | (elsewhere & ~mask))
    return chosen
