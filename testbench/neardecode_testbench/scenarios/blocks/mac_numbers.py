"""Commands for a MAC slice: their numbers, their payloads, and what must come of them."""

from dataclasses import dataclass, field
from math import gcd
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neardecode.compute.command import (
    SELECTION_BITS,
    ActivationBlock,
    Mode,
    Probability,
    SliceCommand,
    SliceResult,
    SliceSum,
)
from neardecode.config import BLOCK_ELEMENTS, BlockFormat, Config, PageLayout
from neardecode.lib.page import PageBeat, PageRequest
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.rows import integer_products
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.reference.sums import Probabilities, SumFormat, Sums, integer_sums
from neardecode_testbench.reference.weight_pages import (
    blocks_of_pages,
    pack_weights,
    unpack_weights,
    weight_pages,
)
from neardecode_testbench.reference.weights import WeightBlocks, random_blocks
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Job", "JobStimulus", "Magnitudes", "SliceStimulus"]

Magnitudes = Literal["common", "any", "edges"]


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
    invalid: float = 0.0


@dataclass
class JobStimulus:
    """One job's payloads, and what must come of them.

    Attributes:
        pages: The pages that are read, counted from the base.
        rows: The rows that they hold.
        row_ends: For each of them the beat, counted from the command's first, that ends it.
        used: For each page the beat behind its last one of a row.
        image: All pages, (pages, page_bytes).
        vector_blocks: Activation blocks in all.
        The others: Payloads of each stream.
    """

    pages: list[int]
    rows: list[int]
    row_ends: list[int]
    used: list[int]
    command: int
    activations: list[int]
    probabilities: list[int]
    selections: list[int]
    beats: list[int]
    requests: list[int]
    results: list[int]
    sums: list[int]
    saturated: int
    zero_blocks: int
    # An array says of each element whether it is equal; the beats that it becomes are compared.
    image: NDArray[np.uint8] = field(compare=False)


