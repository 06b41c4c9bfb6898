"""Cells of a library as logic and as energy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neardecode_synth.liberty_file import Group, compiled, inputs_of, numbers

__all__ = ["ENDS", "Cell", "Function", "State", "read_cells"]

ENDS = ("low", "middle", "high")

_PICO = {"f": 1e-3, "p": 1.0, "n": 1e3}


@dataclass(frozen=True)
class Function:
    """What an output pin is of input pins.

    Attributes:
        inputs: The pins.
        evaluate: From zero and their values to its value.
    """

    inputs: list[str]
    evaluate: Callable[..., Any]


@dataclass(frozen=True)
class State:
    """What a flip-flop keeps.

    Attributes:
        data: The pin that it takes.
        clock: The pin of its clock.
    """

    data: str
    clock: str


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        name: Its name.
        loads: For each input pin its capacitance in pF.
        functions: For each output pin that is logic what it is.
        outputs: Output pins of a flip-flop.
        state: Of a flip-flop.
        output_energies: For each output pin: loads in pF, and at each of them the energy in pJ of a
            change within the cell, low, middle and high. Empty where the library has none.
        input_energies: For each input pin the energy in pJ of its change alone.
    """

    name: str
    loads: dict[str, float]
    functions: dict[str, Function]
    outputs: list[str]
    state: State | None
    output_energies: dict[str, tuple[np.ndarray, np.ndarray]]
    input_energies: dict[str, np.ndarray]

    @property
    def inputs(self) -> list[str]:
        """Its input pins."""
        return list(self.loads)


def read_cells(library: Group) -> dict[str, Cell]:
    """The cells that are logic or flip-flops of an edge.

    Latches and what drives a bus are left out: no netlist here has them.

    Args:
        library: The file's outermost group.

    Raises:
        ValueError: if a function is not understood.
    """
    value, unit = library.attributes.get("capacitive_load_unit", ["1", "pf"])
    farads = float(value) * _PICO[unit[0].lower()]
    templates = {
        group.arguments[0]: group
        for kind in ("power_lut_template", "lu_table_template")
        for group in library.all(kind)
    }
    cells = {}
    functions: dict[str, Function] = {}
    for cell in library.all("cell"):
        made = _cell(cell, farads, templates, functions)
        if made is not None:
            cells[made.name] = made
    return cells


def _cell(
    cell: Group, farads: float, templates: dict[str, Group], functions: dict[str, Function]
) -> Cell | None:
    if any(cell.all("latch")):
        return None
    state = None
    kept: set[str] = set()
    for flip_flop in cell.all("ff"):
        data = inputs_of(flip_flop.attributes["next_state"])
        clock = inputs_of(flip_flop.attributes["clocked_on"])
        if len(data) != 1 or len(clock) != 1:
            return None
        state = State(data[0], clock[0])
        kept = set(flip_flop.arguments)
    loads, logic, outputs = {}, {}, []
    output_energies, input_energies = {}, {}
    for pin in cell.all("pin"):
        name = pin.arguments[0]
        energies = [_energy(power, farads, templates) for power in pin.all("internal_power")]
        if pin.attributes.get("direction") == "output":
            function = pin.attributes.get("function")
            if function is None or "three_state" in pin.attributes:
                return None
            if set(inputs_of(function)) & kept:
                outputs.append(name)
            else:
                # One function for all cells that have it, so that they are evaluated together.
                if function not in functions:
                    functions[function] = Function(inputs_of(function), compiled(function))
                logic[name] = functions[function]
            if energies:
                output_energies[name] = _of_any(energies)
        else:
            loads[name] = pin.number("capacitance") * farads
            if energies:
                input_energies[name] = _of_any(energies)[1].mean(axis=0)
    return Cell(cell.arguments[0], loads, logic, outputs, state, output_energies, input_energies)


def _energy(
    power: Group, farads: float, templates: dict[str, Group]
) -> tuple[np.ndarray, np.ndarray]:
    """Loads, and at each the mean energy of a rise and a fall, at three slews of the input.

    The slews are the shortest and the longest that the library has, and their geometric mean.
    """
    parts = []
    loads = np.zeros(1)
    for kind in ("rise_power", "fall_power", "power"):
        for table in power.all(kind):
            template = templates.get((table.arguments or [""])[0])
            variables = [
                template.attributes.get(f"variable_{place}", "") if template else ""
                for place in (1, 2)
            ]
            values = np.array(numbers(table, "values")) * farads
            indices = []
            for place in (1, 2):
                rows = numbers(table, f"index_{place}") or (
                    numbers(template, f"index_{place}") if template else []
                )
                indices.append(np.array(rows[0]) if rows else np.zeros(1))
            if "capacitance" in variables[1]:
                values, indices, variables = values.T, indices[::-1], variables[::-1]
            if "capacitance" in variables[0]:
                loads, slews = indices[0] * farads, indices[1]
            else:
                values, slews = values.reshape(1, -1), indices[0]
            values = values.reshape(len(loads), -1)
            middle = np.sqrt(slews[0] * slews[-1])
            parts.append(
                np.array([[row[0], np.interp(middle, slews, row), row[-1]] for row in values])
            )
    return loads, np.mean(parts, axis=0)


def _of_any(energies: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The least, the mean and the most, whichever input it was that changed."""
    loads = energies[0][0]
    each = np.array([energy for _, energy in energies])
    return loads, np.stack(
        [each[..., 0].min(axis=0), each[..., 1].mean(axis=0), each[..., 2].max(axis=0)], axis=1
    )
