"""The first real model against an independent implementation, where it is in the cache."""

import json
from pathlib import Path

import numpy as np
import pytest

from neardecode_testbench.reference.decoder import Decoder, KvCache, generate
from neardecode_testbench.reference.gguf_model import GgufFile, ModelError, read_shape, read_weights
from neardecode_testbench.reference.models import locate
from neardecode_testbench.reference.scorers import FloatScorer, IntegerScorer
from neardecode_testbench.reference.scores import AccumulatorFormat
from neardecode_testbench.reference.tokenizer import GgufTokenizer

STORED = json.loads((Path(__file__).parent / "smollm2_logits.json").read_text("utf-8"))
PROMPTS = pytest.mark.parametrize("stored", STORED["prompts"], ids=["text", "chat", "code"])


@pytest.fixture(scope="module")
def file() -> GgufFile:
    try:
        return GgufFile(locate("smollm2-135m"))
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def decoder(file) -> Decoder:
    shape = read_shape(file)
    return Decoder(shape, read_weights(file, shape))


@pytest.fixture(scope="module")
def tokenizer(file) -> GgufTokenizer:
    return GgufTokenizer(file)


def test_tokens_equal_the_independent_tokenizer(tokenizer):
    for text, ids in STORED["tokens"]:
        assert tokenizer.encode(text) == ids
    assert tokenizer.stops == {0, 2}


@PROMPTS
def test_logits_equal_the_independent_decoder(decoder, tokenizer, stored):
    ids = tokenizer.encode(stored["prompt"])
    assert ids == stored["ids"]
    state, scorer = KvCache(decoder.shape), FloatScorer(decoder.shape)
    for position, token in enumerate(ids[:-1]):
        decoder.forward(token, position, state, scorer, logits=False)
    logits = decoder.forward(ids[-1], len(ids) - 1, state, scorer)
    assert logits.argmax() == stored["top_ids"][0]
    np.testing.assert_allclose(logits[stored["top_ids"]], stored["top_logits"], rtol=0, atol=1e-2)


@PROMPTS
def test_greedy_continuation_equals_the_independent_decoder(decoder, stored):
    scorer = FloatScorer(decoder.shape)
    assert generate(decoder, scorer, stored["ids"], 16) == stored["greedy"]


def test_the_capital_of_france_is_paris(decoder, tokenizer):
    tokens = tokenizer.encode("The capital of France is")
    continuation = generate(decoder, FloatScorer(decoder.shape), tokens, 2)
    assert tokenizer.decode(continuation) == " Paris."


def test_integer_scores_tell_the_same_story(decoder, tokenizer):
    shape = decoder.shape
    tokens = tokenizer.encode("Once upon a time")
    accumulator = AccumulatorFormat(bits=48, fraction_bits=20, max_blocks=2048)
    integers = IntegerScorer(shape, activation_bits=12, key_bits=8, accumulator=accumulator)
    story = generate(decoder, integers, tokens, 16)
    assert story == generate(decoder, FloatScorer(shape), tokens, 16)
    assert integers.saturations == 0
