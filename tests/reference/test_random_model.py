import hashlib

import numpy as np
import pytest

from neardecode_testbench.reference.decoder import Decoder, KvCache, generate
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.scorers import FloatScorer


def digest(weights) -> str:
    hashed = hashlib.sha256()
    for array in (weights.embedding, weights.output_norm, weights.output):
        hashed.update(array.astype("<f4").tobytes())
    for layer in weights.layers:
        for array in vars(layer).values():
            hashed.update(array.astype("<f4").tobytes())
    return hashed.hexdigest()


def test_weights_of_a_seed_never_change():
    assert digest(random_model(0)[1]) == (
        "950e926785f54b3e739cab8b2e585d7186b7cd9b543a1beedb37a13cce963a5c"
    )


def test_seeds_differ():
    assert digest(random_model(0)[1]) != digest(random_model(1)[1])


def test_default_shape_is_small_and_takes_bytes():
    shape, weights = random_model(0)
    assert (shape.layers, shape.width, shape.heads, shape.kv_heads) == (2, 128, 4, 2)
    assert (shape.head_size, shape.ffn, shape.vocabulary, shape.context) == (64, 256, 256, 64)
    assert not shape.tied
    assert weights.layers[0].query.shape == (256, 128)
    assert weights.layers[0].key.shape == (128, 128)
    assert weights.layers[0].attention_output.shape == (128, 256)
    assert all(
        array.dtype == np.float32 for layer in weights.layers for array in vars(layer).values()
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_logits_are_as_spread_as_those_of_a_trained_model(seed):
    shape, weights = random_model(seed)
    decoder, state, scorer = Decoder(shape, weights), KvCache(shape), FloatScorer(shape)
    for position, token in enumerate(b"Once upon a time"):
        logits = decoder.forward(token, position, state, scorer)
        assert 2 < logits.std() < 4.5
        assert np.abs(logits).max() < 20


def test_generates_a_text_that_does_not_only_repeat_itself():
    shape, weights = random_model(0)
    tokens = generate(Decoder(shape, weights), FloatScorer(shape), list(b"Once"), 32)
    assert len(set(tokens)) > 8


def test_refuses_a_shape_that_is_none():
    with pytest.raises(ValueError, match=r"^heads must be a multiple of kv_heads 3, not 4$"):
        random_model(0, kv_heads=3)
