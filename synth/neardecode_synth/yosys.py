"""Yosys for synthesis, and results that are kept by their content."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from neardecode import tools

__all__ = ["SynthesisError", "from_brace", "is_kept", "kept", "run_passes"]


class SynthesisError(RuntimeError):
    """A component that a tool did not synthesise, or whose result is not plausible."""


def run_passes(
    passes: Sequence[str], inputs: Mapping[str, str], outputs: Sequence[str]
) -> list[str]:
    """As `tools.run_passes`.

    Raises:
        SynthesisError: if a pass fails or an output is missing.
    """
    try:
        return tools.run_passes(passes, inputs, outputs)
    except tools.YosysError as error:
        raise SynthesisError(str(error)) from None


def from_brace(text: str) -> Any:
    """What JSON says behind a heading."""
    return json.loads(text[text.index("{") :])


def is_kept(*content: object) -> bool:
    """Whether something was made of this content before."""
    return _path(content).exists()


def kept(make: Callable[[], dict[str, Any]], *content: object) -> dict[str, Any]:
    """What was made of this content before, or is made now and kept.

    Args:
        make: Makes a result that JSON can say.
        content: All that the result depends on, beside Yosys' version.
    """
    path = _path(content)
    if path.exists():
        return json.loads(path.read_text())
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as part:
        json.dump(result, part)
    Path(part.name).replace(path)
    return result


def _path(content: Sequence[object]) -> Path:
    """Where what is made of it is kept."""
    state = hashlib.sha256(metadata.version("pyosys").encode())
    for part in content:
        state.update(b"\0" + hashlib.sha256(str(part).encode()).digest())
    return platformdirs.user_cache_path("neardecode") / "synthesis" / f"{state.hexdigest()}.json"
