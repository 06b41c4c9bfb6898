"""The accuracy figures, on a random model and, where it is in the cache, on the real one."""

import numpy as np
import pytest

from neardecode.config import Compute
from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.accuracy import Accuracy, measure_accuracy, shipped_text
from neardecode_testbench.reference.decoder import Decoder, KvCache
from neardecode_testbench.reference.gguf_model import GgufFile, ModelError, read_shape, read_weights
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState
from neardecode_testbench.reference.integer.weights import (
    float_weights,
    integer_weights,
    read_integer_weights,
)
from neardecode_testbench.reference.models import locate
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.scorers import FloatScorer
from neardecode_testbench.reference.tokenizer import GgufTokenizer

TOKENS = [3, 250, 17, 17, 99, 4, 128, 7, 64, 200]


@pytest.fixture(scope="module")
def small():
    shape, weights = random_model(2, width=64, heads=2, kv_heads=1, head_size=32, ffn=96)
    return IntegerDecoder(shape, integer_weights(weights, BlockFormat.Q8_0), Compute())


def log_probability(logits, token):
    return logits[token] - np.log(np.exp(np.asarray(logits, np.float64)).sum())


def test_losses_and_argmaxes_are_those_of_both_decoders_window_by_window(small):
    weights = float_weights(small.weights)
    done = []
    found = measure_accuracy(small, weights, TOKENS, 4, done.append)
    assert found.predictions == len(TOKENS) - 1 == done[-1]
    assert done == [4, 8, 9]
    real, integer, same = [], [], []
    for start in range(0, 9, 4):
        float_state, scorer = KvCache(small.shape), FloatScorer(small.shape)
        decoder, state = Decoder(small.shape, weights), IntegerState(small.shape)
        for position, at in enumerate(range(start, min(start + 4, 9))):
            expected = decoder.forward(TOKENS[at], position, float_state, scorer)
            sums = small.logits(small.forward([TOKENS[at]], state), state)[0]
            real.append(-log_probability(expected, TOKENS[at + 1]))
            integer.append(-log_probability(sums * 2.0**-20, TOKENS[at + 1]))
            same.append(expected.argmax() == sums.argmax())
    np.testing.assert_allclose(found.float_losses, real, atol=1e-4)
    np.testing.assert_allclose(found.integer_losses, integer, atol=1e-9)
    assert found.same.tolist() == same


def test_figures_follow_from_the_losses():
    found = Accuracy(np.log([2.0, 8.0]), np.log([2.0, 32.0]), np.array([True, False, True, True]))
    assert found.float_perplexity == pytest.approx(4.0)
    assert found.integer_perplexity == pytest.approx(8.0)
    assert found.ratio == pytest.approx(2.0)
    # Differences of 0 and log 4 deviate by log 2 from their mean; of two, an error of log 2 / √2.
    assert found.ratio_error == pytest.approx(2.0 * np.log(2) / np.sqrt(2))
    assert found.agreement == 0.75
    assert found.agreement_error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_saturations_of_every_window_are_counted(small):
    narrow = Compute(accumulator_bits=24, fraction_bits=18, blocks_a_row=8, rows=64)
    decoder = IntegerDecoder(small.shape, small.weights, narrow)
    one = measure_accuracy(decoder, float_weights(small.weights), TOKENS[:5], 4)
    two = measure_accuracy(decoder, float_weights(small.weights), [*TOKENS[:5], *TOKENS[1:5]], 4)
    assert sum(two.saturations.values()) > sum(one.saturations.values()) > 0
    assert not sum(
        measure_accuracy(small, float_weights(small.weights), TOKENS, 9).saturations.values()
    )


@pytest.mark.parametrize(
    ("tokens", "window", "message"),
    [
        ([1], 4, "tokens must be at least 2, not 1"),
        ([1, 2], 0, "window must be 1 to 64, not 0"),
        ([1, 2], 65, "window must be 1 to 64, not 65"),
    ],
)
def test_refuses_too_little_text_and_a_wrong_window(small, tokens, window, message):
    with pytest.raises(ValueError, match=message):
        measure_accuracy(small, float_weights(small.weights), tokens, window)


@pytest.fixture(scope="module")
def smollm2():
    try:
        return GgufFile(locate("smollm2-135m"))
    except ModelError as error:
        pytest.skip(str(error))


def test_the_shipped_text_is_prose_of_at_least_8192_tokens(smollm2):
    text = shipped_text()
    assert text.startswith("INTRODUCTION\n\nThe Workshop on Electronic Texts")
    assert len(GgufTokenizer(smollm2).encode(text)) > 8192


def test_smollm2_stays_near_float_on_the_shipped_text(smollm2):
    shape = read_shape(smollm2)
    decoder = IntegerDecoder(shape, read_integer_weights(smollm2, shape))
    tokens = GgufTokenizer(smollm2).encode(shipped_text())[:33]
    found = measure_accuracy(decoder, read_weights(smollm2, shape), tokens, 32)
    assert found.agreement >= 30 / 32
    assert np.abs(found.integer_losses - found.float_losses).max() < 0.5
    assert found.float_perplexity < 200
    assert not sum(found.saturations.values())
