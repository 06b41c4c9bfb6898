"""A design divided into the units that are synthesised by themselves."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from math import inf

from neardecode.lib.clock_gate import CLOCK_GATE
from neardecode.verilog import MODULE

__all__ = ["CUT", "Unit", "divide"]

CUT = "cut_"
"""How the modules that another unit holds are called in a unit."""

_CHILD = re.compile(r"^  cell \\(\S+) (\S+)\n", re.M)
_PORT = re.compile(r"^  wire width \d+ (?:input|output) \d+ +\S+\n", re.M)


@dataclass(frozen=True)
class Unit:
    """A part of a design that is synthesised once, however often it is there.

    Attributes:
        name: The hierarchical name of its first instance.
        text: Its RTLIL; its top module is called ``top``, and the parts that are units of their
            own are black boxes.
        parts: Its parts, each with the names of its instances here.
    """

    name: str
    text: str
    parts: list[tuple["Unit", list[str]]] = field(default_factory=list)

    def counted(self) -> list[tuple["Unit", int]]:
        """Every unit of the design, with the number of its instances."""
        counts: Counter[str] = Counter()
        units: dict[str, Unit] = {}

        def add(unit: Unit, count: int) -> None:
            units[unit.name] = unit
            counts[unit.name] += count
            for part, instances in unit.parts:
                add(part, count * len(instances))

        add(self, 1)
        return [(unit, counts[name]) for name, unit in units.items()]

    def instances(self, path: str = "") -> Iterator[tuple[str, "Unit"]]:
        """Every instance of every unit, with the names that lead to it from here."""
        yield path, self
        for part, names in self.parts:
            for name in names:
                yield from part.instances(f"{path}.{name}" if path else name)


def divide(text: str, top: str, depth: int, *, largest: float = inf, gated: bool = True) -> Unit:
    """Cuts out every module that lies ``depth`` levels below the top or less.

    Modules keep no names that depend on where they are, so that a unit's text is the same in every
    design that has it.

    Args:
        text: RTLIL of all modules.
        top: The top module's name.
        depth: Levels below the top whose modules are units; 0 leaves the design whole.
        largest: What has more characters than this when it is flattened is divided once more.
        gated: Whether a clock gate is a cell that is left alone; otherwise it is a wire.
    """
    gate = _GATE if gated else _NO_GATE
    modules = {match[2]: match[3] for match in MODULE.finditer(text)}
    made: dict[tuple[str, int], Unit] = {}

    @cache
    def flattened(name: str) -> int:
        children = (kind for kind, _ in _CHILD.findall(modules[name]) if kind in modules)
        return len(modules[name]) + sum(map(flattened, children))

    def unit(path: str, name: str, depth: int) -> Unit:
        depth = depth or int(flattened(name) > largest)
        if (name, depth) not in made:
            made[name, depth] = divided(path, name, depth)
        return made[name, depth]

    def divided(path: str, name: str, depth: int) -> Unit:
        names = {name: "top"}
        bodies: list[str] = []
        parts: dict[str, list[str]] = {}

        def child(match: re.Match[str]) -> str:
            kind, instance = match.groups()
            if kind == CLOCK_GATE:
                if kind not in names:
                    names[kind] = kind
                    bodies.append(gate)
                return match[0]
            if kind not in names:
                names[kind] = f"{CUT if depth else 'module_'}{len(names)}"
                if depth:
                    bodies.append(_black_box(names[kind], modules[kind]))
                else:
                    write(kind)
            if depth:
                parts.setdefault(kind, []).append(instance.removeprefix("\\"))
            return f"  cell \\{names[kind]} {instance}\n"

        def write(kind: str) -> None:
            attribute = "attribute \\top 1\n" if kind == name else ""
            bodies.append(
                f"{attribute}module \\{names[kind]}\n{_CHILD.sub(child, modules[kind])}end\n"
            )

        write(name)
        return Unit(
            path,
            "".join(bodies),
            [
                (unit(f"{path}.{instances[0]}", kind, depth - 1), instances)
                for kind, instances in parts.items()
            ],
        )

    return unit(top, top, depth)


_PORTS = f"""module \\{CLOCK_GATE}
  wire width 1 input 1 \\clk
  wire width 1 input 2 \\enable
  wire width 1 output 3 \\gated
"""
_GATE = f"attribute \\blackbox 1\n{_PORTS}end\n"
_NO_GATE = f"{_PORTS}  connect \\gated \\clk\nend\n"


def _black_box(name: str, body: str) -> str:
    return f"attribute \\blackbox 1\nmodule \\{name}\n{''.join(_PORT.findall(body))}end\n"
