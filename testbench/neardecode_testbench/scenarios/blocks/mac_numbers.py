"""Commands for a MAC slice, and the numbers of their rows and vectors."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neardecode.config import BLOCK_ELEMENTS, BlockFormat, Compute
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.weights import WeightBlocks, random_blocks

__all__ = ["ZERO_PATTERNS", "Job", "JobNumbers", "Magnitudes", "ZeroPattern"]

Magnitudes = Literal["common", "any", "edges"]
ZeroPattern = Literal["blocks", "groups", "rows"]
ZERO_PATTERNS: tuple[ZeroPattern, ...] = get_args(ZeroPattern)
GROUP_BLOCKS = 4


@dataclass(frozen=True)
class Job:
    """A command for a slice.

    Attributes:
        rows, blocks: The command's.
        base: Its first page.
        appended: Its last row was just written.
        bad_pages: Pages, counted from the base, that cannot be read.
        format: Of its rows.
        sums: It accumulates.
        keep, deliver, rescale: The command's, for one that accumulates; a shift a vector.
        page_rows: The command's; 0 where rows straddle pages.
        selection: With ``page_rows``, the pages that are read, counted from the base.
        sparse: Share of blocks that are zero.
        zeros: How they lie: each by itself, in groups of four of a row, or as whole rows.
        gaps: Its pages leave beats of zeros out.
        torn: Pages, counted from the base, whose gaps are gone, or noise where they are odd.
        invalid: Share of fp16 scales, and of minimums, that are an infinity or a NaN.
    """

    rows: int
    blocks: int
    base: int = 0
    appended: bool = False
    bad_pages: frozenset[int] = frozenset()
    format: BlockFormat = BlockFormat.MXINT8
    sums: bool = False
    keep: bool = False
    deliver: bool = True
    rescale: tuple[int, ...] = ()
    page_rows: int = 0
    selection: frozenset[int] = frozenset()
    sparse: float = 0.0
    zeros: ZeroPattern = "blocks"
    gaps: bool = False
    torn: frozenset[int] = frozenset()
    invalid: float = 0.0


class JobNumbers:
    """Draws the numbers of jobs.

    Args:
        compute: The slice's configuration.
        random: Where they come from.
        magnitudes: As `SliceRows.magnitudes`.
    """

    def __init__(self, compute: Compute, random: np.random.Generator, magnitudes: Magnitudes):
        self._compute, self._random, self._magnitudes = compute, random, magnitudes

    def query(self, job: Job) -> BlockVector:
        """Activations, (vectors, blocks)."""
        compute, random = self._compute, self._random
        bits, shape = compute.activation_bits, (compute.vectors, job.blocks)
        high = 1 << (bits - 1)
        elements = random.integers(-high, high, (*shape, BLOCK_ELEMENTS))
        exponents = random.integers(90, 165, shape)
        if job.format.scale_bytes > 1:
            # Scales in fp16 reach over 40 powers of two only; the rest lies with the activations.
            reach = 30 if self._magnitudes == "common" else compute.term_bits + 20
            low = 127 + bits - 2 - compute.fraction_bits
            exponents = low + random.integers(-20, reach - 20, shape)
            if self._magnitudes == "common":
                exponents = low - random.integers(12, 30, shape)
        if self._magnitudes == "any":
            elements[random.random(shape) < 0.3] = -high
            exponents[random.random(shape) < 0.1] = random.choice((0, 255))
        elif self._magnitudes == "edges":
            exponents[:] = 127
            elements[:] = 0
            elements[..., 0] = 1
        return BlockVector(elements.astype(np.int32), exponents.clip(0, 255).astype(np.uint8), bits)

    def weights(self, job: Job, query: BlockVector) -> WeightBlocks:
        """Rows of weights, (rows, blocks)."""
        compute, random = self._compute, self._random
        bits = compute.activation_bits
        shape = (job.rows, job.blocks)
        weights = random_blocks(job.format, shape, random)
        elements, scales = weights.elements.copy(), weights.scales.copy()
        lanes_bits = 8 if job.format.element_bits == 8 else 5
        dot_bits = lanes_bits + bits + 5
        if scales.dtype == np.uint8:
            # A block's dot product, shifted left by this, is its term.
            point = 6 if job.format is BlockFormat.MXINT8 else 1
            unshifted = (127 + point) + (127 + bits - 2) - compute.fraction_bits
            if self._magnitudes == "common":
                shifts = random.integers(-dot_bits, compute.term_bits - dot_bits + 1, shape)
            else:
                shifts = random.integers(-dot_bits - 3, compute.term_bits + 3, shape)
            if self._magnitudes == "edges":
                shifts, products = self._edges(job, dot_bits)
                elements[:] = 0
                elements[..., 0] = products
            near = query.exponents[0].astype(np.int64)
            if job.sums:
                near = np.full(job.blocks, 118)
            exponents = np.clip(unshifted + shifts - near, 0, 255)
            if self._magnitudes == "any":
                ends = random.random(shape)
                exponents = np.where(ends < 0.05, 0, np.where(ends > 0.95, 255, exponents))
            scales = exponents.astype(np.uint8)
        elif self._magnitudes == "any":
            ends = random.random(shape)
            # An infinity, a NaN, the least and the largest number, and minus zero.
            for share, word in (
                (0.01, 0x7C00),
                (0.02, 0xFE01),
                (0.05, 1),
                (0.08, 0xFBFF),
                (0.1, 1 << 15),
            ):
                scales[(ends < share) & (ends >= share - 0.02)] = word
        if self._magnitudes == "any" and job.format in (BlockFormat.MXINT8, BlockFormat.Q8_0):
            # Whole rows of the largest magnitudes.
            signs = random.choice((-128, 127), job.rows)
            extreme = random.random(job.rows) < 0.2
            elements[extreme] = signs[extreme, np.newaxis, np.newaxis]
        drawn = {
            "blocks": shape,
            "groups": (job.rows, -(-job.blocks // GROUP_BLOCKS)),
            "rows": (job.rows, 1),
        }[job.zeros]
        times = -(-job.blocks // drawn[1])
        zero = np.repeat(random.random(drawn) < job.sparse, times, axis=1)[:, : job.blocks]
        elements[zero] = 0
        minimums = weights.minimums
        if job.gaps and minimums is not None:
            minimums = np.where(zero, 0, minimums).astype(np.uint16)
        if job.invalid and scales.dtype == np.uint16:
            scales[random.random(shape) < job.invalid] = random.choice((0x7C00, 0xFE01))
            if minimums is not None:
                minimums = minimums.copy()
                minimums[random.random(shape) < job.invalid] = random.choice((0xFC00, 0x7C01))
        return WeightBlocks(job.format, elements, scales, minimums)

    def _edges(self, job: Job, dot_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shifts and products, (rows, blocks); a row has one product that is not zero."""
        term_bits = self._compute.term_bits
        cases = [
            (shift, product)
            for shift in (
                *(-255, -dot_bits - 1, -dot_bits, -dot_bits + 1, -7, -6, -1, 0, 1),
                *(term_bits - 8, term_bits - 7, term_bits - 2, term_bits - 1, term_bits),
                *(term_bits + 1, 255),
            )
            for product in (0, 1, -1, 127, -128)
        ]
        shifts = np.zeros((job.rows, job.blocks), np.int64)
        products = np.zeros((job.rows, job.blocks), np.int64)
        for row in range(job.rows):
            shift, product = cases[row % len(cases)]
            shifts[row] = shift
            products[row, row // len(cases) % job.blocks] = product
        return shifts, products
