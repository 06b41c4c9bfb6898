"""A design in two halves, each a model of its own, and the C++ that joins them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from neardecode_testbench.drive.design import TOP, Port, cpp_name

__all__ = ["Half", "machine_of_halves", "read_halves"]

_MODULES = {"Rest": f"{TOP}_rest", "Beside": f"{TOP}_beside"}
"""Modules of the two halves, by the names of their models."""
_CLOCKS = ("clk", "rst")
_Bits = tuple[int | str, ...]


@dataclass
class Half:
    """A half of a design. Ports are by their names in its module.

    Attributes:
        module: Its module.
        clocks: Which of clk and rst it has.
        host: Ports that are the design's, by the names there.
        given: Outputs that the other half takes.
        taken: Inputs that the other half gives, and which of those that it gives each is.
    """

    module: str
    clocks: tuple[str, ...] = ()
    host: dict[str, Port] = field(default_factory=dict)
    given: list[Port] = field(default_factory=list)
    taken: list[tuple[Port, int]] = field(default_factory=list)

    def ports(self) -> list[tuple[str, Port]]:
        """Each port of its model, and that of its module."""
        return [
            *self.host.items(),
            *((f"given{index}", port) for index, port in enumerate(self.given)),
            *((f"taken{index}", port) for index, (port, _) in enumerate(self.taken)),
        ]


def read_halves(module: dict[str, Any]) -> tuple[dict[str, Half], dict[str, int | str]]:
    """The halves of a design, by the names of their models, and outputs that are of neither.

    Those are numbers that never change, or an input by its name.

    Args:
        module: Ports and cells of its top module, as `to_halves` gives them.

    Raises:
        ValueError: if there are no two, or a port of one is not one port of the design or of the
            other.
    """
    if set(module["cells"]) != set(_MODULES.values()):
        raise ValueError("there are no two halves")
    halves = {}
    for model, name in _MODULES.items():
        cell = module["cells"][name]
        ways = cell["port_directions"]
        halves[model] = Half(name, tuple(port for port in _CLOCKS if port in ways))
        for port, way in ways.items():
            if way not in ("input", "output"):
                raise ValueError(f"{port} of {name} is driven on both sides")
    host: dict[_Bits, str] = {}
    asked: list[tuple[str, _Bits]] = []
    for name, port in module["ports"].items():
        if name not in _CLOCKS:
            bits = tuple(port["bits"])
            if port["direction"] == "input":
                host[bits] = name
            else:
                asked.append((name, bits))
    outputs = {
        bits: (model, port)
        for model in halves
        for port, bits in _connected(module, model, "output")
    }
    others: dict[str, int | str] = {}
    for name, bits in asked:
        if bits in outputs:
            model, port = outputs[bits]
            halves[model].host[name] = Port(port, len(bits), False)
        elif bits in host:
            others[name] = host[bits]
        elif not all(isinstance(bit, str) for bit in bits):
            raise ValueError(f"{name} is not one port of a half")
        else:
            others[name] = sum((bit == "1") << place for place, bit in enumerate(bits))
    for model, half in halves.items():
        for port, bits in _connected(module, model, "input"):
            found = Port(port, len(bits), True)
            if bits in host:
                if host[bits] in half.host:
                    raise ValueError(f"{host[bits]} is two ports of {half.module}")
                half.host[host[bits]] = found
                continue
            giver, theirs = outputs.get(bits, (model, ""))
            if giver == model:
                raise ValueError(f"{port} of {half.module} is not one port of the other half")
            given = halves[giver].given
            output = Port(theirs, len(bits), False)
            if output not in given:
                given.append(output)
            half.taken.append((found, given.index(output)))
    return halves, others


def _connected(module: dict, model: str, direction: str) -> Iterable[tuple[str, _Bits]]:
    cell = module["cells"][_MODULES[model]]
    for port, bits in cell["connections"].items():
        if port not in _CLOCKS and cell["port_directions"][port] == direction:
            yield port, tuple(bits)


def machine_of_halves(halves: dict[str, Half]) -> list[str]:
    """C++ of a ``Machine`` of two halves, which has ``first`` and ``second``.

    Args:
        halves: They, by the names of their models.
    """
    lines = ['#include "halves.h"', '#include "pace.h"']
    names = dict(zip(halves, ("First", "Second"), strict=True))
    for model, half in halves.items():
        ((other, taker),) = ((name, each) for name, each in halves.items() if name != model)
        given = range(len(half.given))
        lines += [
            f"struct {model}Wires {{",
            *(f"    std::decay_t<decltype({model}::given{index})> w{index};" for index in given),
            f"    bool update(const {model}& model) {{",
            "        bool changed = false;",
            *(
                f"        if (std::memcmp(&w{index}, &model.given{index}, sizeof w{index}))"
                f" w{index} = model.given{index}, changed = true;"
                for index in given
            ),
            "        return changed;",
            "    }",
            f"    void drive({other}& model) const {{",
            *(
                f"        model.taken{index} = w{source};"
                for index, (_, source) in enumerate(taker.taken)
            ),
            "    }",
            "};",
            f"using {names[model]} = Half<{model}, {model}Wires>;",
        ]
    first, second = halves.values()
    both = [cpp_name(port) for port in first.host if port in second.host]
    return [
        *lines,
        "inline void share(First& first, Second& second) {",
        *(f"    second.model.{port} = first.model.{port};" for port in both),
        "}",
        "using Machine = Halves<First, Second, share, Pace>;",
    ]
