"""Bench of a vault controller with its DRAM."""

import cocotb

from neardecode.config import Config, Stack, Timings
from neardecode.config.flash import Repair
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.vault_bench import VaultBench
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.blocks.vault import VaultAccesses, random_accesses

__all__ = ["DESIGN", "TINY"]

TINY = Config(
    clock_ghz=1.0,
    stack=Stack(
        vaults=1,
        bank_groups=2,
        banks_a_group=4,
        page_bytes=64,
        beat_bytes=8,
        pages_a_bank=4,
        queue=4,
        starvation_beats=6,
        buffer_beats=16,
        postponed=2,
        repair=Repair(groups=2, spares=1),
        timings=Timings(
            rcd_ns=3.0,
            rp_ns=4.0,
            cl_ns=5.0,
            cwl_ns=2.0,
            ras_ns=8.0,
            rc_ns=11.0,
            ccd_s_ns=1.0,
            ccd_l_ns=2.0,
            rrd_ns=2.0,
            faw_ns=11.0,
            wr_ns=3.0,
            wtr_ns=2.0,
            rtp_ns=2.0,
            refi_ns=210.0,
            rfc_ns=30.0,
            rfc_bank_ns=17.0,
            refresh_gap_ns=3.0,
        ),
    ),
)
"""A clock of 1 GHz, so that a nanosecond is a cycle."""
STACK = TINY.stack or Stack()
DESIGN = Design(VaultBench, (STACK, TINY.stack_cycles))


def accesses(seed: int, pacing: Pacing = FULL_RATE, scale: int = 1) -> VaultAccesses:
    """Pages, beats and writes all over the vault and beyond it."""
    asked = random_accesses(seed, STACK, 12 * scale, 40 * scale, 40 * scale)
    return VaultAccesses(STACK, TINY.stack_cycles, asked, seed, pacing)


@cocotb.test()
async def accesses_at_full_rate(dut):
    """Every beat in its cycle, nothing held back."""
    await play(dut, accesses(1, scale=2))


@cocotb.test()
async def accesses_under_random_stalls(dut):
    """Every beat in its cycle, every stream held back at random."""
    for seed, share in ((2, 0.3), (3, 0.7)):
        await play(dut, accesses(seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    await leave_standing(dut, accesses(4), 70)
    await play(dut, accesses(5))
