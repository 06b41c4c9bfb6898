"""How far the integer decoder is from the float32 one, on a text."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neardecode_testbench.reference.gguf_model import Weights
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState
from neardecode_testbench.reference.teacher import forward_all

__all__ = ["SHIPPED_TEXT", "Accuracy", "measure_accuracy", "shipped_text"]

SHIPPED_TEXT = "workshop.txt"
CHUNK_TOKENS = 128
"""Tokens that go through the integer decoder at once, and whose logits are in memory."""


@dataclass
class Accuracy:
    """Two decoders on the same tokens; every one is a prediction of the next.

    Errors are one standard error, of predictions taken as independent; those of a ratio are of
    paired differences.
    """

    float_losses: NDArray[np.float64]  # (predictions,), -log of the next token's probability
    integer_losses: NDArray[np.float64]  # (predictions,)
    same: NDArray[np.bool_]  # (predictions,), whether both find the same token likeliest
    saturations: Counter[str] = field(default_factory=Counter)
    """Values that the integer decoder clamped, by the name of the step."""

    @property
    def predictions(self) -> int:
        """Predictions that were compared."""
        return len(self.same)

    @property
    def float_perplexity(self) -> float:
        """exp of the float decoder's mean loss."""
        return float(np.exp(self.float_losses.mean()))

    @property
    def integer_perplexity(self) -> float:
        """exp of the integer decoder's mean loss."""
        return float(np.exp(self.integer_losses.mean()))

    @property
    def ratio(self) -> float:
        """Integer over float perplexity."""
        return float(np.exp((self.integer_losses - self.float_losses).mean()))

    @property
    def ratio_error(self) -> float:
        """One standard error of the ratio."""
        return self.ratio * _error(self.integer_losses - self.float_losses)

    @property
    def agreement(self) -> float:
        """Share of predictions whose likeliest token is the same."""
        return float(self.same.mean())

    @property
    def agreement_error(self) -> float:
        """One standard error of the agreement."""
        return _error(self.same.astype(np.float64))


def _error(samples: NDArray[np.float64]) -> float:
    return float(samples.std() / np.sqrt(len(samples)))


def shipped_text() -> str:
    """The text that the package ships; its README says where it is from."""
    folder = files("neardecode_testbench.reference") / "text"
    return (folder / SHIPPED_TEXT).read_text("ascii")


def measure_accuracy(
    decoder: IntegerDecoder,
    weights: Weights,
    tokens: Sequence[int],
    window: int,
    on_progress: Callable[[int], None] | None = None,
) -> Accuracy:
    """Both decoders over a text, each window of it a sequence of its own.

    Parameters:
        decoder: the integer decoder.
        weights: the same model's weights in float32.
        tokens: ids, of which all but the last are fed and all but the first predicted.
        window: most tokens of a sequence.
        on_progress: called with how many predictions are done.

    Raises:
        ValueError: if there are fewer than two tokens or the window is not 1 to the context.
    """
    if len(tokens) < 2:
        raise ValueError(f"tokens must be at least 2, not {len(tokens)}")
    if not 1 <= window <= decoder.shape.context:
        raise ValueError(f"window must be 1 to {decoder.shape.context}, not {window!r}")
    found: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]] = []
    saturations: Counter[str] = Counter()
    scale = 2.0**-decoder.accumulator.fraction_bits
    done = 0
    for start in range(0, len(tokens) - 1, window):
        stop = min(start + window, len(tokens) - 1)
        fed, expected = tokens[start:stop], np.asarray(tokens[start + 1 : stop + 1])
        normed = forward_all(decoder.shape, weights, fed)  # (tokens, width)
        state = IntegerState(decoder.shape)
        for first in range(0, len(fed), CHUNK_TOKENS):
            some = slice(first, first + CHUNK_TOKENS)
            real = (normed[some] @ weights.output.T).astype(np.float64)
            sums = decoder.logits(decoder.forward(fed[some], state), state)
            same = real.argmax(axis=-1) == sums.argmax(axis=-1)
            found.append(
                (_losses(real, expected[some]), _losses(sums * scale, expected[some]), same)
            )
            done += len(same)
            if on_progress is not None:
                on_progress(done)
        saturations += state.saturations
    real, integer, same = (np.concatenate(part) for part in zip(*found, strict=True))
    return Accuracy(real, integer, same, saturations)


def _losses(logits: NDArray[Any], expected: NDArray[np.int64]) -> NDArray[np.float64]:
    """-log of the probability of each expected token, from (tokens, vocabulary)."""
    peaks = logits.max(axis=-1)
    sums = np.exp(logits - peaks[:, np.newaxis]).sum(axis=-1)
    return np.log(sums) + peaks - logits[np.arange(len(expected)), expected]
