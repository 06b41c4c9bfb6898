"""What runs inside the simulator's process: one scenario on cocotb's handles."""

import os
import pickle
from pathlib import Path

import cocotb
from cocotb.triggers import Timer

from neardecode_testbench.drive.player import Player

__all__ = ["CocotbPins", "UnknownValueError", "reset"]

HALF_NS = 1


class UnknownValueError(RuntimeError):
    """An output that is X or Z where a value was read."""


class CocotbPins:
    """Ports of the design in a cocotb simulation; the clock is made here too."""

    def __init__(self, dut):
        self._dut = dut
        self._handles = {}
        self._driven: dict[str, int] = {}

    def _handle(self, port: str):
        if port not in self._handles:
            self._handles[port] = getattr(self._dut, port)
        return self._handles[port]

    def set(self, port: str, value: int) -> None:
        """Drives an input, from the next `settle` on."""
        if self._driven.get(port) != value:
            self._driven[port] = value
            self._handle(port).value = value

    async def settle(self) -> None:
        """Waits for the first half of the cycle, the clock low."""
        await Timer(HALF_NS, "ns")

    def get(self, port: str) -> int:
        """Samples an output.

        Raises:
            UnknownValueError: if a bit of it is unknown.
        """
        value = self._handle(port).value
        if not value.is_resolvable:
            raise UnknownValueError(f"{port} is {value}")
        return int(value)

    async def clock(self) -> None:
        """The rising edge, and the second half of the cycle."""
        self._dut.clk.value = 1
        await Timer(HALF_NS, "ns")
        self._dut.clk.value = 0


async def reset(dut) -> None:
    """Clears the inputs and gives one clock edge with reset high."""
    for port in os.environ["NEARDECODE_INPUTS"].split():
        getattr(dut, port).value = 0
    dut.clk.value = 0
    dut.rst.value = 1
    await Timer(HALF_NS, "ns")
    dut.clk.value = 1
    await Timer(HALF_NS, "ns")
    dut.clk.value = 0
    dut.rst.value = 0


@cocotb.test()
async def play(dut):
    """Plays the pickled scenario and leaves its result beside it."""
    folder = Path(os.environ["NEARDECODE_FOLDER"])
    scenario = pickle.loads((folder / "scenario").read_bytes())
    await reset(dut)
    try:
        answer = ("result", await Player(CocotbPins(dut)).run(scenario))
    except Exception as error:
        answer = ("error", error)
    (folder / "result").write_bytes(pickle.dumps(answer))
