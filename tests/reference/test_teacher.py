import numpy as np

from neardecode_testbench.reference.decoder import Decoder, KvCache
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.scorers import FloatScorer
from neardecode_testbench.reference.teacher import forward_all


def test_gives_the_logits_of_one_token_at_a_time():
    shape, weights = random_model(4, heads=6, kv_heads=2, head_size=40)
    tokens = [5, 200, 31, 31, 7, 90, 128]
    decoder, state, scorer = Decoder(shape, weights), KvCache(shape), FloatScorer(shape)
    expected = [decoder.forward(token, at, state, scorer) for at, token in enumerate(tokens)]
    found = forward_all(shape, weights, tokens) @ weights.output.T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
