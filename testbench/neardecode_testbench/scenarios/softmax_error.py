"""Softmax of real score rows: how far it is from float64, and what its hardware does with them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Config
from neardecode_testbench.devices.softmax_bench import SoftmaxBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.reference.arithmetic.rotation import query_scale
from neardecode_testbench.reference.arithmetic.softmax import (
    SoftmaxFormat,
    scores_of,
    softmax_row,
)
from neardecode_testbench.reference.decoder import Decoder, KvCache
from neardecode_testbench.reference.gguf_model import ModelShape
from neardecode_testbench.reference.scorers import FloatScorer
from neardecode_testbench.scenarios.blocks.softmax import SoftmaxRows, SoftmaxTile

__all__ = ["SoftmaxMeasure", "measure_rows", "real_rows"]


class SoftmaxMeasure(NamedTuple):
    """Softmax over rows of one length.

    Attributes:
        rows: How many.
        tokens: Scores of a row.
        largest: The largest sum of absolute errors of a row, a share of 1.
        mean: The mean one.
        cycles: From a row's first score to its partial, all rows.
        counts: The hardware's cycles by cause.
        saturated: Scores that were clamped.
    """

    rows: int
    tokens: int
    largest: float
    mean: float
    cycles: int
    counts: dict[str, int]
    saturated: int


class _KeptScores(FloatScorer):
    """Scores in float32, the latest of each layer kept."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__(shape)
        self.latest: dict[int, NDArray[np.float32]] = {}

    def scores(
        self, layer: int, queries: NDArray[np.float32], key: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As ``AttentionScorer.scores``."""
        self.latest[layer] = super().scores(layer, queries, key)
        return self.latest[layer]


def real_rows(
    decoder: Decoder,
    tokens: Sequence[int],
    lengths: Sequence[int],
    on_token: Callable[[int], None] | None = None,
) -> dict[int, NDArray[np.float64]]:
    """The scores of every head of every layer, at tokens whose rows have given lengths.

    Args:
        decoder: The float32 model.
        tokens: Ids, as many as the longest row at least.
        lengths: Of rows.
        on_token: Called after each token with how many are done.

    Returns:
        For each length (layers * heads, length), in powers of two.
    """
    scorer, state = _KeptScores(decoder.shape), KvCache(decoder.shape)
    rows = {}
    for position in range(max(lengths)):
        decoder.forward(tokens[position], position, state, scorer, logits=False)
        if position + 1 in lengths:
            scores = np.concatenate([scorer.latest[layer] for layer in sorted(scorer.latest)])
            rows[position + 1] = scores.astype(np.float64) * query_scale(decoder.shape.head_size)
        if on_token is not None:
            on_token(position + 1)
    return rows


def measure_rows(config: Config, rows: NDArray[np.float64], backend: Backend) -> SoftmaxMeasure:
    """Runs rows through the hardware, checks every value and cycle, and measures the error.

    Args:
        config: A configuration.
        rows: (rows, tokens), in powers of two.
        backend: The simulator.
    """
    compute, vector = config.compute, config.vector
    accumulators = np.rint(np.ldexp(rows, compute.fraction_bits)).astype(np.int64)
    scores = scores_of(accumulators, compute.fraction_bits, vector)
    form = SoftmaxFormat(compute.activation_bits, vector)
    found = softmax_row(scores.values, vector.tile_rows, form)
    powers = np.exp2(rows - rows.max(axis=-1, keepdims=True))
    errors = np.abs(found - powers / powers.sum(axis=-1, keepdims=True)).sum(axis=-1)

    count, tokens = rows.shape
    starts = range(0, tokens, vector.tile_rows)
    tiles = [
        SoftmaxTile(row[first : first + vector.tile_rows].tolist(), first == 0, first == starts[-1])
        for row in accumulators
        for first in starts
    ]
    run = simulate(Design(SoftmaxBench, (config,)), SoftmaxRows(config, tiles), backend)
    return SoftmaxMeasure(
        count,
        tokens,
        float(errors.max()),
        float(errors.mean()),
        run.taken["partials"][-1] + 1 - run.taken["scores"][0],
        run.counts,
        int(scores.saturated.sum()),
    )
