"""Blocks of which there are several alike, elaborated once."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from amaranth.hdl import ClockSignal, Elaboratable, Instance, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["Modules", "once"]

_DOMAIN = {"clk": ClockSignal(), "rst": ResetSignal()}

Block = TypeVar("Block", bound=type[wiring.Component])


class Modules:
    """A platform on which blocks that `once` marks, made alike, are instances of one module.

    Parameters:
        convert: Gives the RTLIL of a component that becomes a module of a name.
    """

    def __init__(self, convert: Callable[[Elaboratable, str], str]):
        self._convert = convert
        self._names: dict[tuple[type, str], str] = {}
        self._arguments: list[Any] = []
        self._whole: set[int] = set()
        self.texts: dict[str, str] = {}
        """RTLIL of each module and its submodules, by name, in the order in which they ended."""

    def module(self, component: Elaboratable, name: str) -> str:
        """The RTLIL of a component itself, without that of the modules that it has instances of."""
        self._whole.add(id(component))
        try:
            return self._convert(component, name)
        finally:
            self._whole.remove(id(component))

    def is_whole(self, component: Elaboratable) -> bool:
        """Whether the component is the one that becomes a module now."""
        return id(component) in self._whole

    def instance(self, component: wiring.Component, arguments: tuple[Any, ...]) -> Instance:
        """An instance of the module of all components that are made of such arguments.

        Args:
            component: What is to be there, by its ports.
            arguments: What its class was called with; their ``repr`` tells them apart.
        """
        kind = type(component)
        key = kind, repr(arguments)
        if key not in self._names:
            # An object without a repr of its own is told by its address: it must stay.
            self._arguments.append(arguments)
            same = sum(other is kind for other, _ in self._names)
            name = self._names[key] = f"{kind.__name__}{same or ''}"
            self.texts[name] = self.module(component, name)
        _spend(vars(component))
        name = self._names[key]
        ports: dict[str, Any] = {}
        for path, member, value in component.signature.flatten(component):
            if len(Value.cast(value)):
                way = "i" if member.flow == In else "o"
                ports[f"{way}_{'__'.join(map(str, path))}"] = value
        # A module is written before its submodules.
        own, _, _ = self.texts[name].partition("\nend\n")
        ports |= {f"i_{port}": signal for port, signal in _DOMAIN.items() if _has_port(own, port)}
        return Instance(name, **ports)


def once(kind: Block) -> Block:
    """Marks a class whose instances, where they are made of the same, are one module.

    What is around one may use nothing of it but its ports and what it knows before it is
    elaborated. A loop through several of them that has no register is not seen by Amaranth, but by
    the lint of their Verilog. On platforms other than `Modules` nothing changes.
    """
    whole: Any = kind
    begin, elaborate = whole.__init__, whole.elaborate

    @wraps(begin)
    def remember(self, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self._made_of = (*args, *sorted(kwargs.items()))

    @wraps(elaborate)
    def share(self: Any, platform: Any) -> Any:
        if type(self) is kind and isinstance(platform, Modules) and not platform.is_whole(self):
            return platform.instance(self, vars(self)["_made_of"])
        return elaborate(self, platform)

    whole.__init__, whole.elaborate = remember, share
    return kind


def _has_port(module: str, port: str) -> bool:
    return re.search(rf"^  wire width 1 input \d+ +\\{port}$", module, re.M) is not None


def _spend(parts: Any) -> None:
    """Tells Amaranth that parts which are in no design are not forgotten."""
    if isinstance(parts, Elaboratable):
        known = vars(parts)
        if known.get("_MustUse__used"):
            return
        known["_MustUse__used"] = True
        parts = known
    if isinstance(parts, dict):
        parts = [*parts.values()]
    if isinstance(parts, list | tuple):
        for part in parts:
            _spend(part)
