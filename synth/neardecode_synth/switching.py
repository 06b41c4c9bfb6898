"""Energy of switching: what changed in a window of a simulation, times the library's energies.

The waves give the inputs, the registers and what other units and memories drive; the netlist's
logic is computed from them in every cycle, so each cell's output has its own count of changes. A
change costs half the charge of the pins that hang on the net, times the voltage, and what the
library says that the cell itself takes (`internal_power`), a range over the slews that it was
measured at and over the inputs that may have caused it. A library without such energies leaves the
charge alone, and the result says so.

Every flip-flop's clock pin rises and falls in each cycle, or, behind a clock gate, in those in
which the gate is open; the tree of the clock is not counted, nor wires, nor glitches: a net changes
once a cycle at most. Leakage is not counted.

What the netlist takes into its registers must be what the waves show in the cycle after, or it is
an error: so the window proves too that the netlist does what the hardware did.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from neardecode.lib.clock_gate import CLOCK_GATE
from neardecode_synth.cells import Cell
from neardecode_synth.memories import SRAM
from neardecode_synth.netlist import Box, Netlist, NetlistError, later

__all__ = ["Switched", "switched"]


@dataclass(frozen=True)
class Switched:
    """What a unit's window took.

    Attributes:
        cycles: Its length.
        toggles: Changes of nets.
        picojoules: For ``logic``, ``flip_flops`` and ``clock``: low, middle and high.
        memory_bits: Bits that macros read or wrote.
        registers: Flip-flops whose values the waves have.
        unseen: Nets that begin a path and whose values the waves have not: they count as 0.
        has_cell_energies: Whether the library says what cells take.
    """

    cycles: int
    toggles: int
    picojoules: dict[str, tuple[float, ...]]
    memory_bits: int
    registers: int
    unseen: list[str] = field(default_factory=list)
    has_cell_energies: bool = True


def switched(
    netlist: Netlist,
    cells: Mapping[str, Cell],
    volts: float,
    cycles: int,
    bit: Callable[[str], np.ndarray | None],
    opened: np.ndarray | None = None,
) -> Switched:
    """The energy of a unit over a window.

    Args:
        netlist: The unit's.
        cells: The library's cells.
        volts: Its supply.
        cycles: Cycles of the window.
        bit: The values of a bit, by the unit's name for it.
        opened: In which cycles the unit's clock runs, if it is behind a gate.

    Raises:
        NetlistError: if the netlist does not do what the waves show.
    """
    known: dict[int, np.ndarray] = {}
    unseen: list[str] = []

    def look(net: int, name: str, wanted: bool) -> None:
        if (values := bit(name)) is not None:
            known[net] = values
        elif wanted:
            unseen.append(name)

    for net in netlist.inputs:
        if not netlist.names[net].endswith("clk"):
            look(net, netlist.names[net], True)
    for box in netlist.boxes:
        if box.kind == CLOCK_GATE:
            continue
        for net, name in _driven(netlist, box):
            look(net, name, True)
    for flip_flop in netlist.flip_flops:
        look(flip_flop.output, netlist.names[flip_flop.output], False)
    registers = sum(each.output in known for each in netlist.flip_flops)

    values = netlist.evaluate(known, cycles)
    mask = _mask(cycles)
    runs = _Clocks(netlist, values, mask if opened is None else opened & mask)
    if not unseen:
        _compare(netlist, values, known, mask, runs)
    changes = _changes(values, cycles)

    loads = np.zeros(len(netlist.names))
    for net, sinks in netlist.sinks.items():
        loads[net] = sum(cells[kind].loads[pin] for kind, pin in sinks)
    energies = {kind: np.zeros(3) for kind in ("logic", "flip_flops", "clock")}
    toggles = 0
    for (kind, pin), nets in netlist.gates.items():
        cell = cells[kind]
        counts = changes[nets]
        toggles += int(counts.sum())
        part = energies["logic" if cell.state is None else "flip_flops"]
        part += (counts * loads[nets]).sum() * volts**2 / 2
        if (table := cell.output_energies.get(pin)) is not None:
            part += [
                (counts * np.interp(loads[nets], table[0], table[1][:, end])).sum()
                for end in range(3)
            ]
    for net, sinks in netlist.sinks.items():
        for kind, pin in sinks:
            cell = cells[kind]
            is_clock = cell.state is not None and pin == cell.state.clock
            if not is_clock and pin in cell.input_energies:
                part = energies["logic" if cell.state is None else "flip_flops"]
                part += changes[net] * cell.input_energies[pin]
    for flip_flop in netlist.flip_flops:
        energies["clock"] += _ones(runs.of(flip_flop.clock)) * (
            _of_clock(cells[flip_flop.cell], volts)
        )
    return Switched(
        cycles,
        toggles,
        {kind: tuple(map(float, part)) for kind, part in energies.items()},
        sum(_accessed(box, values, mask) for box in netlist.boxes if box.kind == SRAM),
        registers,
        unseen,
        any(cell.output_energies for cell in cells.values()),
    )


def _driven(netlist: Netlist, box: Box) -> list[tuple[int, str]]:
    """The nets that a box may drive, and the names of their values."""
    if box.kind == SRAM:
        return [(net, netlist.names[net]) for net in box.pins["RD_DATA"]]
    own = {each.output for each in netlist.flip_flops} | set(netlist.inputs)
    driven = {net for nets in netlist.gates.values() for net in nets} | own
    return [
        (net, f"{box.name}.{pin}[{place}]" if len(nets) > 1 else f"{box.name}.{pin}")
        for pin, nets in box.pins.items()
        for place, net in enumerate(nets)
        if net not in driven and net not in netlist.constants
    ]


def _of_clock(cell: Cell, volts: float) -> np.ndarray:
    """pJ of a rise and a fall of a flip-flop's clock pin."""
    assert cell.state is not None
    pin = cell.state.clock
    within = cell.input_energies.get(pin, np.zeros(3))
    return 2 * within + cell.loads[pin] * volts**2


