"""What a component costs: gates, macros, cells of a library, cells of an FPGA, and its clock.

A component is divided into units, each synthesised once, and summed over its hierarchy. Between
units nothing is optimised; what is small enough is one unit.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

import neardecode
from neardecode.verilog import to_rtlil
from neardecode_synth import ecp5, timing
from neardecode_synth.gates import Gates, map_to_gates
from neardecode_synth.liberty import Liberty, map_to_cells
from neardecode_synth.memories import Macro
from neardecode_synth.units import Unit, divide
from neardecode_synth.yosys import SynthesisError, kept

__all__ = ["Area", "Block", "Part", "Targets", "measure", "synthesise"]


@dataclass(frozen=True)
class Block:
    """What is to be measured.

    Attributes:
        name: What it is called.
        make: Makes the component; its result depends on ``arguments`` and the sources alone.
        arguments: What tells this component apart from others.
        depth: Levels of its hierarchy that are units of their own.
    """

    name: str
    make: Callable[[], wiring.Component]
    arguments: str
    depth: int = 0


@dataclass(frozen=True)
class Targets:
    """What is measured beside gates.

    Attributes:
        library: Cells of this library, and the longest path if OpenSTA is there.
        fpga: Cells of an ECP5.
    """

    library: Liberty | None = None
    fpga: bool = False


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
        fpga: One instance in an ECP5.
    """

    name: str
    count: int
    gates: Gates
    area_um2: float | None = None
    library_kge: float | None = None
    path: dict[str, Any] | None = None
    fpga: ecp5.Ecp5 | None = None


@dataclass(frozen=True)
class Area:
    """What a component is made of.

    Attributes:
        name: The component's.
        parts: Its units.
        placed: What `ecp5.place` says.
        buffer_bits: Of a router, bits of its buffers.
    """

    name: str
    parts: list[Part]
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
    gates = map_to_gates(divide(to_rtlil(component, "top"), "top", 0).text)
    _refuse_nothing("the component", gates.low_ge)
    return gates


def measure(
    blocks: Sequence[Block],
    targets: Targets,
    places: Sequence[bool],
    workers: int,
    started: Callable[[str], None] = lambda what: None,
) -> list[Area]:
    """Synthesises blocks, side by side.

    Args:
        blocks: What is measured.
        targets: In what.
        places: For each block, whether it is placed and routed in an ECP5.
        workers: Processes at a time.
        started: Told of each block or unit that is begun.

    Raises:
        SynthesisError: if a tool fails, or a block comes to nothing.
    """
    sources = targets.library is not None
    elaborated = [_elaborate(block, sources) for block in blocks]
    divided = [
        divide(one["rtlil"], block.name, block.depth)
        for block, one in zip(blocks, elaborated, strict=True)
    ]
    units = {unit.text: unit for whole in divided for unit, _ in whole.counted()}

    def one(unit: Unit) -> Part:
        started(unit.name)
        gates = map_to_gates(unit.text)
        part: dict[str, Any] = {}
        if targets.library is not None:
            cells = map_to_cells(unit.text, targets.library)
            part |= {"area_um2": cells.area_um2, "library_kge": cells.kge}
            if timing.has_tool():
                part["path"] = timing.longest_path(cells, targets.library)
        if targets.fpga:
            part["fpga"] = ecp5.map_to_ecp5(unit.text)
        return Part(unit.name, 1, gates, **part)

    # Yosys runs in processes; a thread waits for each. Large ones first, so that none is last.
    with ThreadPoolExecutor(workers) as pool:
        largest_first = sorted(units.values(), key=lambda unit: -len(unit.text))
        made = {unit.text: pool.submit(one, unit) for unit in largest_first}
        placed = {
            id(block): pool.submit(ecp5.place, _whole(block))
            for block, wanted in zip(blocks, places, strict=True)
            if wanted
        }
        areas = []
        for block, one_of, whole in zip(blocks, elaborated, divided, strict=True):
            parts = [
                replace(made[unit.text].result(), name=unit.name, count=count)
                for unit, count in whole.counted()
            ]
            place = placed.get(id(block))
            area = Area(block.name, parts, place and place.result(), one_of["buffer_bits"])
            _refuse_nothing(block.name, area.low_ge)
            areas.append(area)
    return areas


def _whole(block: Block) -> str:
    """A block's RTLIL as one unit, without the places of its declarations."""
    return divide(_elaborate(block, False)["rtlil"], block.name, 0).text


def _elaborate(block: Block, sources: bool) -> dict[str, Any]:
    """A block's RTLIL; kept, for the hardware of a chip takes seconds to elaborate."""

    def make() -> dict[str, Any]:
        component = block.make()
        rtlil = to_rtlil(component, block.name, sources=sources)
        return {"rtlil": rtlil, "buffer_bits": getattr(component, "buffer_bits", None)}

    return kept(make, "component", _hardware(), block.name, block.arguments, sources)


@cache
def _hardware() -> str:
    """A digest of all hardware's sources."""
    state = hashlib.sha256()
    for folder in neardecode.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def _refuse_nothing(name: str, gates: float) -> None:
    if not gates > 0:
        raise SynthesisError(f"nothing was left of {name}: has it outputs?")
