"""What a component costs: gates, macros, cells of a library, cells of an FPGA, and its clock.

A component is divided into units, each synthesised once, and summed over its hierarchy. Between
units nothing is optimised; what is small enough is one unit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any

from amaranth.lib import wiring

from neardecode.verilog import without_sources
from neardecode_synth import ecp5, timing
from neardecode_synth.block import Block, Elaboration, Elaborator, elaborated
from neardecode_synth.gates import Elaborated, Gates, map_to_gates
from neardecode_synth.liberty import Liberty, map_to_cells
from neardecode_synth.memories import Macro
from neardecode_synth.units import Unit, divide
from neardecode_synth.yosys import SynthesisError

__all__ = ["Area", "Part", "measure", "synthesise"]


@dataclass(frozen=True)
class Part:
    """A unit and how often it is there.

    Attributes:
        name: The hierarchical name of its first instance.
        count: Instances.
        gates: One instance in gates and macros.
        area_um2: One instance in the library.
        library_kge: The same in thousands of the library's NAND2.
        path: Its longest path there, as `timing.longest_path` says.
    """

    name: str
    count: int
    gates: Gates
    area_um2: float | None = None
    library_kge: float | None = None
    path: dict[str, Any] | None = None


@dataclass(frozen=True)
class Area:
    """What a component is made of.

    Attributes:
        name: The component's.
        parts: Its units.
        fpga: Its cells in an ECP5.
        placed: What `ecp5.place` says, where nextpnr is there.
        buffer_bits: Of a router, bits of its buffers.
    """

    name: str
    parts: list[Part]
    fpga: ecp5.Ecp5 | None = None
    placed: dict[str, Any] | None = None
    buffer_bits: int | None = None

    def total(self, of: Callable[[Part], float | None]) -> float | None:
        """A number of all parts together; None if any has none."""
        numbers = [of(part) for part in self.parts]
        if any(number is None for number in numbers):
            return None
        return sum(
            part.count * (number or 0) for part, number in zip(self.parts, numbers, strict=True)
        )

    def sum(self, of: Callable[[Gates], float]) -> float:
        """A number of all parts' gates together."""
        return sum(part.count * of(part.gates) for part in self.parts)

    @property
    def low_ge(self) -> float:
        """Gate equivalents without macros, a flip-flop at 5.67."""
        return self.sum(lambda gates: gates.low_ge)

    @property
    def high_ge(self) -> float:
        """Gate equivalents without macros, a flip-flop at 8."""
        return self.sum(lambda gates: gates.high_ge)

    @property
    def macros(self) -> dict[Macro, int]:
        """The memories, and how often each is there."""
        counts: dict[Macro, int] = {}
        for part in self.parts:
            for macro in part.gates.macros:
                counts[macro] = counts.get(macro, 0) + part.count
        return counts

    @property
    def slowest(self) -> Part | None:
        """The part with the longest path in the library."""
        timed = [part for part in self.parts if part.path]
        return max(timed, key=lambda part: (part.path or {})["delay_ns"], default=None)


def synthesise(component: wiring.Component) -> Gates:
    """The gates of a component that is one unit.

    Raises:
        SynthesisError: if Yosys fails, finds nothing, or leaves a cell of another kind.
    """
    gates = map_to_gates(Elaborated(divide(elaborated(component, "top"), "top", 0).text))
    _refuse_nothing("the component", gates.low_ge)
    return gates


def measure(
    blocks: Sequence[Block],
    library: Liberty | None,
    workers: int,
    started: Callable[[str], None] = lambda what: None,
) -> list[Area | SynthesisError]:
    """Synthesises blocks, side by side.

    Args:
        blocks: What is measured.
        library: Cells to map to beside gates; with OpenSTA, their longest path.
        workers: Processes at a time.
        started: Told of each block or unit that is begun.

    Returns:
        For each block its area, or why it has none: it cannot be made, a tool fails, or it comes
        to nothing. The others are measured all the same.
    """

    def part(unit: Unit) -> Part:
        started(unit.name)
        one = Elaborated(unit.text)
        gates = map_to_gates(one)
        if library is None:
            return Part(unit.name, 1, gates)
        cells = map_to_cells(one, library)
        path = timing.longest_path(cells, library) if timing.has_tool() else None
        return Part(unit.name, 1, gates, cells.area_um2, cells.kge, path)

    def fpga(block: Block, rtlil: str) -> tuple[ecp5.Ecp5, dict[str, Any] | None]:
        started(f"{block.name} for an FPGA")
        netlist = ecp5.Netlist(without_sources(divide(rtlil, block.name, 0, gated=False).text))
        return ecp5.map_to_ecp5(netlist), ecp5.place(netlist) if ecp5.has_nextpnr() else None

    # Tools run in processes; a thread waits for each. What is to be placed takes longest, and a
    # block's units are synthesised while others are elaborated.
    order = sorted(range(len(blocks)), key=lambda index: not blocks[index].fpga)
    made: dict[int, Elaboration] = {}
    wholes: dict[int, Unit] = {}
    parts: dict[str, Future[Part]] = {}
    placed: dict[int, Future[tuple[ecp5.Ecp5, dict[str, Any] | None]]] = {}
    failed: dict[int, SynthesisError] = {}

    def area(index: int) -> Area | SynthesisError:
        block = blocks[index]
        try:
            found = [
                replace(parts[unit.text].result(), name=unit.name, count=count)
                for unit, count in wholes[index].counted()
            ]
            in_fpga = placed[index].result() if index in placed else (None, None)
            whole = Area(block.name, found, *in_fpga, made[index].buffer_bits)
            _refuse_nothing(block.name, whole.low_ge)
            if library is not None and timing.has_tool() and whole.slowest is None:
                raise SynthesisError(f"{block.name}: no path was found")
        except SynthesisError as error:
            return error
        return whole

    with Elaborator(blocks, workers) as elaborate, ThreadPoolExecutor(workers) as pool:
        coming = {pool.submit(elaborate, blocks[index]): index for index in order}
        for future in as_completed(coming):
            index = coming[future]
            block = blocks[index]
            try:
                one = made[index] = future.result()
            except SynthesisError as error:
                failed[index] = error
                continue
            if block.fpga:
                placed[index] = pool.submit(fpga, block, one.rtlil)
            wholes[index] = one.divided(block)
            units = {unit.text: unit for unit, _ in wholes[index].counted()}
            for unit in sorted(units.values(), key=lambda unit: -len(unit.text)):
                if unit.text not in parts:
                    parts[unit.text] = pool.submit(part, unit)
        return [failed.get(index) or area(index) for index in range(len(blocks))]


def _refuse_nothing(name: str, gates: float) -> None:
    if not gates > 0:
        raise SynthesisError(f"nothing was left of {name}: has it outputs?")
