"""The four simulators behind one call."""

import tempfile
from pathlib import Path
from typing import Any, Literal, get_args

from neardecode_testbench.drive import amaranth_sim, cocotb_run, native, native_build
from neardecode_testbench.drive.design import Design, write_atomically
from neardecode_testbench.drive.stimulus import Scenario
from neardecode_testbench.drive.waves import vcd_to_fst

__all__ = ["BACKENDS", "Backend", "prepare", "simulate"]

Backend = Literal["native", "verilator", "icarus", "amaranth"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

WAVE_CYCLES = 20_000


def prepare(design: Design, backend: Backend, *, waves: Path | None = None) -> None:
    """Builds what a simulation takes, which is minutes for a whole chip that was never built.

    Args:
        design: What to simulate.
        backend: Which simulator; only the native one is worth waiting for apart.
        waves: As for `simulate`.

    Raises:
        ToolError: if a tool is missing.
    """
    if backend == "native":
        native_build.build(design, trace=waves is not None)


def simulate(
    design: Design,
    scenario: Scenario,
    backend: Backend,
    *,
    waves: Path | None = None,
    wave_cycles: int = WAVE_CYCLES,
    wave_from: int = 0,
) -> Any:
    """Plays a scenario on one of the simulators and returns its result.

    Args:
        design: What to simulate.
        scenario: What to do; it must be picklable for the two that cocotb drives.
        backend: Which simulator.
        waves: A ``.vcd`` or ``.fst`` file to write.
        wave_cycles: Cycles of it.
        wave_from: Its first cycle after reset; only the native one begins later than at 0.

    Raises:
        ValueError: if the waves cannot be written so.
        ToolError: if a tool is missing.
        StuckError, StorageError: as the scenario's steps.
    """
    if waves is not None and waves.suffix not in (".vcd", ".fst"):
        raise ValueError(f"waves must be a .vcd or .fst file, not {waves}")
    if wave_from and backend != "native":
        raise ValueError(f"waves must begin at reset on {backend}, not at {wave_from}")
    with tempfile.TemporaryDirectory() as folder:
        vcd = None if waves is None else Path(folder) / "waves.vcd"
        fst = Path(folder) / "waves.fst"
        if backend == "native":
            window = {"wave_cycles": wave_cycles, "wave_from": wave_from}
            result = native.run(design, scenario, waves=vcd, **window)
        elif backend == "amaranth":
            result = amaranth_sim.run(design.make(), scenario, waves=vcd, wave_cycles=wave_cycles)
        else:
            result = cocotb_run.run(design, scenario, backend, waves=vcd, wave_cycles=wave_cycles)
        if waves is not None and vcd is not None:
            if waves.suffix == ".fst":
                vcd_to_fst(vcd, fst)
            write_atomically(waves, (fst if waves.suffix == ".fst" else vcd).read_bytes())
    return result
