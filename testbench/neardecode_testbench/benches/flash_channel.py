"""Bench of a flash channel with its dies."""

import cocotb

from neardecode.config import Flash
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.channel_bench import ChannelBench
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.blocks.flash_channel import ChannelReads, Read, random_reads

__all__ = ["DESIGN"]

FLASH = Flash(dies=1, banks_a_die=4, page_bytes=256, pages_a_bank=8)
SENSE_CYCLES = 20
DESIGN = Design(ChannelBench, (FLASH, SENSE_CYCLES))


def reads(seed: int, pacing: Pacing = FULL_RATE, count: int = 40) -> ChannelReads:
    """Random reads in two plays; the pages are rewritten between them."""
    plays = (random_reads(seed, FLASH, count), random_reads(seed + 100, FLASH, count))
    return ChannelReads(FLASH, SENSE_CYCLES, plays, seed, pacing)


@cocotb.test()
async def random_reads_at_full_rate(dut):
    """Every beat in its cycle, nothing held back."""
    await play(dut, reads(1))


@cocotb.test()
async def random_reads_under_random_stalls(dut):
    """Every beat in its cycle, requests and beats held back at random."""
    for seed, share in ((2, 0.3), (3, 0.7)):
        await play(dut, reads(seed, Pacing(seed, share)))


@cocotb.test()
async def a_stream_of_pages(dut):
    """Whole rounds of the stripe, by runs of pages."""
    runs = tuple(Read(address, FLASH.banks) for address in range(0, FLASH.pages, FLASH.banks))
    await play(dut, ChannelReads(FLASH, SENSE_CYCLES, (runs,)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    for cycles in (3, 25, 40):
        await leave_standing(dut, reads(4), cycles)
        await play(dut, reads(5, count=8))
