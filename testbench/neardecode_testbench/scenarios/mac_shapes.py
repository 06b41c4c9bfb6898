"""What a MAC slice has to do for a layer of a real model.

Source: the sizes are those of the models' published configurations: SmolLM2-135M, Llama 2 7B and
Llama 2 70B.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from neardecode.config import BLOCK_ELEMENTS, BlockFormat, Config
from neardecode_testbench.scenarios.blocks.mac_numbers import Job, ZeroPattern

__all__ = [
    "MODES",
    "PATTERNS",
    "SHAPES",
    "LayerShape",
    "LoadMode",
    "LoadPattern",
    "layer_jobs",
    "slice_config",
]

LoadMode = Literal["dot", "accumulate", "attention"]
MODES: tuple[LoadMode, ...] = get_args(LoadMode)
LoadPattern = Literal["dense", "random-pages"]
PATTERNS: tuple[LoadPattern, ...] = get_args(LoadPattern)
HEADS = 4
"""KV heads whose caches are read one after another."""


@dataclass(frozen=True)
class LayerShape:
    """Sizes of a layer of a Llama-architecture model."""

    width: int
    heads: int
    kv_heads: int
    head_size: int
    ffn: int

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each matrix."""
        query, key = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "query": (query, self.width),
            "key": (key, self.width),
            "value": (key, self.width),
            "output": (self.width, query),
            "gate": (self.ffn, self.width),
            "up": (self.ffn, self.width),
            "down": (self.width, self.ffn),
        }


SHAPES = {
    "smollm2": LayerShape(576, 9, 3, 64, 1536),
    "llama-7b": LayerShape(4096, 32, 32, 128, 11008),
    "llama-70b": LayerShape(8192, 64, 8, 128, 28672),
}
"""Models by their names here."""


def slice_config(
    config: Config,
    mode: LoadMode,
    block_format: BlockFormat,
    shape: LayerShape,
    vectors: int,
    pattern: LoadPattern,
    *,
    skip_zeros: bool = False,
) -> Config:
    """A configuration whose slices do one kind of work, and nothing else.

    Raises:
        pydantic.ValidationError: if it does not fit together.
    """
    formats = (block_format.name,) if mode == "dot" else ("MXINT8",)
    tables = config.model_dump()
    compute = {
        **tables["compute"],
        "formats": formats,
        "vectors": vectors,
        "head_elements": 0 if mode == "dot" else shape.head_size,
        "selection": pattern == "random-pages",
        "skip_zeros": skip_zeros,
    }
    flash = {**tables["flash"], "host": None, "repair": None, "ecc": None}
    # The widest flit: the slice stands alone, and nothing else sees its results.
    fabric = {**tables["fabric"], "payload_bits": 512}
    return Config.model_validate({**tables, "compute": compute, "flash": flash, "fabric": fabric})


def layer_jobs(
    config: Config,
    mode: LoadMode,
    block_format: BlockFormat,
    shape: LayerShape,
    rows: int,
    pattern: LoadPattern = "dense",
    share: float = 0.25,
    zero_blocks: float = 0.0,
    zeros: ZeroPattern = "blocks",
    seed: int = 1,
) -> tuple[Job, ...]:
    """The commands of one slice for a layer.

    Parameters:
        config: Of `slice_config`.
        mode: ``dot`` for the matrices of the layer, each slice having its share of the rows of
            each; ``accumulate`` for the values of some KV heads; ``attention`` for their keys and
            values in turn.
        block_format: Of the matrices.
        shape: The layer's.
        rows: Most rows of a matrix, and tokens of a KV head.
        pattern: Whether all pages of keys and values are read.
        share: Of them that are, where they are drawn.
        zero_blocks: Share of the matrices' blocks that are zero.
        zeros: How they lie.
        seed: Of the pages drawn.
    """
    jobs: list[Job] = []
    if mode == "dot":
        jobs = [
            Job(
                min(rows, -(-count // config.flash.channels)),
                columns // BLOCK_ELEMENTS,
                format=block_format,
                sparse=zero_blocks,
                zeros=zeros,
                gaps=config.compute.skip_zeros,
            )
            for count, columns in shape.matrices.values()
        ]
    else:
        blocks = shape.head_size // BLOCK_ELEMENTS
        for _ in range(HEADS):
            if mode == "attention":
                jobs.append(Job(rows, blocks))
            jobs.append(Job(rows, blocks, sums=True))
        if pattern == "random-pages":
            random = np.random.default_rng(seed)
            page_rows = config.kv_layout.blocks // blocks
            pages = -(-rows // page_rows)
            drawn = [
                random.choice(pages, max(1, round(share * pages)), replace=False).tolist()
                for _ in jobs
            ]
            jobs = [
                replace(job, page_rows=page_rows, selection=frozenset(chosen))
                for job, chosen in zip(jobs, drawn, strict=True)
            ]
    return tuple(jobs)
