"""Commands for a MAC slice as payloads, and what must come of them."""

from dataclasses import dataclass, field
from math import gcd

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
from neardecode.config import Config, PageLayout
from neardecode.lib.page import PageBeat, PageRequest
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.rows import integer_products
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.reference.sums import Probabilities, SumFormat, Sums, integer_sums
from neardecode_testbench.reference.weights import WeightBlocks
from neardecode_testbench.scenarios.blocks.mac_numbers import Job, JobNumbers, Magnitudes
from neardecode_testbench.scenarios.blocks.mac_pages import JobPages, job_pages
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["JobStimulus", "SliceStimulus"]


@dataclass
class JobStimulus:
    """One job's payloads, and what must come of them.

    Attributes:
        found: What the slice reads.
        The others: Payloads of each stream, and counts.
    """

    # An array says of each element whether it is equal; the beats that it becomes are compared.
    found: JobPages = field(compare=False)
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
        self._numbers = JobNumbers(compute, random, magnitudes)
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
        tag = int(random.integers(1 << 16))
        query = self._numbers.query(job)  # (vectors, blocks)
        weights = self._numbers.weights(job, query)
        found = job_pages(job, weights, config.flash, random)
        layout, stored, rows = found.layout, found.stored, found.rows

        probabilities, sums, results, saturated = [], [], [], 0
        if job.sums:
            probabilities, sums, saturated = self._accumulate(job, stored, rows, found.pages, tag)
        else:
            scores = integer_products(stored, query, self._accumulator)
            saturated = int(scores.saturated[:, rows].sum())
            results = [
                self._result.pack(
                    {
                        "values": scores.values[:, row],
                        "row": row,
                        "saturated": _mask(scores.saturated[:, row]),
                        "error": error,
                        "tag": tag,
                    }
                )
                for row, error in zip(rows, found.errors, strict=True)
            ]
        zero = (stored.elements[rows] == 0).all(axis=-1)
        return JobStimulus(
            found=found,
            command=self._pack_command(job, len(found.pages), tag),
            activations=[] if job.sums else self._pack_vectors(job, query, layout),
            probabilities=probabilities,
            selections=_words(job.selection, len(found.image)) if job.page_rows else [],
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
                for page in found.pages
                for index, content in enumerate(found.image[page].reshape(-1, layout.beat_bytes))
            ],
            requests=[
                self._request.pack(
                    {
                        "address": job.base + page,
                        "pages": 1,
                        "fresh": job.appended and page in found.fresh,
                        "tag": tag,
                    }
                )
                for page in found.pages
            ],
            results=results,
            sums=sums,
            saturated=saturated,
            zero_blocks=int(zero.sum()) - found.missing,
        )

    def _pack_command(self, job: Job, pages: int, tag: int) -> int:
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
        if compute.skip_zeros:
            fields["pages"] = pages if job.gaps else 0
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


def _mask(flags: NDArray[np.bool_]) -> int:
    return sum(int(flag) << index for index, flag in enumerate(flags))


def _words(selection: frozenset[int], pages: int) -> list[int]:
    """A selection in words."""
    bits = sum(1 << page for page in selection)
    words = -(-pages // SELECTION_BITS)
    return [bits >> SELECTION_BITS * word & ((1 << SELECTION_BITS) - 1) for word in range(words)]
