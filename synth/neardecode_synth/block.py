"""Components to measure, each elaborated once and kept."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

import neardecode
from neardecode.verilog import to_rtlil
from neardecode_synth.units import Unit, divide
from neardecode_synth.yosys import SynthesisError, is_kept, kept

__all__ = ["Block", "Elaboration", "Elaborator", "divided", "elaborated"]

LARGEST = 4e6
"""Characters of RTLIL of a unit without hierarchy; more takes Yosys many minutes and gigabytes."""


@dataclass(frozen=True)
class Block:
    """What is to be measured.

    Attributes:
        name: What it is called.
        make: Makes the component; its result depends on ``arguments`` and the sources alone. Where
            several blocks are made side by side, another process calls it.
        arguments: What tells this component apart from others.
        depth: Levels of its hierarchy that are units of their own; a unit that is too large is
            divided further.
        fpga: Whether it is placed and routed in an ECP5, as one unit.
    """

    name: str
    make: Callable[[], wiring.Component]
    arguments: str
    depth: int = 0
    fpga: bool = False


@dataclass(frozen=True)
class Elaboration:
    """A component as text.

    Attributes:
        rtlil: Its RTLIL.
        buffer_bits: Of a router, bits of its buffers.
    """

    rtlil: str
    buffer_bits: int | None

    def divided(self, block: Block) -> Unit:
        """Its units."""
        return divide(self.rtlil, block.name, block.depth, largest=LARGEST)


class Elaborator:
    """Elaborates blocks, in processes of its own where there are several to be made.

    Parameters:
        blocks: What will be asked for.
        workers: Processes at a time.
    """

    def __init__(self, blocks: Sequence[Block], workers: int):
        lacking = [block for block in blocks if not is_kept(*_content(block))]
        alone = workers == 1 or len(lacking) < 2
        self._pool = None if alone else ProcessPoolExecutor(workers, get_context("spawn"))

    def __enter__(self) -> "Elaborator":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __call__(self, block: Block) -> Elaboration:
        """A block's elaboration.

        Raises:
            SynthesisError: if it cannot be made.
        """
        if self._pool is None or is_kept(*_content(block)):
            return _elaborate(block)
        return self._pool.submit(_elaborate, block).result()


def divided(block: Block) -> Unit:
    """A block in its units.

    Raises:
        SynthesisError: if it cannot be made.
    """
    return _elaborate(block).divided(block)


def elaborated(component: wiring.Component, name: str) -> str:
    """RTLIL of a component, with the names and the clock gates that its Verilog has."""
    return to_rtlil(component, name, gated=True, sources=True)


def _elaborate(block: Block) -> Elaboration:
    """Kept, for the hardware of a chip takes seconds to elaborate."""

    def make() -> dict[str, Any]:
        try:
            component = block.make()
            rtlil = elaborated(component, block.name)
        except ValueError as error:
            raise SynthesisError(str(error)) from error
        return asdict(Elaboration(rtlil, getattr(component, "buffer_bits", None)))

    return Elaboration(**kept(make, *_content(block)))


def _content(block: Block) -> tuple[str, ...]:
    return "gated component", _hardware(), block.name, block.arguments


@cache
def _hardware() -> str:
    """A digest of all hardware's sources."""
    state = hashlib.sha256()
    for folder in neardecode.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()
