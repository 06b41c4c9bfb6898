"""The DRAM's timing checker: one cycle early breaks the rule, on time passes."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from neardecode.stack.command import RowKind
from neardecode_testbench.benches.vault import TINY
from neardecode_testbench.devices.dram_rules import DramRule, DramRules

STACK = TINY.stack
# Two column commands cannot come in one cycle, so one early takes a tCCD_S of two.
T = replace(TINY.stack_cycles, ccd_s=2, ccd_l=3)
ACT, PRE, PREA = RowKind.ACTIVATE, RowKind.PRECHARGE, RowKind.PRECHARGE_ALL
REFA, REFB, RD, WR = RowKind.REFRESH_ALL, RowKind.REFRESH_BANK, "read", "write"

# Commands before, as (cycle, kind, bank); the one that is tested; its earliest cycle.
LATE = 60
CASES = {
    DramRule.RCD: ([(LATE, ACT, 0)], (RD, 0), LATE + T.rcd),
    DramRule.RP: ([(0, ACT, 0), (LATE, PRE, 0)], (ACT, 0), LATE + T.rp),
    DramRule.RAS: ([(LATE, ACT, 0)], (PRE, 0), LATE + T.ras),
    DramRule.CCD_S: ([(0, ACT, 0), (5, ACT, 1), (LATE, RD, 0)], (RD, 1), LATE + T.ccd_s),
    DramRule.CCD_L: ([(0, ACT, 0), (LATE, RD, 0)], (RD, 0), LATE + T.ccd_l),
    DramRule.RRD: ([(LATE, ACT, 0)], (ACT, 1), LATE + T.rrd),
    DramRule.FAW: ([(LATE + 2 * n, ACT, n) for n in range(4)], (ACT, 4), LATE + T.faw),
    DramRule.WR: ([(0, ACT, 0), (LATE, WR, 0)], (PRE, 0), LATE + T.write_to_precharge),
    DramRule.WTR: ([(0, ACT, 0), (5, ACT, 1), (LATE, WR, 0)], (RD, 1), LATE + T.write_to_read),
    DramRule.RTW: ([(0, ACT, 0), (5, ACT, 1), (LATE, RD, 0)], (WR, 1), LATE + T.read_to_write),
    DramRule.RTP: ([(0, ACT, 0), (LATE, RD, 0)], (PREA, 0), LATE + T.rtp),
    DramRule.RFC: ([(LATE, REFA, 0)], (ACT, 3), LATE + T.rfc),
    DramRule.REFRESH_GAP: ([(LATE, REFB, 0)], (ACT, 1), LATE + T.refresh_gap),
}


def broken(commands, cycles=0):
    """Every rule that the commands break."""
    rules, found = DramRules(STACK, T), set()
    at = {}
    for cycle, kind, bank in commands:
        at.setdefault(cycle, []).append((kind, bank))

    async def bench(context):
        context.set(rules.enable, 1)
        for cycle in range(max([cycles, *at]) + 1):
            context.set(rules.row.kind, RowKind.NONE)
            context.set(rules.column.valid, 0)
            for kind, bank in at.get(cycle, []):
                if kind in (RD, WR):
                    context.set(rules.column.valid, 1)
                    context.set(rules.column.write, kind == WR)
                    context.set(rules.column.bank, bank)
                else:
                    context.set(rules.row.kind, kind)
                    context.set(rules.row.bank, bank)
            bits = context.get(rules.broken)
            found.update(rule for rule in DramRule if bits >> rule.value & 1)
            await context.tick()

    simulator = Simulator(rules)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("rule", CASES, ids=lambda rule: rule.name)
def test_one_cycle_early_breaks_the_rule_and_on_time_passes(rule):
    before, (kind, bank), earliest = CASES[rule]
    assert rule in broken([*before, (earliest - 1, kind, bank)])
    assert broken([*before, (earliest, kind, bank)]) == set()


def test_what_a_bank_cannot_do_is_told():
    assert broken([(0, RD, 0)]) >= {DramRule.STATE}
    assert broken([(0, ACT, 0), (40, ACT, 0)]) == {DramRule.STATE}
    assert broken([(0, ACT, 0), (40, REFA, 0)]) == {DramRule.STATE}
    assert broken([(0, ACT, 0), (40, REFB, 0)]) == {DramRule.STATE}


def test_a_bank_of_its_own_row_cycle():
    # tRC is hidden by tRAS and tRP here, which break with it.
    commands = [(0, ACT, 0), (5, PRE, 0), (10, ACT, 0)]
    assert DramRule.RC in broken(commands)


def test_a_bank_left_without_refresh_is_told():
    limit = 9 * T.refi
    assert broken([], limit) == set()
    assert broken([], limit + 2) == {DramRule.REFI}
