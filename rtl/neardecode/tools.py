"""Tools that run in a process and a folder of their own; Yosys among them."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ToolRun", "YosysError", "run_passes", "run_tool"]

# Yosys prints past sys.stdout and ends its process on an error.
_RUN_PASSES = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in sys.argv[1:]:
    libyosys.run_pass(line, design)
"""


class YosysError(RuntimeError):
    """A pass that failed."""


@dataclass(frozen=True)
class ToolRun:
    """What came of a run.

    Attributes:
        succeeded: It said so, and wrote every output.
        printed: What it printed.
        errors: What it printed as errors.
        outputs: Contents of the files that were asked for; none if it did not succeed.
    """

    succeeded: bool
    printed: str
    errors: str
    outputs: list[str]


def run_tool(
    command: Sequence[str], inputs: Mapping[str, str], outputs: Sequence[str] = ()
) -> ToolRun:
    """Runs a command in a folder of its own.

    Args:
        command: Program and arguments; files are named without a folder.
        inputs: Contents of the files that are read.
        outputs: Files that are written.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, contents in inputs.items():
            (Path(folder) / name).write_text(contents)
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        paths = [Path(folder) / name for name in outputs]
        succeeded = result.returncode == 0 and all(path.exists() for path in paths)
        contents = [path.read_text() for path in paths] if succeeded else []
    return ToolRun(succeeded, result.stdout, result.stderr, contents)


def run_passes(
    passes: Sequence[str], inputs: Mapping[str, str], outputs: Sequence[str]
) -> list[str]:
    """Runs Yosys' passes and returns the contents of the outputs.

    Args:
        passes: Yosys' commands; files are named without a folder.
        inputs: Contents of the files that are read.
        outputs: Files that are written.

    Raises:
        YosysError: if a pass fails or an output is missing.
    """
    run = run_tool([sys.executable, "-c", _RUN_PASSES, *passes], inputs, outputs)
    if not run.succeeded:
        last = (run.printed + run.errors).strip().splitlines()[-1:]
        raise YosysError(f"Yosys failed: {''.join(last) or 'no message'}")
    return run.outputs
