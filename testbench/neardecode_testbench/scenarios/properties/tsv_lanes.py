"""A vault's TSVs: whatever lanes stick, they are found, and led around where there are spares."""

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Cat, Cover, Elaboratable, Module, Signal

from neardecode.config import Stack
from neardecode.lib.population import ones
from neardecode.stack.lanes import TsvLanes
from neardecode_testbench.devices.lanes import DieLanes

__all__ = ["TsvLanesProperties"]


class TsvLanesProperties(Elaboratable):
    """Both ends of the TSVs from reset on, any of them stuck at anything.

    An induction longer than the test closes: a state that the test cannot reach had to be told
    as wrong before.

    Args:
        lanes: The controller's end.
        config: What it was made with.
    """

    def __init__(self, lanes: TsvLanes, config: Stack):
        self.lanes = lanes
        self.config = config

    def elaborate(self, platform) -> Module:
        """Both ends joined, with any bits to carry, and what there is to find."""
        m = Module()
        config = self.config
        m.submodules.lanes = lanes = self.lanes
        m.submodules.die = die = DieLanes(config)
        stuck = Signal(config.lanes)
        m.d.comb += [
            stuck.eq(AnyConst(config.lanes)),
            die.stuck.eq(stuck),
            die.stuck_value.eq(AnyConst(config.lanes)),
            die.faulty.eq(lanes.faulty),
            die.loopback.eq(lanes.loopback),
            die.write_valid.eq(lanes.loopback | AnySeq(1)),
            die.write_beat.lanes.eq(lanes.write_lanes),
            die.valid.eq(AnySeq(1)),
            die.bits.eq(AnySeq(len(die.bits))),
            lanes.read_lanes.eq(die.bus_beat.lanes),
            lanes.outgoing.eq(AnySeq(len(lanes.outgoing))),
        ]
        now = Signal(range(TsvLanes.test_cycles + 1))
        with m.If(now != TsvLanes.test_cycles):
            m.d.sync += now.eq(now + 1)
        groups, spares = config.repair.groups, config.repair.spares
        size = config.lanes // groups
        bad = [ones(stuck[group * size : (group + 1) * size]) for group in range(groups)]
        enough = Signal()
        m.d.comb += [
            enough.eq(Cat(count <= spares for count in bad).all()),
            Assert(now <= TsvLanes.test_cycles, "time stops with the test"),
            Assert(lanes.done == (now == TsvLanes.test_cycles), "the test takes its time"),
            Assert(~lanes.done | (lanes.faulty == stuck), "every lane that sticks is found"),
            Assert(~lanes.done | (lanes.failed == ~enough), "too many bad lanes are told"),
            Assert(~lanes.done | (lanes.repaired == (enough & stuck.any())), "a repair is told"),
            Assert(
                ~(lanes.done & enough) | (lanes.incoming == die.bits[: len(lanes.incoming)]),
                "every bit that is read arrives",
            ),
            Assert(
                ~(lanes.done & enough) | (die.written == lanes.outgoing),
                "every bit that is written arrives",
            ),
            Cover(
                lanes.done & enough & Cat(count == spares for count in bad).all(),
                "all spares are used",
            ),
            Cover(lanes.done & lanes.failed, "there are too few spares"),
        ]
        return m
