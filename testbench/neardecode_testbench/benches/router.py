"""Bench of a router between senders and receivers."""

import cocotb

from neardecode.lib.flit import FlitLayout
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.fabric_bench import RouterBench
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.blocks.router import Packet, RouterPackets, random_packets

__all__ = ["DESIGN"]

PORTS = 4
# Two destinations lie behind the last port.
ROUTES = (0, 1, 2, 3, 3)
ARGUMENTS = (FlitLayout(64, len(ROUTES), PORTS), ROUTES, 3, 4, (2, 1))
DESIGN = Design(RouterBench, ARGUMENTS)


def packets(seed: int, pacing: Pacing = FULL_RATE, count: int = 60) -> RouterPackets:
    """Packets of up to five flits from everywhere to everywhere, on three channels."""
    sent = random_packets(seed, PORTS, len(ROUTES), count, channels=3)
    return RouterPackets(*ARGUMENTS, sent, seed, pacing)


@cocotb.test()
async def packets_that_do_not_meet(dut):
    """A flit a cycle at every output."""
    straight = tuple(
        Packet(port, (port + 1) % PORTS, 3) for _ in range(12) for port in range(PORTS)
    )
    run = await play(dut, RouterPackets(*ARGUMENTS, straight))
    assert [run.arrived[port, 0] for port in range(PORTS)] == [list(range(2, 38))] * PORTS


@cocotb.test()
async def packets_that_contend(dut):
    """Every flit in its cycle, nothing held back."""
    await play(dut, packets(1))


@cocotb.test()
async def packets_under_random_stalls(dut):
    """Every flit in its cycle, every stream held back at random."""
    for seed, share in ((2, 0.3), (3, 0.7)):
        await play(dut, packets(seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    await leave_standing(dut, packets(4), 15)
    await play(dut, packets(5, count=20))
