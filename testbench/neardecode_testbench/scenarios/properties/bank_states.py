"""No command that the bank states allow is too early for the DRAM."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cover, Elaboratable, Module, Mux, Value

from neardecode.config import Stack, StackCycles
from neardecode.stack.banks import BankStates
from neardecode.stack.command import RowKind
from neardecode_testbench.devices.dram_rules import DramRule, DramRules

__all__ = ["BankStatesProperties", "column_ready"]

TIME_BITS = 8
"""Enough for a proof of a hundred cycles."""


def column_ready(states: BankStates, config: Stack) -> Value:
    """Whether the bank states allow the column command that they are told of."""
    column = states.column_command
    return (
        Mux(column.write, states.write_ready, states.read_ready)
        & states.open.bit_select(column.bank, 1)
        & states.column_ready.bit_select(column.bank, 1)
        & states.group_ready.bit_select(column.bank % config.bank_groups, 1)
    )


class BankStatesProperties(Elaboratable):
    """Any commands for which the bank states say ready, against the DRAM's checker.

    An induction longer than every timing closes: what happened before it is over.

    Args:
        states: The bank states.
        config: What they were made with.
        cycles: The DRAM's timings.
    """

    def __init__(self, states: BankStates, config: Stack, cycles: StackCycles):
        self.states = states
        self.config = config
        self.cycles = cycles

    def elaborate(self, platform) -> Module:
        """Free commands, held to what is ready."""
        m = Module()
        m.submodules.states = states = self.states
        m.submodules.rules = rules = DramRules(self.config, self.cycles, TIME_BITS)
        row, column = states.row_command, states.column_command
        m.d.comb += [
            row.as_value().eq(AnySeq(len(row.as_value()))),
            column.as_value().eq(AnySeq(len(column.as_value()))),
            rules.row.eq(row),
            rules.column.eq(column),
        ]
        is_open = states.open.bit_select(row.bank, 1)
        free = states.activate_ready.bit_select(row.bank, 1)
        allowed = {
            RowKind.NONE: 1,
            RowKind.ACTIVATE: ~is_open & free & states.window_ready,
            RowKind.PRECHARGE: states.precharge_ready.bit_select(row.bank, 1),
            RowKind.PRECHARGE_ALL: states.precharge_ready.all(),
            RowKind.REFRESH_ALL: ~states.open.any() & states.activate_ready.all(),
            RowKind.REFRESH_BANK: ~is_open & free & states.window_ready,
        }
        m.d.comb += [
            Assume(row.kind.as_value() <= RowKind.REFRESH_BANK.value, "a command that there is"),
            *(Assume((row.kind != kind) | when, kind.name) for kind, when in allowed.items()),
            Assume(~column.valid | column_ready(states, self.config), "columns are ready"),
            Assert(rules.open == states.open, "both know which banks are open"),
            *(
                Assert(~rules.broken[rule.value], f"{rule.name} is kept")
                for rule in DramRule
                if rule is not DramRule.REFI
            ),
            Cover(column.valid & column.write, "a column is written"),
        ]
        return m
