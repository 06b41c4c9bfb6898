"""Yosys, in a process of its own, and results that are kept by their content."""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

__all__ = ["SynthesisError", "from_brace", "kept", "run_passes"]

# Yosys prints past sys.stdout and ends its process on an error.
_RUN_PASSES = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in sys.argv[1:]:
    libyosys.run_pass(line, design)
"""


class SynthesisError(RuntimeError):
    """A component that a tool did not synthesise, or whose result is not plausible."""


def run_passes(passes: Sequence[str], inputs: Mapping[str, str], outputs: Sequence[str]) -> list:
    """Runs passes in a folder of their own.

    Args:
        passes: Yosys' commands; files are named without a folder.
        inputs: Contents of the files that are read.
        outputs: Files that are written.

    Returns:
        Contents of the outputs.

    Raises:
        SynthesisError: if a pass fails or an output is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, contents in inputs.items():
            (Path(folder) / name).write_text(contents)
        result = subprocess.run(
            [sys.executable, "-c", _RUN_PASSES, *passes],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        paths = [Path(folder) / name for name in outputs]
        if result.returncode != 0 or not all(path.exists() for path in paths):
            last = (result.stdout + result.stderr).strip().splitlines()[-1:]
            raise SynthesisError(f"Yosys failed: {''.join(last) or 'no message'}")
        return [path.read_text() for path in paths]


def from_brace(text: str) -> Any:
    """What JSON says behind a heading."""
    return json.loads(text[text.index("{") :])


def kept(make: Callable[[], dict[str, Any]], *content: object) -> dict[str, Any]:
    """What was made of this content before, or is made now and kept.

    Args:
        make: Makes a result that JSON can say.
        content: All that the result depends on, beside Yosys' version.
    """
    state = hashlib.sha256(metadata.version("pyosys").encode())
    for part in content:
        state.update(b"\0" + hashlib.sha256(str(part).encode()).digest())
    path = platformdirs.user_cache_path("neardecode") / "synthesis" / f"{state.hexdigest()}.json"
    if path.exists():
        return json.loads(path.read_text())
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as part:
        json.dump(result, part)
    Path(part.name).replace(path)
    return result
