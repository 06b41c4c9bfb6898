from dataclasses import replace

import numpy as np
import pytest

from neardecode_testbench.reference.decoder import (
    Decoder,
    KvCache,
    generate,
    rms_norm,
    rope,
    silu,
    softmax,
)
from neardecode_testbench.reference.gguf_model import ModelShape, Weights
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.scorers import FloatScorer


def whole_sequence(shape: ModelShape, weights: Weights, tokens: list[int]) -> np.ndarray:
    """The logits of all positions at once, (tokens, vocabulary), in float64 and without caches."""
    n, size = len(tokens), shape.head_size

    def norm(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + shape.rms_epsilon) * weight

    def turn(x):  # (tokens, heads, size), by complex numbers
        pairs = x[..., 0::2] + 1j * x[..., 1::2]
        speeds = shape.rope_base ** (-2 * np.arange(size // 2) / size)
        turned = pairs * np.exp(1j * np.arange(n)[:, None, None] * speeds)
        return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)

    mask = np.where(np.tri(n) > 0, 0.0, -np.inf)
    x = weights.embedding[tokens].astype(np.float64)
    for layer in weights.layers:
        h = norm(x, layer.attention_norm)
        q = turn((h @ layer.query.T).reshape(n, shape.heads, size))
        k = turn((h @ layer.key.T).reshape(n, shape.kv_heads, size)).repeat(shape.group, axis=1)
        v = (h @ layer.value.T).reshape(n, shape.kv_heads, size).repeat(shape.group, axis=1)
        scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(size) + mask
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        x = x + np.einsum("hts,shd->thd", p, v).reshape(n, -1) @ layer.attention_output.T
        h = norm(x, layer.ffn_norm)
        gate = h @ layer.gate.T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ layer.up.T)) @ layer.down.T
    return norm(x, weights.output_norm) @ weights.output.T


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"heads": 3, "kv_heads": 3},
        {"heads": 6, "kv_heads": 2, "head_size": 32},
        {"heads": 4, "kv_heads": 1, "layers": 3, "head_size": 16},
    ],
)
def test_equals_the_whole_sequence_in_float64(sizes):
    shape, weights = random_model(7, **sizes)
    decoder, state, scorer = Decoder(shape, weights), KvCache(shape), FloatScorer(shape)
    tokens = np.random.default_rng(0).integers(0, shape.vocabulary, 40).tolist()
    expected = whole_sequence(shape, weights, tokens)
    for position, token in enumerate(tokens):
        logits = decoder.forward(token, position, state, scorer)
        assert logits.dtype == np.float32
        assert logits.shape == (shape.vocabulary,)
        np.testing.assert_allclose(logits, expected[position], rtol=0, atol=1e-4)
    assert state.positions == 40


def test_leaving_the_logits_out_changes_nothing_else(small_model):
    shape, weights = small_model
    decoder = Decoder(shape, weights)
    results = []
    for wanted in (True, False):
        state, scorer = KvCache(shape), FloatScorer(shape)
        assert (decoder.forward(5, 0, state, scorer, logits=wanted) is None) is not wanted
        results.append(decoder.forward(6, 1, state, scorer))
    np.testing.assert_array_equal(*results)


def test_forward_leaves_the_weights_alone(small_model):
    shape, weights = small_model
    embedding = weights.embedding.copy()
    Decoder(shape, weights).forward(5, 0, KvCache(shape), FloatScorer(shape))
    np.testing.assert_array_equal(weights.embedding, embedding)


@pytest.mark.parametrize(
    ("token", "position", "line"),
    [
        (40, 0, "token must be 0 to 39, not 40"),
        (-1, 0, "token must be 0 to 39, not -1"),
        (0, 16, "position must be below the context 16, not 16"),
        (0, 1, "position must be the next, 0, not 1"),
        (0, -1, "position must be the next, 0, not -1"),
    ],
)
def test_forward_refuses_wrong_arguments(small_model, token, position, line):
    shape, weights = small_model
    with pytest.raises(ValueError, match=f"^{line}$"):
        Decoder(shape, weights).forward(token, position, KvCache(shape), FloatScorer(shape))


def test_forward_refuses_a_scorer_of_another_sequence(small_model):
    shape, weights = small_model
    decoder, scorer = Decoder(shape, weights), FloatScorer(shape)
    decoder.forward(1, 0, KvCache(shape), scorer)
    with pytest.raises(ValueError, match=r"^scores must have shape \(2, 1\), not \(2, 2\)"):
        decoder.forward(1, 0, KvCache(shape), scorer)


def test_the_whole_context_can_be_used(small_model):
    shape, weights = small_model
    decoder = Decoder(shape, weights)
    assert len(generate(decoder, FloatScorer(shape), [1, 2], 15)) == 15
    with pytest.raises(
        ValueError,
        match=r"^2 tokens of prompt and 16 to generate need 17 positions, the context has 16$",
    ):
        generate(decoder, FloatScorer(shape), [1, 2], 16)


