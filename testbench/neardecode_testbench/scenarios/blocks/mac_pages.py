"""The pages of a MAC slice's commands: what lies where, and what a slice reads of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Flash, PageLayout
from neardecode_testbench.reference.gap_pages import pack_gaps, unpack_gaps
from neardecode_testbench.reference.weight_pages import (
    blocks_of_pages,
    pack_weights,
    unpack_weights,
    weight_pages,
)
from neardecode_testbench.reference.weights import WeightBlocks
from neardecode_testbench.scenarios.blocks.mac_numbers import Job

__all__ = ["JobPages", "job_pages"]


@dataclass(frozen=True)
class JobPages:
    """The pages of a command.

    Attributes:
        layout: Of each.
        image: All of them, (pages, page_bytes).
        pages: Those that are read, counted from the base.
        rows: The rows that they hold.
        row_ends: For each of them the beat, counted from the command's first, that ends it; none
            where the pages end before it.
        used: For each page that is read the beat behind its last one of a row.
        fresh: Pages that are asked for afresh where the last row was appended.
        errors: For each row whether it is in error.
        stored: (every row, blocks), as they are read.
        missing: Blocks that no page holds.
        left_out: Blocks that the pages leave out.
    """

    layout: PageLayout
    image: NDArray[np.uint8]
    pages: list[int]
    rows: list[int]
    row_ends: list[int]
    used: list[int]
    fresh: range
    errors: list[bool]
    stored: WeightBlocks
    missing: int = 0
    left_out: int = 0


def job_pages(
    job: Job, weights: WeightBlocks, flash: Flash, random: np.random.Generator
) -> JobPages:
    """Those of a job; bytes that belong to no row are noise, pages that cannot be read zeros.

    Parameters:
        job: The job.
        weights: Its rows.
        flash: Of the slice's configuration.
        random: Where the noise comes from.
    """
    if job.gaps:
        return _gap_pages(job, weights, flash.layout(job.format, gaps=True), random)
    return _straight_pages(job, weights, flash.layout(job.format), random)


def _straight_pages(
    job: Job, weights: WeightBlocks, layout: PageLayout, random: np.random.Generator
) -> JobPages:
    every = weight_pages(job.rows, job.blocks, layout, job.page_rows)
    pages = sorted(job.selection) if job.page_rows else list(range(every))
    used = blocks_of_pages(job.blocks, layout, job.page_rows)
    left = job.rows * job.blocks - np.arange(every) * used
    image = _with_noise(
        pack_weights(weights, layout, job.page_rows), left.clip(0, used), job, layout, random
    )
    rows, row_ends, touched = [], [], []
    for row in range(job.rows):
        last = (row + 1) * job.blocks - 1
        mine = range(row * job.blocks // used, last // used + 1)
        if job.page_rows and mine.start not in job.selection:
            continue
        place = pages.index(mine[-1]) * layout.beats + layout.head_beats
        rows.append(row)
        row_ends.append(place + last % used // layout.blocks_a_beat)
        touched.append(mine)
    ends = {
        page: max((e for e, t in zip(row_ends, touched, strict=True) if page in t), default=0)
        for page in pages
    }
    element_end = layout.head_beats + layout.element_beats
    last_row = (job.rows - 1) * job.blocks
    return JobPages(
        layout=layout,
        image=image,
        pages=pages,
        rows=rows,
        row_ends=row_ends,
        used=[
            min(ends[page] - index * layout.beats + 1, element_end)
            for index, page in enumerate(pages)
        ],
        fresh=range(last_row // used, (last_row + job.blocks - 1) // used + 1),
        errors=[any(page in job.bad_pages for page in mine) for mine in touched],
        stored=unpack_weights(image, job.rows, job.blocks, layout, job.page_rows),
    )


def _gap_pages(
    job: Job, weights: WeightBlocks, layout: PageLayout, random: np.random.Generator
) -> JobPages:
    packed = pack_gaps(weights, layout)
    written = unpack_gaps(packed, job.rows, job.blocks, layout).beats
    left = (written - np.arange(len(packed)) * layout.element_beats) * layout.blocks_a_beat
    image = _with_noise(packed, left.clip(0, layout.blocks), job, layout, random)
    read = unpack_gaps(image, job.rows, job.blocks, layout, job.bad_pages)
    held = read.ends[read.ends >= 0]
    page, beat = held // layout.element_beats, held % layout.element_beats
    beats = read.beats - np.arange(len(image)) * layout.element_beats
    return JobPages(
        layout=layout,
        image=image,
        pages=list(range(len(image))),
        rows=list(range(job.rows)),
        row_ends=(page * layout.beats + layout.head_beats + beat).tolist(),
        used=(layout.head_beats + beats.clip(0, layout.element_beats)).tolist(),
        fresh=range(0),
        errors=[row >= read.broken for row in range(job.rows)],
        stored=read.blocks,
        missing=read.missing,
        left_out=read.left_out,
    )


def _with_noise(
    image: NDArray[np.uint8],
    blocks: NDArray[np.int64],
    job: Job,
    layout: PageLayout,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    """An image of pages with so many blocks each, (pages,), as a slice finds it."""
    format_, here = layout.format, blocks[:, np.newaxis]
    byte = np.arange(layout.page_bytes)

    def part(start: int, size: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(pages, page_bytes), of a part from a beat on."""
        return (byte >= start * layout.beat_bytes) & (byte < start * layout.beat_bytes + size)

    covered = part(layout.gap_beats, here * format_.scale_bytes)
    covered |= part(layout.head_beats, here * format_.element_bytes)
    if layout.gap_beats:
        covered |= part(0, -(-here // layout.blocks_a_beat))
    noise = random.integers(256, size=image.shape, dtype=np.uint8)
    found = np.where(covered, image, noise)
    for page in job.torn:
        found[page, : layout.element_beats] = noise[page, : layout.element_beats] % 16 * (page % 2)
    for page in job.bad_pages:
        found[page] = 0
    return found
