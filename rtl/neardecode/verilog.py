"""Any component to RTLIL and Verilog.

Amaranth writes one module for every instance, and an initial value for every word of every
memory. Here instances that are alike share one module (where `once` says so they are not even
elaborated twice), and memories start undefined, as SRAM does: nothing in this hardware reads a word
before it wrote it, which the simulations with unknown values (Icarus) check.
"""

import contextlib
import gc
import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import amaranth
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Elaboratable, Value
from amaranth.lib import wiring

from neardecode.lib.clock_gate import CLOCK_GATE, ClockGates
from neardecode.lib.once import Modules
from neardecode.registers import write_registers
from neardecode.tools import run_passes
from neardecode.whole_words import fit_words

__all__ = ["MODULE", "header", "to_rtlil", "to_verilog", "without_sources", "write_verilog"]

_WAIVED = (
    *("CASEINCOMPLETE", "CASEOVERLAP", "CMPCONST", "SYMRSVDWORD"),
    *("UNSIGNED", "WIDTHEXPAND", "WIDTHTRUNC"),
)
_LINT = "\n".join(
    (
        "// Widths are exact in the language that this comes from; here the rules of expressions",
        "// widen and cut as was meant. A case without a match keeps what was assigned before;",
        "// of several that match the first counts. Names that only C++ reserves are names.",
        *(f"/* verilator lint_off {name} */" for name in _WAIVED),
        "",
    )
)
_NO_BITS = re.compile(r"^  (?:wire|reg) \[-1:0\] [^\n]*;\n", re.M)

MODULE = re.compile(r"^((?:attribute [^\n]*\n)*)module \\(\S+)\n(.*?)^end\n", re.M | re.S)
"""A module in RTLIL: its attributes, name and body."""
_TOP = "attribute \\top 1\n"
_CHILD = re.compile(r"^  cell \\(\S+) (\S+)\n((?:    [^\n]*\n)*)  end\n", re.M)
_CONNECT = re.compile(r"^    connect (\S+) ([^\n]*)\n", re.M)
_UNNAMED = re.compile(r"\\port\$\d+\$\d+")
_UNNAMED_PORT = re.compile(r"^  wire width \d+ (?:input|output) \d+ +(\\port\$\d+\$\d+)$", re.M)
_REPEATED = re.compile(r"((?:\\\S+|\w+) *\[\d+\])(?:, \1){2,}")
_SOURCE = re.compile(r'^ *attribute \\src "[^"]*"\n', re.M)
_SOURCE_OF_OTHERS = re.compile(
    r'^( *)attribute \\src "[^"]*"\n(?!(?:\1attribute [^\n]*\n)*\1wire )', re.M
)
_SOURCE_OF_AMARANTH = re.compile(
    rf'^ *attribute \\src "{re.escape(str(Path(amaranth.__path__[0])))}/[^"]*"\n', re.M
)
_PRIORITY = re.compile(r"(?<=parameter signed \\PRIORITY )32'[01]+")


class _GatedModules(Modules, ClockGates):
    """Modules, some of them under a clock of their own."""


def to_rtlil(
    component: Elaboratable, name: str, *, gated: bool = False, sources: bool = False
) -> str:
    """The RTLIL of a component, each distinct module once.

    Args:
        component: A component whose signature gives its ports.
        name: The top module's name.
        gated: Whether there are clock gates.
        sources: Whether each wire says the file, from the package on, and line of its declaration;
            what Amaranth declares, such as ports, says none.
    """

    def convert(part: Elaboratable, part_name: str) -> str:
        return rtlil.convert(part, name=part_name, platform=platform, emit_src=sources)

    platform = (_GatedModules if gated else Modules)(convert)
    with _undefined_memories(), _no_collection():
        whole = platform.module(component, name)
    text = whole + "".join(platform.texts.values()).replace(_TOP, "")
    if sources:
        text = _SOURCE_OF_OTHERS.sub("", _SOURCE_OF_AMARANTH.sub("", text))
        text = text.replace(f'"{Path(__file__).parents[1]}/', '"')
    return _share_modules(text)


def without_sources(text: str) -> str:
    """RTLIL that does not say where its wires were declared."""
    return _SOURCE.sub("", text)


def to_verilog(component: Elaboratable, name: str) -> str:
    """The Verilog of a component, each distinct module once, with clock gates.

    Args:
        component: A component whose signature gives its ports.
        name: The top module's name.
    """
    (text,) = write_verilog(component, name)
    return text


