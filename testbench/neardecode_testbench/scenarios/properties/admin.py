"""The admin's promise to the command front: every command is answered, once, and by itself."""

from collections.abc import Callable

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Module, Mux, Signal, Value

from neardecode.config import Flash
from neardecode.flash.admin.admin import Admin

__all__ = ["AdminProperties", "ObservedAdmin"]


class ObservedAdmin(Admin):
    """An admin that shows its command and the answers that it still owes.

    Args:
        config, clock_ghz: As `Admin`'s.
        bug: Statements that come last and so win.
    """

    def __init__(
        self,
        config: Flash,
        clock_ghz: float,
        bug: Callable[[Admin, Module], None] = lambda admin, m: None,
    ):
        super().__init__(config, clock_ghz)
        self.command = self._command
        self.left = self._left
        self._bug = bug

    def elaborate(self, platform) -> Module:
        """The admin, and the bug."""
        m = super().elaborate(platform)
        self._bug(self, m)
        return m


class AdminProperties(Elaboratable):
    """One command at a time; a write has one answer, a read as many as it has beats.

    All inputs take any value in every cycle, but for commands of 1 to 64 beats.

    Args:
        admin: The admin.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(self, admin: ObservedAdmin, invariants: bool = True):
        self.admin = admin
        self.invariants = invariants

    def elaborate(self, platform) -> Module:
        """The admin in a free environment, and a count of the answers that are owed."""
        m = Module()
        m.submodules.admin = admin = self.admin
        for _, member, port in admin.signature.flatten(admin):
            # What the admin drives from its own side is the others' business.
            if member.flow.name == "In":
                value = Value.cast(port)
                m.d.comb += value.eq(AnySeq(len(value)))
        command, answer = admin.commands.payload, admin.answers.payload

        taken = admin.commands.valid & admin.commands.ready
        given = admin.answers.valid & admin.answers.ready
        owed = Signal(range(65))
        data_owed = Signal()
        write = Signal()
        entry = Signal.like(admin.command.entry)
        with m.If(given):
            m.d.sync += owed.eq(owed - 1)
        with m.If(admin.data.valid & admin.data.ready & admin.data.payload.last):
            m.d.sync += data_owed.eq(0)
        with m.If(taken):
            m.d.sync += [
                owed.eq(Mux(command.write, 1, command.beats)),
                data_owed.eq(command.write),
                write.eq(command.write),
                entry.eq(command.entry),
            ]

        waited = Signal()
        before = Signal(len(Value.cast(answer)))
        m.d.sync += [
            waited.eq(admin.answers.valid & ~admin.answers.ready),
            before.eq(Value.cast(answer)),
        ]
        m.d.comb += [
            Assume((command.beats >= 1) & (command.beats <= 64), "a command has 1 to 64 beats"),
            Assert(~taken | (owed == 0), "a command is taken when none is under way"),
            Assert(~admin.answers.valid | (owed != 0), "an answer is owed"),
            Assert(~admin.answers.valid | ~data_owed, "a write is answered when its data has come"),
            Assert(~admin.data.ready | data_owed, "data is taken that belongs to a command"),
            Assert(
                ~admin.answers.valid | (answer.last == (owed == 1)), "the last answer is the last"
            ),
            Assert(
                ~admin.answers.valid | ((answer.entry == entry) & (answer.write == write)),
                "an answer is its command's",
            ),
            Assert(~admin.erase_request | (owed != 0), "an erase belongs to a command"),
            Assert(
                ~waited | (admin.answers.valid & (Value.cast(answer) == before)),
                "an answer is held until it is taken",
            ),
            Cover(given & (owed == 1) & write, "a write ends"),
            Cover(given & (owed == 2) & ~write, "a long read nears its end"),
            Cover(admin.erase_request, "an erase is under way"),
        ]
        if self.invariants:
            m.d.comb += [
                Assert(admin.commands.ready == (owed == 0), "a command ends with its last answer"),
                Assert((owed == 0) | (admin.left == owed), "the answers left are those owed"),
                Assert(
                    (owed == 0) | ((admin.command.entry == entry) & (admin.command.write == write)),
                    "the command is kept",
                ),
                Assert(admin.data.ready == data_owed, "data that is owed is taken"),
                Assert(~data_owed | (owed != 0), "data belongs to a command"),
                Assert(owed <= 64, "no more is owed than was asked for"),
            ]
        return m