def _mask(cycles: int) -> np.ndarray:
    """Ones for the cycles of the window."""
    words = np.full(-(-cycles // 64), ~np.uint64(0))
    if cycles % 64:
        words[-1] = (1 << cycles % 64) - 1
    return words


def _ones(values: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(values).view(np.uint8), axis=-1).sum(axis=-1)


def _changes(values: np.ndarray, cycles: int) -> np.ndarray:
    """How often each net changed."""
    counted = _mask(cycles)
    counted[0] &= ~np.uint64(1)
    return _ones((values ^ later(values)) & counted)


class _Clocks:
    """In which cycles each clock of a unit runs.

    Parameters:
        netlist: The unit's.
        values: Of its nets.
        opened: In which cycles the clock that it is given runs.
    """

    def __init__(self, netlist: Netlist, values: np.ndarray, opened: np.ndarray):
        self._values, self._opened = values, opened
        self._gates = {
            box.pins["gated"][0]: (box.pins["clk"][0], box.pins["enable"][0])
            for box in netlist.boxes
            if box.kind == CLOCK_GATE
        }

    def of(self, net: int) -> np.ndarray:
        """The cycles of a clock."""
        if net not in self._gates:
            return self._opened
        clock, enable = self._gates[net]
        return self.of(clock) & self._values[enable]


def _accessed(box: Box, values: np.ndarray, mask: np.ndarray) -> int:
    """Bits that a macro read and wrote."""
    bits = sum(int(_ones(values[net] & mask)) for net in box.pins.get("WR_EN", ()))
    enables = box.pins.get("RD_EN", ())
    if enables:
        width = len(box.pins["RD_DATA"]) // len(enables)
        bits += sum(width * int(_ones(values[net] & mask)) for net in enables)
    return bits


def _compare(
    netlist: Netlist, values: np.ndarray, known: Mapping[int, np.ndarray], mask: np.ndarray, runs
) -> None:
    """Refuses a netlist whose registers take what the waves do not show."""
    counted = mask.copy()
    counted[0] &= ~np.uint64(1)
    for flip_flop in netlist.flip_flops:
        if flip_flop.output in known:
            name = netlist.names[flip_flop.output]
            wrong = (values[flip_flop.output] ^ later(values[flip_flop.next])) & counted
            wrong &= later(runs.of(flip_flop.clock))
            if wrong.any():
                word = int(np.flatnonzero(wrong)[0])
                cycle = 64 * word + (int(wrong[word]) & -int(wrong[word])).bit_length() - 1
                raise NetlistError(
                    f"the netlist is not what was simulated: {name} differs in cycle {cycle}"
                )
