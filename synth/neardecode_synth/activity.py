"""Energy of a design's logic over a window of a simulation, unit by unit."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neardecode_synth.block import Block, divided
from neardecode_synth.cells import ENDS, read_cells
from neardecode_synth.gates import Elaborated
from neardecode_synth.liberty import Liberty, map_to_cells
from neardecode_synth.liberty_file import parse
from neardecode_synth.netlist import Netlist, NetlistError
from neardecode_synth.switching import Switched, switched
from neardecode_synth.units import Unit
from neardecode_synth.vcd import Waves, WavesError
from neardecode_synth.yosys import SynthesisError

__all__ = ["Activity", "UnitActivity", "activity"]

_WIRE = re.compile(r"^  wire width \d+(?: (?:input|output) \d+)? +\\(\S+)$", re.M)


@dataclass
class UnitActivity:
    """All instances of a unit over all windows.

    Attributes:
        name: The unit's.
        instances: How many there are.
        toggles: Changes of nets.
        picojoules: For ``logic``, ``flip_flops`` and ``clock``: low, middle and high.
        memory_bits: Bits that its macros read or wrote.
        unseen: Nets whose values the waves have not.
    """

    name: str
    instances: int = 0
    toggles: int = 0
    picojoules: dict[str, np.ndarray] = field(default_factory=dict)
    memory_bits: int = 0
    unseen: list[str] = field(default_factory=list)

    def add(self, one: Switched) -> None:
        """An instance in a window."""
        self.toggles += one.toggles
        self.memory_bits += one.memory_bits
        for kind, energy in one.picojoules.items():
            self.picojoules[kind] = self.picojoules.get(kind, np.zeros(len(ENDS))) + energy
        self.unseen += one.unseen


@dataclass(frozen=True)
class Activity:
    """What a design's units took.

    Attributes:
        cycles: Of all windows together.
        units: Its units.
        registers: Flip-flops whose next values were compared with the waves.
        has_cell_energies: Whether the library says what a cell takes within itself.
    """

    cycles: int
    units: list[UnitActivity]
    registers: int
    has_cell_energies: bool

    def picojoules_a_cycle(self, kind: str) -> np.ndarray:
        """Low, middle and high of all units, of ``logic``, ``flip_flops`` or ``clock``."""
        return np.sum([unit.picojoules[kind] for unit in self.units], axis=0) / self.cycles

    @property
    def memory_bits_a_cycle(self) -> float:
        """Bits that macros read or wrote."""
        return sum(unit.memory_bits for unit in self.units) / self.cycles


def activity(
    block: Block,
    library: Liberty,
    windows: Sequence[Path],
    workers: int,
    scope: str | None = None,
    started: Callable[[str], None] = lambda what: None,
) -> Activity:
    """The energy of a design over windows of a simulation of it.

    Args:
        block: The design.
        library: Its cells.
        windows: VCD files.
        workers: Processes at a time.
        scope: Where the design is in them; by default where its parts are.
        started: Told of each unit that is begun.

    Raises:
        WavesError: if a file is not of this design.
        SynthesisError: if a tool fails, or the netlist does not do what was simulated.
    """
    whole = divided(block)
    units = {unit.text: unit for unit, _ in whole.counted()}
    cells = read_cells(parse(library.text) or _refuse(library.name))

    def netlist(unit: Unit) -> Netlist:
        started(unit.name)
        return Netlist(map_to_cells(Elaborated(unit.text), library).verilog, cells)

    with ThreadPoolExecutor(workers) as pool:
        largest_first = sorted(units.values(), key=lambda unit: -len(unit.text))
        made = {unit.text: pool.submit(netlist, unit) for unit in largest_first}
        netlists = {text: future.result() for text, future in made.items()}

    found = {unit.name: UnitActivity(unit.name, count) for unit, count in whole.counted()}
    cycles = registers = 0
    has_cell_energies = False
    for window in windows:
        waves = Waves(window)
        place = scope or _scope(waves, whole, window)
        if place not in waves.scopes:
            raise WavesError(f"{window}: has no scope {place}")
        waves.load(place)
        cycles += waves.cycles
        for path, unit in whole.instances():
            one = _instance(
                netlists[unit.text], cells, library.volts, waves, f"{place}.{path}".rstrip(".")
            )
            found[unit.name].add(one)
            registers += one.registers
            has_cell_energies = one.has_cell_energies
    return Activity(cycles, list(found.values()), registers, has_cell_energies)


def _instance(netlist: Netlist, cells, volts: float, waves: Waves, scope: str) -> Switched:
    """One unit where it is."""
    opened = None
    for gate in waves.gates:
        if f"{scope}.".startswith(f"{gate}."):
            enable = waves.bit(f"{gate.removesuffix('.block')}.gate.enable")
            opened = enable if opened is None or enable is None else opened & enable
    try:
        return switched(
            *(netlist, cells, volts, waves.cycles),
            lambda name: waves.bit(f"{scope}.{name}"),
            opened,
        )
    except NetlistError as error:
        raise SynthesisError(f"{scope}: {error}") from None


def _scope(waves: Waves, whole: Unit, window: Path) -> str:
    """Where the wires and parts of a design's top are."""
    parts = {name for _, names in whole.parts for name in names}
    wires = set(_WIRE.findall(whole.text[whole.text.index("\nmodule \\top\n") :]))

    def found(scope: str) -> int:
        return sum(f"{scope}.{wire}" in waves.signals for wire in wires)

    places = [
        scope
        for scope in sorted(waves.scopes)
        if all(f"{scope}.{part}" in waves.scopes for part in parts)
    ]
    place = max(places, key=found, default="")
    if found(place) < len(wires) / 2:
        raise WavesError(f"{window}: nowhere has the parts of {whole.name}; say --scope")
    return place


def _refuse(name: str):
    raise SynthesisError(f"{name}: is no Liberty file")
