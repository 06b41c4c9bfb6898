"""Bench of the NAND core dies, their bus driven directly."""

import cocotb

from neardecode.config import Flash
from neardecode_testbench.benches.play import play
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.nand_drive import DriveBus

__all__ = ["DESIGN"]

ARGUMENTS = (Flash(dies=1, banks_a_die=4, pages_a_bank=8, page_bytes=128, beat_bytes=32), 13)
"""Four banks of eight pages of four beats, and tR."""
DESIGN = Design(NandDies, ARGUMENTS)


@cocotb.test()
async def senses_and_transfers_as_often_as_they_go(dut):
    """Every wire in every cycle, all banks at work."""
    run = await play(dut, DriveBus(*ARGUMENTS, cycles=300))
    assert run.beats


@cocotb.test()
async def senses_and_transfers_at_random(dut):
    """Every wire in every cycle, banks full and banks empty."""
    for seed, senses, transfers in ((1, 0.5, 0.5), (2, 0.9, 0.05), (3, 0.05, 0.9)):
        bus = DriveBus(
            *ARGUMENTS, cycles=300, seed=seed, sense_share=senses, transfer_share=transfers
        )
        assert (await play(dut, bus)).transfers
