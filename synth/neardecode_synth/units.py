"""A design divided into the units that are synthesised by themselves."""

import re
from collections import Counter
from dataclasses import dataclass, field

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
        parts: How often it holds each of its parts.
    """

    name: str
    text: str
    parts: list[tuple["Unit", int]] = field(default_factory=list)

    def counted(self) -> list[tuple["Unit", int]]:
        """Every unit of the design, with the number of its instances."""
        counts: Counter[str] = Counter()
        units: dict[str, Unit] = {}

        def add(unit: Unit, count: int) -> None:
            units[unit.name] = unit
            counts[unit.name] += count
            for part, times in unit.parts:
                add(part, count * times)

        add(self, 1)
        return [(unit, counts[name]) for name, unit in units.items()]


def divide(text: str, top: str, depth: int) -> Unit:
    """Cuts out every module that lies ``depth`` levels below the top or less.

    Modules keep no names that depend on where they are, so that a unit's text is the same in every
    design that has it.

    Args:
        text: RTLIL of all modules.
        top: The top module's name.
        depth: Levels below the top whose modules are units; 0 leaves the design whole.
    """
    modules = {match[2]: match[3] for match in MODULE.finditer(text)}
    made: dict[tuple[str, int], Unit] = {}

    def unit(path: str, name: str, depth: int) -> Unit:
        if (name, depth) not in made:
            made[name, depth] = divided(path, name, depth)
        return made[name, depth]

    def divided(path: str, name: str, depth: int) -> Unit:
        names = {name: "top"}
        bodies: list[str] = []
        parts: Counter[str] = Counter()
        paths: dict[str, str] = {}

        def child(match: re.Match[str]) -> str:
            kind, instance = match.groups()
            if kind not in names:
                names[kind] = f"{CUT if depth else 'module_'}{len(names)}"
                if depth:
                    bodies.append(_black_box(names[kind], modules[kind]))
                else:
                    write(kind)
            if depth:
                parts[kind] += 1
                paths.setdefault(kind, f"{path}.{instance.removeprefix(chr(92))}")
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
            [(unit(paths[kind], kind, depth - 1), count) for kind, count in parts.items()],
        )

    return unit(top, top, depth)


def _black_box(name: str, body: str) -> str:
    return f"attribute \\blackbox 1\nmodule \\{name}\n{''.join(_PORT.findall(body))}end\n"