class SliceStimulus:
    """Draws the numbers of jobs, one after another.

    Args:
        config: The slice's configuration.
        address_bits: Of a page.
        random: Where they come from.
        magnitudes: As `SliceRows.magnitudes`.
    """

    def __init__(
        self,
        config: Config,
        address_bits: int,
        random: np.random.Generator,
        magnitudes: Magnitudes,
    ):
        compute = config.compute
        self._config, self._random, self._magnitudes = config, random, magnitudes
        self._command = Packer(SliceCommand(compute, address_bits))
        self._block = Packer(ActivationBlock(compute))
        self._probability = Packer(Probability(compute))
        self._beat = Packer(PageBeat(config.flash.beat_bytes))
        self._request = Packer(PageRequest(address_bits))
        self._result = Packer(SliceResult(compute))
        self._accumulator = AccumulatorFormat(
            compute.accumulator_bits, compute.fraction_bits, compute.blocks_a_row
        )
        self._sum_format = SumFormat(compute.accumulator_bits, compute.fraction_bits, compute.rows)
        self._sums: Sums | None = None
        self._sums_error = False
        if compute.head_elements:
            self._sum = Packer(SliceSum(compute))

    def job(self, job: Job) -> JobStimulus:
        """One job's."""
        config, random = self._config, self._random
        layout = config.flash.layout(job.format)
        tag = int(random.integers(1 << 16))
        every = weight_pages(job.rows, job.blocks, layout, job.page_rows)
        pages = sorted(job.selection) if job.page_rows else list(range(every))
        used = blocks_of_pages(job.blocks, layout, job.page_rows)

        query = self._query(job, layout)  # (vectors, blocks)
        weights = self._weights(job, layout, query)
        # Bytes that belong to no row are noise.
        noise = random.integers(256, size=(every, layout.page_bytes), dtype=np.uint8)
        image = np.where(
            self._covered(job, layout), pack_weights(weights, layout, job.page_rows), noise
        )
        for page in job.bad_pages:
            image[page] = 0
        stored = unpack_weights(image, job.rows, job.blocks, layout, job.page_rows)

        rows, row_ends, touched = [], [], []
        for row in range(job.rows):
            first, last = row * job.blocks, (row + 1) * job.blocks - 1
            mine = range(first // used, last // used + 1)
            if job.page_rows and mine.start not in job.selection:
                continue
            place = pages.index(mine[-1]) * layout.beats + layout.scale_beats
            rows.append(row)
            row_ends.append(place + last % used // layout.blocks_a_beat)
            touched.append(mine)
        ends = {
            page: max((e for e, t in zip(row_ends, touched, strict=True) if page in t), default=0)
            for page in pages
        }
        element_end = layout.scale_beats + layout.element_beats
        page_used = [
            min(ends[page] - index * layout.beats + 1, element_end)
            for index, page in enumerate(pages)
        ]

        probabilities, sums, results, saturated = [], [], [], 0
        if job.sums:
            probabilities, sums, saturated = self._accumulate(job, stored, rows, pages, tag)
        else:
            scores = integer_products(stored, query, self._accumulator)
            saturated = int(scores.saturated[:, rows].sum())
            results = [
                self._result.pack(
                    {
                        "values": scores.values[:, row],
                        "row": row,
                        "saturated": _mask(scores.saturated[:, row]),
                        "error": any(page in job.bad_pages for page in mine),
                        "tag": tag,
                    }
                )
                for row, mine in zip(rows, touched, strict=True)
            ]
        last_pages = touched_by(job, job.rows - 1, used)
        zero = (stored.elements[rows] == 0).all(axis=-1)
        return JobStimulus(
            pages=pages,
            rows=rows,
            row_ends=row_ends,
            used=page_used,
            command=self._pack_command(job, tag),
            activations=[] if job.sums else self._pack_vectors(job, query, layout),
            probabilities=probabilities,
            selections=_words(job.selection, every) if job.page_rows else [],
            beats=[
                self._beat.pack(
                    {
                        "data": int.from_bytes(content.tobytes(), "little"),
                        "first": index == 0,
                        "last": index == layout.beats - 1,
                        "error": page in job.bad_pages,
                        "tag": tag,
                    }
                )
                for page in pages
                for index, content in enumerate(image[page].reshape(-1, layout.beat_bytes))
            ],
            requests=[
                self._request.pack(
                    {
                        "address": job.base + page,
                        "pages": 1,
                        "fresh": job.appended and page in last_pages,
                        "tag": tag,
                    }
                )
                for page in pages
            ],
            results=results,
            sums=sums,
            saturated=saturated,
            zero_blocks=int(zero.sum()),
            image=image,
        )

    def _pack_command(self, job: Job, tag: int) -> int:
        compute = self._config.compute
        mode = Mode.ACCUMULATE if job.sums else Mode.DOT
        fields = {
            "mode": mode.value,
            "format": job.format.value,
            "base": job.base,
            "rows": job.rows,
            "blocks": job.blocks,
            "appended": job.appended,
            "tag": tag,
        }
        if compute.selection:
            fields["page_rows"] = job.page_rows
        if compute.head_elements:
            fields |= {
                "keep": job.keep,
                "deliver": job.sums and job.deliver,
                "rescale": job.rescale or [0] * compute.vectors,
            }
        return self._command.pack(fields)

    def _pack_vectors(self, job: Job, query: BlockVector, layout: PageLayout) -> list[int]:
        """Every vector as often as it takes to fill whole beats."""
        times = layout.blocks_a_beat // gcd(job.blocks, layout.blocks_a_beat)
        return [
            self._block.pack(
                {
                    "elements": query.elements[vector, block % job.blocks],
                    "exponent": query.exponents[vector, block % job.blocks],
                    "last": block == times * job.blocks - 1,
                }
            )
            for vector in range(self._config.compute.vectors)
            for block in range(times * job.blocks)
        ]

    def _accumulate(
        self, job: Job, stored: WeightBlocks, rows: list[int], pages: list[int], tag: int
    ) -> tuple[list[int], list[int], int]:
        """The probabilities of a job that accumulates, and the sums that it gives out."""
        compute, random = self._config.compute, self._random
        vectors, bits = compute.vectors, compute.activation_bits - 1
        mantissas = random.integers(1 << bits, size=(len(rows), vectors))
        ends = random.random(mantissas.shape)
        mantissas = np.where(ends < 0.1, (1 << bits) - 1, np.where(ends > 0.9, 0, mantissas))
        exponents = random.integers(100, 130, size=mantissas.shape)
        if self._magnitudes != "common":
            exponents = np.where(ends > 0.5, random.integers(256, size=ends.shape), exponents)
        probabilities = Probabilities(mantissas, exponents.astype(np.uint8), bits)
        kept = self._sums if job.keep else None
        self._sums_error = any(page in job.bad_pages for page in pages) or (
            kept is not None and self._sums_error
        )
        rescale = np.array(job.rescale or [0] * vectors)
        self._sums = sums = integer_sums(
            stored[rows], probabilities, self._sum_format, kept, rescale
        )
        width = self._probability.bits
        packed = [
            sum(
                self._probability.pack({"mantissa": mantissa, "exponent": exponent})
                << vector * width
                for vector, (mantissa, exponent) in enumerate(zip(*row, strict=True))
            )
            for row in zip(mantissas, exponents, strict=True)
        ]
        if not job.deliver:
            return packed, [], 0
        given = [
            self._sum.pack(
                {
                    "values": sums.values[:, element],
                    "element": element,
                    "saturated": _mask(sums.saturated),
                    "error": self._sums_error,
                    "tag": tag,
                }
            )
            for element in range(sums.values.shape[1])
        ]
        return packed, given, int(sums.saturated.sum())

    def _covered(self, job: Job, layout: PageLayout) -> NDArray[np.bool_]:
        """The bytes that belong to rows, (pages, page_bytes)."""
        format_ = layout.format
        used = blocks_of_pages(job.blocks, layout, job.page_rows)
        pages = weight_pages(job.rows, job.blocks, layout, job.page_rows)
        left = job.rows * job.blocks - np.arange(pages) * used
        here = left.clip(0, used)[:, np.newaxis]  # (pages, 1)
        byte = np.arange(layout.page_bytes)
        start = layout.scale_beats * layout.beat_bytes
        is_scale = byte < here * format_.scale_bytes
        return is_scale | ((byte >= start) & (byte < start + here * format_.element_bytes))

    def _query(self, job: Job, layout: PageLayout) -> BlockVector:
        """Activations, (vectors, blocks)."""
        compute, random = self._config.compute, self._random
        bits, shape = compute.activation_bits, (compute.vectors, job.blocks)
        high = 1 << (bits - 1)
        elements = random.integers(-high, high, (*shape, BLOCK_ELEMENTS))
        exponents = random.integers(90, 165, shape)
        if layout.format.scale_bytes > 1:
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

    def _weights(self, job: Job, layout: PageLayout, query: BlockVector) -> WeightBlocks:
        """Rows of weights, (rows, blocks)."""
        compute, random = self._config.compute, self._random
        bits = compute.activation_bits
        shape = (job.rows, job.blocks)
        weights = random_blocks(job.format, shape, random)
        elements, scales = weights.elements.copy(), weights.scales.copy()
        lanes_bits = 8 if layout.format.element_bits == 8 else 5
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
        elements[random.random(shape) < job.sparse] = 0
        minimums = weights.minimums
        if job.invalid and scales.dtype == np.uint16:
            scales[random.random(shape) < job.invalid] = random.choice((0x7C00, 0xFE01))
            if minimums is not None:
                minimums = minimums.copy()
                minimums[random.random(shape) < job.invalid] = random.choice((0xFC00, 0x7C01))
        return WeightBlocks(job.format, elements, scales, minimums)

    def _edges(self, job: Job, dot_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shifts and products, (rows, blocks); a row has one product that is not zero."""
        term_bits = self._config.compute.term_bits
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


def touched_by(job: Job, row: int, used: int) -> range:
    """The pages that a row touches."""
    return range(row * job.blocks // used, ((row + 1) * job.blocks - 1) // used + 1)


def _mask(flags: NDArray[np.bool_]) -> int:
    return sum(int(flag) << index for index, flag in enumerate(flags))


def _words(selection: frozenset[int], pages: int) -> list[int]:
    """A selection in words."""
    bits = sum(1 << page for page in selection)
    words = -(-pages // SELECTION_BITS)
    return [bits >> SELECTION_BITS * word & ((1 << SELECTION_BITS) - 1) for word in range(words)]
