"""A netlist of library cells, and the values of its nets over a window of cycles."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neardecode.lib.clock_gate import CLOCK_GATE
from neardecode_synth.cells import Cell
from neardecode_synth.memories import SRAM
from neardecode_synth.units import CUT

__all__ = ["Box", "FlipFlop", "Netlist", "NetlistError", "later"]

_INSTANCE = re.compile(r"^  (\w+) (\\\S+|\w+)\s*\(\n((?:    \..*\n)*)  \);", re.M)
_PIN = re.compile(r"\.(\\\S+ |\w+)\((.*)\)")
_NET = re.compile(r"\\\S+|\d+'h0|\w+")
_PORT = re.compile(r"^  input (\\\S+|\w+) ?;$", re.M)
_ASSIGN = re.compile(r"^  assign (\\\S+|\w+)\s*=\s*(\\\S+|\w+)\s*;$", re.M)


class NetlistError(ValueError):
    """A netlist that is not understood, or whose values are not those of the waves."""


@dataclass(frozen=True)
class Box:
    """What another unit or a memory is here.

    Attributes:
        kind: The module's name.
        name: The instance's.
        pins: For each pin its nets, lowest bit first.
    """

    kind: str
    name: str
    pins: dict[str, list[int]]


@dataclass(frozen=True)
class FlipFlop:
    """A flip-flop.

    Attributes:
        cell: What it is.
        clock: The net of its clock.
        next: The net that it takes.
        output: The net that it drives.
    """

    cell: str
    clock: int
    next: int
    output: int


@dataclass
class _Group:
    """Cells of a kind, none of which waits for another of them."""

    function: Callable[..., Any]
    inputs: list[list[int]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


class Netlist:
    """Cells and nets of a unit.

    Parameters:
        verilog: As `map_to_cells` gives it.
        cells: The library's cells.

    Attributes:
        names: Of the nets, as the design has them.
        inputs: Nets that are ports.
        gates: For each kind of cell and output pin: its output nets.
        sinks: For each net the pins that hang on it, as (cell, pin).
        flip_flops: Flip-flops.
        boxes: Memories and parts that are units of their own.

    Raises:
        NetlistError: if a cell has no function.
    """

    def __init__(self, verilog: str, cells: Mapping[str, Cell]):
        self.names: list[str] = []
        self._index: dict[str, int] = {}
        self.gates: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.sinks: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self.flip_flops: list[FlipFlop] = []
        self.boxes: list[Box] = []
        self.constants: dict[int, bool] = {}
        # In order of the file: function, inputs, output.
        self._logic: list[tuple[Callable[..., Any], list[int], int]] = []
        self.inputs = [self._net(name) for name in _PORT.findall(verilog)]
        for match in _INSTANCE.finditer(verilog):
            self._add(match[1], match[2], match[3], cells)
        for target, source in _ASSIGN.findall(verilog):
            self._logic.append((_same, [self._net(source)], self._net(target)))

    def _net(self, name: str) -> int:
        bare = name.removeprefix("\\")
        if bare not in self._index:
            self._index[bare] = len(self.names)
            self.names.append(bare)
            if re.fullmatch(r"\d+'h0", bare):
                self.constants[self._index[bare]] = False
        return self._index[bare]

    def _add(self, kind: str, name: str, text: str, cells: Mapping[str, Cell]) -> None:
        pins = {
            pin.strip().removeprefix("\\"): [self._net(net) for net in reversed(_NET.findall(nets))]
            for pin, nets in _PIN.findall(text)
        }
        if kind in ("tie_high", "tie_low"):
            self.constants[pins["Y"][0]] = kind == "tie_high"
        elif kind in (SRAM, CLOCK_GATE) or kind.startswith(CUT):
            self.boxes.append(Box(kind, name.removeprefix("\\"), pins))
        elif (cell := cells.get(kind)) is None:
            raise NetlistError(f"the library has no {kind}")
        else:
            for pin in cell.inputs:
                if pin in pins:
                    self.sinks[pins[pin][0]].append((kind, pin))
            if cell.state is not None:
                clock, taken = pins[cell.state.clock][0], pins[cell.state.data][0]
                for output in cell.outputs:
                    if output in pins:
                        self.flip_flops.append(FlipFlop(kind, clock, taken, pins[output][0]))
                        self.gates[kind, output].append(pins[output][0])
            for output, function in cell.functions.items():
                if output in pins:
                    inputs = [pins[pin][0] for pin in function.inputs]
                    self._logic.append((function.evaluate, inputs, pins[output][0]))
                    self.gates[kind, output].append(pins[output][0])

    def _levels(self) -> list[list[_Group]]:
        """The logic in an order in which each level needs only those before it.

        Raises:
            NetlistError: if it goes round in a circle.
        """
        driver = {output: place for place, (_, _, output) in enumerate(self._logic)}
        waits = [0] * len(self._logic)
        readers: dict[int, list[int]] = defaultdict(list)
        for place, (_, inputs, _) in enumerate(self._logic):
            for net in set(inputs):
                if net in driver:
                    waits[place] += 1
                    readers[net].append(place)
        ready = [place for place, count in enumerate(waits) if not count]
        levels = []
        done = 0
        while ready:
            groups: dict[Any, _Group] = {}
            following = []
            for place in ready:
                function, inputs, output = self._logic[place]
                group = groups.setdefault((function, len(inputs)), _Group(function))
                group.inputs.append(inputs)
                group.outputs.append(output)
                for reader in readers.get(output, ()):
                    waits[reader] -= 1
                    if not waits[reader]:
                        following.append(reader)
            done += len(ready)
            levels.append(list(groups.values()))
            ready = following
        if done < len(self._logic):
            raise NetlistError("logic that goes round in a circle")
        return levels

    def evaluate(self, known: Mapping[int, np.ndarray], cycles: int) -> np.ndarray:
        """The values of all nets: (nets, words), a cycle a bit.

        Flip-flops that nobody knows begin at 0.

        Args:
            known: Values of inputs, of outputs of boxes, and of flip-flops.
            cycles: How many there are.

        Raises:
            NetlistError: if logic goes round in a circle.
        """
        words = -(-cycles // 64)
        values = np.zeros((len(self.names), words), np.uint64)
        for net, high in self.constants.items():
            values[net] = ~np.uint64(0) if high else 0
        for net, bits in known.items():
            values[net] = bits
        levels = [
            [(group.function, np.array(group.inputs).T, np.array(group.outputs)) for group in level]
            for level in self._levels()
        ]
        unknown = [each for each in self.flip_flops if each.output not in known]
        zero = np.uint64(0)
        # Each round settles the unknown ones that wait for those of the round before.
        for _ in range(len(unknown) + 1):
            for level in levels:
                for function, inputs, outputs in level:
                    values[outputs] = function(zero, *(values[pins] for pins in inputs))
            if not unknown:
                break
            outputs = np.array([each.output for each in unknown])
            following = later(values[[each.next for each in unknown]])
            if (values[outputs] == following).all():
                break
            values[outputs] = following
        return values


def _same(zero: Any, value: Any) -> Any:
    return value


def later(values: np.ndarray) -> np.ndarray:
    """Values one cycle later; in the first cycle 0."""
    shifted = values << np.uint64(1)
    shifted[..., 1:] |= values[..., :-1] >> np.uint64(63)
    return shifted
