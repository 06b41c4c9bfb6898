"""Values of a window of cycles, from a VCD file."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

__all__ = ["Waves", "WavesError"]

WORD = 64
"""Cycles in a word of packed values."""

_VAR = re.compile(r"\$var\s+\w+\s+(\d+)\s+(\S+)\s+(.*?)(?:\s+\[\d+(?::\d+)?\])?\s+\$end")
_SCOPE = re.compile(r"\$scope\s+\w+\s+(\S+)\s+\$end")


class WavesError(ValueError):
    """A file that is no VCD, or that has not what is asked for."""


class Waves:
    """A VCD file: the settled values just before each rising edge of the clock.

    Parameters:
        path: The file.

    Attributes:
        signals: For each hierarchical name its code in the file and its bits.
        scopes: Every scope.
        gates: Those behind a clock gate, whose enable is beside them.
        cycles: Rising edges; known when values were loaded.

    Raises:
        WavesError: if it is none.
    """

    def __init__(self, path: Path):
        self._path = path
        self.signals: dict[str, tuple[str, int]] = {}
        self.scopes: set[str] = set()
        self.cycles = 0
        self._changes: dict[str, tuple[list[int], list[int]]] = {}
        self._bits: dict[str, np.ndarray] = {}
        with path.open(encoding="utf-8", errors="replace") as file:
            self._read_header(file)

    def _read_header(self, lines: Iterable[str]) -> None:
        scope: list[str] = []
        found: list[tuple[str, str, int]] = []
        for line in lines:
            if (match := _SCOPE.search(line)) is not None:
                scope.append(match[1])
                self.scopes.add(".".join(scope))
            elif "$upscope" in line:
                scope.pop()
            elif (match := _VAR.search(line)) is not None:
                found.append((".".join((*scope, match[3])), match[2], int(match[1])))
            elif "$enddefinitions" in line:
                break
        else:
            raise WavesError(f"{self._path}: is no VCD file")
        self.signals = {name: (code, bits) for name, code, bits in found}
        self.gates = {
            scope.removesuffix(".gate") + ".block"
            for scope in self.scopes
            if scope.endswith(".gate") and f"{scope}.enable" in self.signals
        }

    def load(self, scope: str) -> None:
        """Reads the values of everything below a scope.

        Raises:
            WavesError: if there is no clock in it, or no cycle.
        """
        below = scope + "."
        wanted = {code for name, (code, _) in self.signals.items() if name.startswith(below)}
        clock = self.signals.get(f"{scope}.clk")
        if clock is None:
            raise WavesError(f"{self._path}: {scope} has no clk")
        changes: dict[str, tuple[list[int], list[int]]] = {code: ([], []) for code in wanted}
        rise = f"1{clock[0]}"
        cycle = 0
        for lines in self._instants():
            # What changes with the edge is seen by the next cycle.
            cycle += rise in lines
            for line in lines:
                if line[:1] in ("b", "B"):
                    value, _, code = line[1:].partition(" ")
                else:
                    value, code = line[:1], line[1:]
                kept = changes.get(code)
                if kept is not None and value:
                    number = int(re.sub("[^01]", "0", value), 2)
                    if kept[0] and kept[0][-1] == cycle:
                        kept[1][-1] = number
                    else:
                        kept[0].append(cycle)
                        kept[1].append(number)
        if not cycle:
            raise WavesError(f"{self._path}: has no cycle of {scope}.clk")
        self.cycles, self._changes, self._bits = cycle, changes, {}

    def _instants(self) -> Iterator[list[str]]:
        """The changes of each instant."""
        lines: list[str] = []
        with self._path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if "$enddefinitions" in line:
                    break
            for line in file:
                if line[:1] == "#":
                    yield lines
                    lines = []
                elif line[:1] != "$":
                    lines.append(line.strip())
        yield lines

    def bit(self, name: str) -> np.ndarray | None:
        """A bit of a signal, packed over the cycles; None if the file has it not."""
        place = 0
        if (signal := self.signals.get(name)) is None or signal[1] != 1:
            bare, _, index = name.rpartition("[")
            signal = self.signals.get(bare)
            if signal is None or not index.endswith("]"):
                return None
            place = int(index[:-1])
        code, bits = signal
        if code not in self._changes or place >= bits:
            return None
        if code not in self._bits:
            self._bits[code] = _packed(*self._changes[code], bits, self.cycles)
        return self._bits[code][place]


def _packed(starts: list[int], values: list[int], bits: int, cycles: int) -> np.ndarray:
    """Bits of a signal: (bits, words), a cycle a bit, the first lowest."""
    size = -(-bits // 8)
    # Before its first change a signal is 0.
    starts, values = [0, *starts], [0, *values]
    rows = np.frombuffer(
        b"".join(value.to_bytes(size, "little") for value in values), np.uint8
    ).reshape(-1, size)
    spread = np.unpackbits(rows, axis=1, bitorder="little")[:, :bits]
    lengths = np.diff(np.clip([*starts, cycles], 0, cycles))
    over = np.repeat(spread, lengths, axis=0).T
    packed = np.packbits(over, axis=1, bitorder="little")
    padded = np.zeros((bits, -(-cycles // WORD) * WORD // 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)
