"""Verilator's lint of a file."""

import os
import subprocess
from pathlib import Path

from neardecode_testbench.drive.toolchain import ToolError, verilator_root

__all__ = ["lint"]


def lint(path: Path, top: str) -> list[str]:
    """The warnings and errors that Verilator has for a file, a line each.

    Args:
        path: The file.
        top: Its top module.

    Raises:
        ToolError: if Verilator is missing, or fails without saying why.
    """
    program, root = verilator_root()
    run = subprocess.run(
        [program, "--lint-only", "-Wno-fatal", "--top-module", top, path.name],
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
    )
    found = [
        line.removeprefix("%")
        for line in run.stderr.splitlines()
        if line.startswith(("%Warning", "%Error"))
    ]
    if run.returncode and not found:
        raise ToolError(f"{path}: Verilator failed: {run.stderr.strip() or 'no message'}")
    return found