def test_generates_the_likeliest_token_each_time(small_model):
    shape, weights = small_model
    tokens = [3, 1, 4]
    seen: list[int] = []
    generated = generate(Decoder(shape, weights), FloatScorer(shape), tokens, 8, seen.append)
    assert seen == generated
    for number, token in enumerate(generated):
        logits = whole_sequence(shape, weights, tokens + generated[:number])[-1]
        assert logits.argmax() == token


def test_stops_before_a_stop_token(small_model):
    shape, weights = small_model
    decoder = Decoder(shape, weights)
    whole = generate(decoder, FloatScorer(shape), [3, 1, 4], 8)
    seen: list[int] = []
    cut = generate(decoder, FloatScorer(shape), [3, 1, 4], 8, seen.append, stops={whole[3]})
    assert cut == seen == whole[: whole.index(whole[3])]


def test_generates_nothing_where_nothing_is_asked(small_model):
    shape, weights = small_model
    assert generate(Decoder(shape, weights), FloatScorer(shape), [1], 0) == []


@pytest.mark.parametrize(
    ("tokens", "count", "line"),
    [
        ([], 1, "tokens must hold at least one token"),
        ([1], -1, "count must not be negative, not -1"),
        ([1] * 17, 0, "17 tokens of prompt and 0 to generate need 17 positions"),
    ],
)
def test_generate_refuses_wrong_arguments(small_model, tokens, count, line):
    shape, weights = small_model
    with pytest.raises(ValueError, match=f"^{line}"):
        generate(Decoder(shape, weights), FloatScorer(shape), tokens, count)


def test_state_is_apart_from_the_weights(small_model):
    shape, weights = small_model
    decoder = Decoder(shape, weights)
    alone = generate(decoder, FloatScorer(shape), [1, 2, 3], 4)
    generate(decoder, FloatScorer(shape), [9, 8, 7], 4)
    assert generate(decoder, FloatScorer(shape), [1, 2, 3], 4) == alone


def test_rms_norm_gives_a_root_mean_square_of_one():
    x = np.random.default_rng(0).standard_normal(576).astype(np.float32) * 1e3
    y = rms_norm(x, np.ones(576, np.float32), 1e-5)
    assert y.dtype == np.float32
    assert np.sqrt((y.astype(np.float64) ** 2).mean()) == pytest.approx(1, abs=1e-6)


def test_rms_norm_of_zeros_is_zeros():
    assert not rms_norm(np.zeros(8, np.float32), np.ones(8, np.float32), 1e-5).any()


def test_rope_leaves_the_first_position_alone_and_keeps_lengths():
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    np.testing.assert_array_equal(rope(x, 0, 10000.0), x)
    turned = rope(x, 8191, 10000.0)
    assert turned.dtype == np.float32
    lengths = np.hypot(turned[:, 0::2], turned[:, 1::2])
    np.testing.assert_allclose(lengths, np.hypot(x[:, 0::2], x[:, 1::2]), rtol=1e-5)


def test_rope_turns_neighbours_and_the_first_pair_fastest():
    x = np.tile(np.array([1, 0], np.float32), 2)[np.newaxis]
    expected = [np.cos(3), np.sin(3), np.cos(0.03), np.sin(0.03)]
    np.testing.assert_allclose(rope(x, 3, 10000.0)[0], expected, atol=1e-6)


def test_rope_scores_depend_on_the_distance_only():
    q, k = np.random.default_rng(0).standard_normal((2, 1, 64)).astype(np.float32)
    near = rope(q, 10, 100000.0) @ rope(k, 7, 100000.0).T
    far = rope(q, 5010, 100000.0) @ rope(k, 5007, 100000.0).T
    np.testing.assert_allclose(near, far, atol=1e-4)


def test_softmax_adds_up_to_one_and_takes_large_scores():
    p = softmax(np.array([[1000, 999, -1000], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(p[0], [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], atol=1e-6)


def test_silu_is_near_float64_and_does_not_overflow():
    x = np.concatenate([np.linspace(-20, 20, 4001), [-3e38, 3e38]]).astype(np.float32)
    exact = x.astype(np.float64) / (1 + np.exp(-np.clip(x.astype(np.float64), -700, 700)))
    np.testing.assert_allclose(silu(x)[:-2], exact[:-2], rtol=0, atol=2e-6)
    assert silu(x)[-2:].tolist() == [0, x[-1]]


def test_epsilon_of_the_shape_is_used(small_model):
    shape, weights = small_model
    results = [
        Decoder(s, weights).forward(1, 0, KvCache(s), FloatScorer(s))
        for s in (shape, replace(shape, rms_epsilon=10.0))
    ]
    assert np.abs(results[0] - results[1]).max() > 0.1
