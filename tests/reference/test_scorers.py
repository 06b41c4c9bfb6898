import numpy as np
import pytest

from neardecode_testbench.reference.blocks import BlockVector, quantise
from neardecode_testbench.reference.decoder import Decoder, KvCache, generate
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.scorers import AttentionScorer, FloatScorer, IntegerScorer
from neardecode_testbench.reference.scores import AccumulatorFormat, Scores, integer_scores

ACCUMULATOR = AccumulatorFormat(bits=48, fraction_bits=20, max_blocks=2048)
SHAPE, WEIGHTS = random_model(5)


def vectors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Queries (heads, head_size) and a key (kv_heads, head_size)."""
    chance = np.random.default_rng(seed)
    queries = chance.standard_normal((SHAPE.heads, SHAPE.head_size)).astype(np.float32)
    return queries, chance.standard_normal((SHAPE.kv_heads, SHAPE.head_size)).astype(np.float32)


def scorer(
    activation_bits: int = 12, key_bits: int = 8, accumulator: AccumulatorFormat = ACCUMULATOR
) -> IntegerScorer:
    return IntegerScorer(SHAPE, activation_bits, key_bits, accumulator=accumulator)


def test_float_scores_are_dot_products_with_the_keys_of_the_group():
    scores = FloatScorer(SHAPE)
    keys = []
    for seed in range(5):
        queries, key = vectors(seed)
        keys.append(key)
        result = scores.scores(1, queries, key)
        assert result.dtype == np.float32
        expected = [[queries[h] @ k[h // SHAPE.group] for k in keys] for h in range(SHAPE.heads)]
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: FloatScorer(SHAPE), scorer])
def test_layers_have_keys_of_their_own(make):
    scores: AttentionScorer = make()
    assert scores.scores(0, *vectors(0)).shape == (4, 1)
    assert scores.scores(1, *vectors(1)).shape == (4, 1)
    assert scores.scores(0, *vectors(2)).shape == (4, 2)


def test_integer_scores_are_those_of_each_head_alone():
    scores = scorer()
    keys = []
    for seed in range(5):
        queries, key = vectors(seed)
        keys.append(key)
        result = scores.scores(0, queries, key)
    assert scores.last is not None
    for head in range(SHAPE.heads):
        rows = quantise(np.stack([key[head // SHAPE.group] for key in keys]), 8)
        values, saturated = integer_scores(rows, quantise(queries[head], 12), ACCUMULATOR)
        assert scores.last.result.values[head].tolist() == values.tolist()
        assert scores.last.result.saturated[head].tolist() == saturated.tolist()
        np.testing.assert_array_equal(result[head], (values / 2**20).astype(np.float32))


def test_last_step_tells_what_was_computed_from_what():
    scores = scorer(activation_bits=10)
    assert scores.last is None
    scores.scores(0, *vectors(0))
    queries, key = vectors(1)
    scores.scores(1, queries, key)
    last = scores.last
    assert last is not None
    assert last.layer == 1
    np.testing.assert_array_equal(last.query.elements, quantise(queries, 10).elements)
    assert last.query.element_bits == 10
    np.testing.assert_array_equal(last.key.elements, quantise(key, 8).elements)
    again = scores.integer(1, last.query)
    np.testing.assert_array_equal(again.values, last.result.values)


def test_keys_are_those_that_were_appended():
    scores = scorer()
    keys = [vectors(seed)[1] for seed in range(3)]
    for seed in range(3):
        scores.scores(0, vectors(seed)[0], keys[seed])
    stored = scores.keys(0)
    expected = quantise(np.stack(keys, axis=1), 8)
    assert stored.elements.shape == (SHAPE.kv_heads, 3, 2, 32)
    np.testing.assert_array_equal(stored.elements, expected.elements)
    np.testing.assert_array_equal(stored.exponents, expected.exponents)


def test_overriding_integer_replaces_the_arithmetic():
    class Doubled(IntegerScorer):
        def integer(self, layer: int, query: BlockVector) -> Scores:
            values, saturated = super().integer(layer, query)
            return Scores(values * 2, saturated)

    doubled = Doubled(SHAPE, 12, accumulator=ACCUMULATOR)
    single = scorer()
    np.testing.assert_array_equal(doubled.scores(0, *vectors(0)), 2 * single.scores(0, *vectors(0)))


def test_saturations_are_counted_over_all_calls():
    narrow = AccumulatorFormat(bits=16, fraction_bits=14, max_blocks=2)
    scores = scorer(accumulator=narrow)
    queries, key = vectors(0)
    for _ in range(2):
        scores.scores(0, queries * 10, key * 10)
    # One score a head in the first call and two in the second.
    assert scores.saturations == 3 * SHAPE.heads
    quiet = scorer()
    quiet.scores(0, queries * 10, key * 10)
    assert quiet.saturations == 0


def test_wide_integers_give_the_logits_of_float():
    decoder = Decoder(SHAPE, WEIGHTS)
    exact = AccumulatorFormat(bits=64, fraction_bits=40, max_blocks=2)
    state, float_state = KvCache(SHAPE), KvCache(SHAPE)
    scores, floats = scorer(20, key_bits=20, accumulator=exact), FloatScorer(SHAPE)
    for position, token in enumerate(b"Once upon"):
        logits = decoder.forward(token, position, state, scores)
        expected = decoder.forward(token, position, float_state, floats)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3)


def test_eight_bit_keys_leave_the_tokens_as_they_are():
    decoder = Decoder(SHAPE, WEIGHTS)
    prompt = list(b"Once upon a time")
    scores = scorer()
    tokens = generate(decoder, scores, prompt, 16)
    assert tokens == generate(decoder, FloatScorer(SHAPE), prompt, 16)
    assert scores.saturations == 0


def test_refuses_values_that_are_not_finite():
    queries, key = vectors(0)
    queries[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"^values must be finite"):
        scorer().scores(0, queries, key)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"activation_bits": 1}, "element_bits must be 2 to 24, not 1"),
        ({"key_bits": 25}, "element_bits must be 2 to 24, not 25"),
        (
            {"accumulator": AccumulatorFormat(48, 20, 1)},
            "max_blocks must be at least 2, not 1",
        ),
    ],
)
def test_refuses_wrong_arguments(arguments, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        scorer(**arguments)
