"""What of a model's matrices a chip has, and how rows of matrices are put together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neardecode.config import BLOCK_ELEMENTS, Config, Operation, Target
from neardecode_testbench.reference.fits import CompileError
from neardecode_testbench.reference.weights import WeightBlocks

__all__ = ["Share", "interleaved", "joined", "rows_of"]


@dataclass(frozen=True)
class Share:
    """What of a matrix is a chip's.

    Attributes:
        chip: Which, from 0.
        chips: Of how many.
        lanes: Rows of a transfer.
        by_heads: Each has its own KV heads and the query heads of theirs.
    """

    chip: int
    chips: int
    lanes: int
    by_heads: bool

    @classmethod
    def of(cls, config: Config, chip: int) -> "Share":
        """A chip's of a configuration with a decoder."""
        assert config.decoder is not None
        by_heads = config.decoder.split == "heads"
        return cls(chip, config.chips, config.decoder.lanes, by_heads)

    def heads(self, heads: int) -> int:
        """Of so many heads those that it attends with."""
        return heads // self.chips if self.by_heads else heads

    def rows(self, weights: WeightBlocks) -> WeightBlocks:
        """Every so many transfers of rows."""
        rows = np.arange(len(weights.scales))
        return rows_of(weights, rows[rows // self.lanes % self.chips == self.chip])

    def blocks(self, blocks: int) -> tuple[int, int]:
        """Of so many blocks the first that is its own, and the first behind."""
        return blocks * self.chip // self.chips, blocks * (self.chip + 1) // self.chips

    def columns(self, weights: WeightBlocks) -> WeightBlocks:
        """Its blocks of every row."""
        these = slice(*self.blocks(weights.blocks))
        minimums = weights.minimums
        return WeightBlocks(
            weights.format,
            weights.elements[:, these],
            weights.scales[:, these],
            None if minimums is None else minimums[:, these],
        )

    def elements(self, weights: WeightBlocks) -> WeightBlocks:
        """The rows of its blocks of what they give."""
        first, end = self.blocks(len(weights.scales) // BLOCK_ELEMENTS)
        return rows_of(weights, np.arange(first * BLOCK_ELEMENTS, end * BLOCK_ELEMENTS))

    def ffn(self, elements: int) -> int:
        """How many those are."""
        first, end = self.blocks(elements // BLOCK_ELEMENTS)
        return (end - first) * BLOCK_ELEMENTS

    def attention(self, matrices: list[WeightBlocks]) -> list[WeightBlocks]:
        """Of keys, values and queries the rows of the heads that it attends with, joined."""
        if self.by_heads:
            matrices = [self.elements(matrix) for matrix in matrices]
        return joined(matrices)

    def first_attended(self, blocks: int) -> int:
        """Of so many blocks of what heads attended to, its first of those that it has."""
        return 0 if self.by_heads else self.blocks(blocks)[0]

    def exchanged(self, matrix: dict[str, int], results: dict[str, int]) -> list[dict[str, int]]:
        """A matrix whose results all chips need: at once where there is one chip."""
        if self.chips == 1:
            kept = {name: results[name] for name in ("target", "first") if name in results}
            return [matrix | kept]
        alone = Target.TOKEN if results["target"] == Target.TOKEN else Target.PARTIAL
        return [
            matrix | {"target": alone},
            {"operation": Operation.EXCHANGE} | results,
        ]


def rows_of(weights: WeightBlocks, rows: NDArray[np.int64]) -> WeightBlocks:
    """Some rows of a matrix, in that order."""
    minimums = weights.minimums
    return WeightBlocks(
        weights.format,
        weights.elements[rows],
        weights.scales[rows],
        None if minimums is None else minimums[rows],
    )


def _stacked(matrices: list[WeightBlocks]) -> WeightBlocks:
    """Rows of matrices of one format, one matrix after the other."""
    minimums = [each.minimums for each in matrices if each.minimums is not None]
    return WeightBlocks(
        matrices[0].format,
        np.concatenate([each.elements for each in matrices]),
        np.concatenate([each.scales for each in matrices]),
        np.concatenate(minimums) if minimums else None,
    )


def joined(matrices: list[WeightBlocks]) -> list[WeightBlocks]:
    """Neighbours of one format become one matrix."""
    found: list[list[WeightBlocks]] = []
    for matrix in matrices:
        if found and found[-1][0].format is matrix.format:
            found[-1].append(matrix)
        else:
            found.append([matrix])
    return [_stacked(each) for each in found]


def interleaved(gate: WeightBlocks, up: WeightBlocks, name: str) -> WeightBlocks:
    """A row of the gate, then the same of up, and so on."""
    if gate.format is not up.format:
        raise CompileError(
            f"{name}: gate is in {gate.format.name} and up in {up.format.name};"
            " they must be in one format"
        )
    rows = len(gate.scales)
    return rows_of(_stacked([gate, up]), np.arange(2 * rows).reshape(2, rows).T.reshape(-1))
