"""Bench of the NAND core dies with all that they can have, their bus driven directly."""

import cocotb

from neardecode.config import Ecc, Flash, Host, Repair
from neardecode_testbench.benches.play import play
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.nand_drive import DriveBus

__all__ = ["DESIGN"]

FLASH = Flash(
    dies=1,
    banks_a_die=4,
    pages_a_bank=8,
    page_bytes=128,
    beat_bytes=32,
    host=Host(pages_a_block=4, zones=2, spare_blocks=1),
    ecc=Ecc(correctable=4, codeword_bytes=64),
    repair=Repair(groups=2, spares=2),
)
SENSE, PROGRAM, ERASE = 13, 20, 30
"""tR, tPROG and tBERS."""
DESIGN = Design(NandDies, (FLASH, SENSE, PROGRAM, ERASE))


def drive(cycles: int = 300, **options) -> DriveBus:
    """A run of the bus."""
    return DriveBus(FLASH, SENSE, cycles, PROGRAM, ERASE, **options)


@cocotb.test()
async def senses_and_transfers_as_often_as_they_go(dut):
    """Every wire in every cycle, all banks at work."""
    run = await play(dut, drive())
    assert run.beats


@cocotb.test()
async def senses_and_transfers_at_random(dut):
    """Every wire in every cycle, banks full and banks empty."""
    for seed, senses, transfers in ((1, 0.5, 0.5), (2, 0.9, 0.05), (3, 0.05, 0.9)):
        bus = drive(seed=seed, sense_share=senses, transfer_share=transfers)
        assert (await play(dut, bus)).transfers


@cocotb.test()
async def programs_and_erases_at_random(dut):
    """Every wire in every cycle, some operations failing."""
    faults = {"program_failures": 1 << 14, "erase_failures": 1 << 14, "stuck": 0}
    for seed in range(3):
        bus = drive(
            600,
            seed=seed,
            sense_share=0.3,
            transfer_share=0.5,
            operation_share=0.5,
            write_share=0.6,
            faults={**faults, "error_rate": 1 << 18, "wear_rate": 50},
        )
        result = await play(dut, bus)
        assert result.flips
        assert result.ends


@cocotb.test()
async def lanes_that_stick_are_led_around(dut):
    """Loopback, then every wire in every cycle."""
    faults = {"stuck": 0b1001 << 150 | 0b11, "stuck_value": 0b0001 << 150 | 0b10, "error_rate": 0}
    bus = drive(faults=faults, faulty=faults["stuck"], loopback_cycles=20)
    assert (await play(dut, bus)).returned