def write_verilog(
    component: Elaboratable,
    name: str,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> list[str]:
    """The Verilog of a component, and what else Yosys is to write.

    Args:
        component: A component whose signature gives its ports.
        name: The top module's name.
        before: Passes over what Amaranth wrote.
        after: Passes in front of the one that writes the Verilog.
        outputs: Files that they write.

    Raises:
        YosysError: if a pass fails.
    """
    passes = (
        "read_rtlil in.il",
        *before,
        "proc -nomux -norom",
        "memory_collect",
        "attrmap -remove generator -remove src -remove amaranth.hierarchy"
        " -remove amaranth.decoding",
        *after,
        "write_verilog -sv -norename -noattr out.v",
    )
    rtlil_text = fit_words(to_rtlil(component, name, gated=True))
    text, *others = run_passes(passes, {"in.il": rtlil_text}, ("out.v", *outputs))
    # Yosys extends signs bit by bit, which simulators take at its word; a signal of no bits would
    # be one of two.
    text = _REPEATED.sub(_replicated, _NO_BITS.sub("", text))
    text = write_registers(text)
    gate = _CLOCK_GATE if f"  {CLOCK_GATE} " in text else ""
    return [_LINT + text + gate, *others]


def header(component: wiring.Component, name: str, parameters: str) -> str:
    """What stands above a component's Verilog: what it is, with what parameters, and its ports.

    Args:
        component: The component.
        name: The top module's name.
        parameters: Its parameters, in lines.
    """
    ports = [("clk", "input", 1), ("rst", "input", 1)]
    for path, member, value in component.signature.flatten(component):
        flow = "input" if member.flow == wiring.In else "output"
        ports.append(("__".join(map(str, path)), flow, len(Value.cast(value))))
    summary = (type(component).__doc__ or "").strip().partition("\n\n")[0].split("\n")
    lines = [
        f"{name}: {type(component).__name__}",
        *(line.strip() for line in summary),
        "",
        "Parameters:",
        *(f"  {line}" for line in parameters.splitlines()),
        "",
        "Ports; everything is synchronous to clk, and rst is active high:",
        *(f"  {flow:6} {width:6} {port}" for port, flow, width in ports if width),
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n"


def _replicated(match: re.Match[str]) -> str:
    return f"{{{match[0].count(match[1])}{{{match[1]}}}}}"


_CLOCK_GATE = f"""
module {CLOCK_GATE}(input clk, input enable, output gated);
  reg open;
  always_latch if (!clk) open = enable;
  assign gated = clk & open;
endmodule
"""


@contextlib.contextmanager
def _no_collection():
    """Leaves garbage until the end: millions of objects live, and looking at them takes half."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _undefined_memories():
    """Keeps Amaranth from writing out the zeros of memories that have no contents.

    It spells out every bit, which for the page buffers takes longer than everything else.
    """
    emitter: Any = rtlil.ModuleEmitter
    emit = emitter.emit_memory

    def emit_contents(self, cell_index, cell):
        if any(cell.init):
            emit(self, cell_index, cell)

    emitter.emit_memory = emit_contents
    try:
        yield
    finally:
        emitter.emit_memory = emit


def _share_modules(text: str) -> str:
    """Drops every module whose body equals an earlier one's."""
    modules = {match[2]: (match[1], match[3]) for match in MODULE.finditer(text)}
    shared: dict[str, str] = {}
    ports: dict[str, dict[str, str]] = {}
    by_body: dict[str, str] = {}
    kept: list[str] = []

    for name in _children_first(modules):
        attributes, body = modules[name]
        # Amaranth numbers unnamed ports through the whole design; here, through the module.
        names = {
            port: f"\\port_{number}" for number, port in enumerate(_UNNAMED_PORT.findall(body))
        }
        ports[name] = names

        def rename(text: str, names: dict[str, str] = names) -> str:
            return _UNNAMED.sub(lambda match: names[match[0]], text)

        def rename_cell(match: re.Match[str], rename=rename) -> str:
            child, instance, connections = match.groups()
            lines = [
                f"    connect {ports.get(child, {}).get(port, port)} {rename(value)}\n"
                for port, value in _CONNECT.findall(connections)
            ]
            return f"  cell \\{shared.get(child, child)} {instance}\n{''.join(lines)}  end\n"

        pieces = []
        end = 0
        for cell in _CHILD.finditer(body):
            pieces += [rename(body[end : cell.start()]), rename_cell(cell)]
            end = cell.end()
        pieces.append(rename(body[end:]))
        # Assertions are numbered through the whole design too, latest lowest.
        numbers = count(-1, -1)
        body = _PRIORITY.sub(lambda _, numbers=numbers: f"{next(numbers)}", "".join(pieces))
        shared[name] = by_body.setdefault(without_sources(body), name)
        if shared[name] == name:
            kept.append(f"{attributes}module \\{name}\n{body}end\n")
    return "".join(kept)


def _children_first(modules: Mapping[str, tuple[str, str]]) -> list[str]:
    """Names of modules, each behind those that it has instances of."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        if name in modules and name not in ordered:
            for child, _, _ in _CHILD.findall(modules[name][1]):
                add(child)
            ordered[name] = None

    for name in modules:
        add(name)
    return list(ordered)
