"""The decoder against its stated chain, written out one token, head and key at a time."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from neardecode.config import Compute
from neardecode.config.formats import BlockFormat
from neardecode.config.vector import Vector
from neardecode_testbench.reference import arithmetic
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.decoder import Decoder, KvCache
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState
from neardecode_testbench.reference.integer.weights import float_weights, integer_weights
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.rows import integer_products
from neardecode_testbench.reference.scorers import FloatScorer
from neardecode_testbench.reference.weights import key_blocks

VECTOR = Vector(tile_rows=4)
COMPUTE = Compute(blocks_a_row=8, rows=64)
SPLITS = [ContextSplit(), ContextSplit(3, 1), ContextSplit(2, 3)]
TOKENS = [3, 250, 17, 17, 99, 4, 128, 7, 64, 200, 31, 5, 77]
SIZES = {"width": 64, "heads": 4, "kv_heads": 2, "head_size": 40, "ffn": 96, "context": 32}


@pytest.fixture(scope="module")
def model():
    # A head of 40 is a block and a piece; heads of 4 x 40 are whole blocks. Long queries make a
    # row's scores differ by many powers of two, so that maximums move.
    shape, weights = random_model(11, **SIZES)
    layers = tuple(replace(layer, query=layer.query * np.float32(8)) for layer in weights.layers)
    return shape, replace(weights, layers=layers)


def decoder_of(model, block_format=BlockFormat.Q4_1, compute=COMPUTE, vector=VECTOR, split=None):
    shape, weights = model
    return IntegerDecoder(shape, integer_weights(weights, block_format), compute, vector, split)


def all_logits(decoder, chunks, observe=None):
    state = IntegerState(decoder.shape)
    found = [decoder.logits(decoder.forward(chunk, state, observe), state) for chunk in chunks]
    assert state.positions == sum(map(len, chunks))
    return np.concatenate(found), state


def stated_logits(decoder):
    """All tokens' logits by the table of the module, in loops."""
    shape, weights, vector, compute = (
        decoder.shape, decoder.weights, decoder.vector, decoder.compute,
    )  # fmt: skip
    bits, fraction = compute.activation_bits, compute.fraction_bits
    row_limit = 2 ** (compute.accumulator_bits - compute.rows.bit_length()) - 1
    epsilon = arithmetic.norm_epsilon(shape.rms_epsilon, shape.width, vector.residual_fraction_bits)
    form = arithmetic.SoftmaxFormat(bits, vector)

    def normed(residual, weight):
        words = arithmetic.rms_norm(residual, *arithmetic.norm_weights(weight), epsilon, vector)
        return arithmetic.pack_blocks(words.values, vector.word_fraction_bits, bits)

    def words(matrix, activations):
        sums = integer_products(matrix, activations, decoder.accumulator).values
        return arithmetic.to_words(
            sums, fraction, vector.word_fraction_bits, vector.word_bits
        ).values

    def added(residual, matrix, activations):
        sums = integer_products(matrix, activations, decoder.accumulator).values
        return arithmetic.add_residual(residual, sums, fraction, vector).values

    def turned(heads, position, scale):
        table = arithmetic.turns([position], shape.head_size, shape.rope_base, scale)
        return arithmetic.rotate(
            heads, table.cosines[0], table.sines[0], table.fraction_bits, vector
        ).values

    def attended(query, keys, values):
        partials, lanes = [], []
        for part in range(decoder.split.parts):
            members = [
                index
                for index in range(len(keys))
                if index // decoder.split.tokens % decoder.split.parts == part
            ]
            partial, sums = None, [0] * shape.head_size
            for first in range(0, len(members), vector.tile_rows):
                rows = members[first : first + vector.tile_rows]
                stacked = BlockVector(
                    np.stack([keys[row].elements for row in rows]),
                    np.stack([keys[row].exponents for row in rows]),
                    8,
                )
                scores = integer_products(key_blocks(stacked), query, decoder.accumulator).values
                scores = arithmetic.scores_of(scores, fraction, vector).values
                tile = arithmetic.softmax_tile(scores, partial, form)
                partial = tile.partial
                sums = [lane >> int(tile.rescale) for lane in sums]
                for row, mantissa, exponent in zip(
                    rows, tile.mantissas.tolist(), tile.exponents.tolist(), strict=True
                ):
                    for lane in range(shape.head_size):
                        element = int(values[row].elements[lane // 32, lane % 32])
                        power = int(values[row].exponents[lane // 32]) - 133
                        power += exponent - 127 - (bits - 1) + fraction
                        product = element * mantissa
                        term = product << power if power >= 0 else product >> -power
                        sums[lane] += max(-row_limit - 1, min(row_limit, term))
            if partial is not None:
                partials.append(partial)
                lanes.append(np.array(sums))
        merged = arithmetic.merge(partials)
        total = sum(lane >> shift for lane, shift in zip(lanes, merged.shifts, strict=True))
        return arithmetic.finish(total, merged.partial.total, fraction, vector).values

    def embedded(token):
        exact = weights.embedding[token].values().reshape(-1) * 2.0**vector.residual_fraction_bits
        return np.floor(exact + 0.5).astype(np.int64)

    caches = [([], []) for _ in weights.layers]
    found = []
    for position, token in enumerate(TOKENS):
        residual = embedded(token)
        for layer, (keys, values) in zip(weights.layers, caches, strict=True):
            blocks = normed(residual, layer.attention_norm)
            query, key, value = (
                words(matrix, blocks).reshape(-1, shape.head_size)
                for matrix in (layer.query, layer.key, layer.value)
            )
            query = turned(query, position, np.log2(np.e) / np.sqrt(shape.head_size))
            point = vector.word_fraction_bits
            queries = arithmetic.pack_blocks(query, point, bits)
            keys.append(arithmetic.pack_blocks(turned(key, position, 1.0), point, 8))
            values.append(arithmetic.pack_blocks(value, point, 8))
            heads = [
                attended(
                    queries[head],
                    [row[head // shape.group] for row in keys],
                    [row[head // shape.group] for row in values],
                )
                for head in range(shape.heads)
            ]
            blocks = arithmetic.pack_blocks(np.concatenate(heads), point, bits)
            residual = added(residual, layer.attention_output, blocks)
            blocks = normed(residual, layer.ffn_norm)
            product = arithmetic.gate(words(layer.gate, blocks), words(layer.up, blocks), vector)
            blocks = arithmetic.pack_blocks(product.values, vector.gated_fraction_bits, bits)
            residual = added(residual, layer.down, blocks)
        blocks = normed(residual, weights.output_norm)
        found.append(integer_products(weights.output, blocks, decoder.accumulator).values)
    return np.stack(found)


@pytest.mark.parametrize("split", SPLITS, ids=["one part", "three parts", "two parts by threes"])
@pytest.mark.parametrize("fraction_bits", [20, 9])
def test_equals_the_stated_chain_one_token_and_many_at_a_time(model, split, fraction_bits):
    # With few fraction bits the rounding of every term and rescale shows in the logits.
    compute = COMPUTE.model_copy(update={"fraction_bits": fraction_bits})
    decoder = decoder_of(model, compute=compute, split=split)
    expected = stated_logits(decoder)
    for chunks in ([TOKENS], [[token] for token in TOKENS], [TOKENS[:5], TOKENS[5:6], TOKENS[6:]]):
        found, state = all_logits(decoder, chunks)
        np.testing.assert_array_equal(found, expected)
        assert not +state.saturations


@pytest.mark.parametrize(
    "block_format", [BlockFormat.Q4_0, BlockFormat.Q8_0, BlockFormat.MXFP4], ids=lambda f: f.name
)
def test_every_weight_format_is_near_float_with_the_same_weights(model, block_format):
    decoder = decoder_of(model, block_format)
    found, _ = all_logits(decoder, [TOKENS])
    real = Decoder(model[0], float_weights(decoder.weights))
    state, scorer = KvCache(model[0]), FloatScorer(model[0])
    for position, token in enumerate(TOKENS):
        expected = real.forward(token, position, state, scorer)
        error = np.abs(found[position] * 2.0**-20 - expected).max()
        assert error < 0.05 * np.abs(expected).max()


def test_the_split_and_the_tile_change_integers_but_hardly_the_logits(model):
    # With few fraction bits the rescales' rounding shows behind the next quantisation.
    compute = COMPUTE.model_copy(update={"fraction_bits": 12})
    one, _ = all_logits(decoder_of(model, compute=compute), [TOKENS])
    for split, vector in ((ContextSplit(3, 1), VECTOR), (None, Vector(tile_rows=5))):
        other, _ = all_logits(
            decoder_of(model, compute=compute, split=split, vector=vector), [TOKENS]
        )
        assert (one != other).any()
        assert np.abs(one - other).max() < 0.05 * np.abs(one).max()


def test_more_parts_than_tokens_leave_parts_empty(model):
    found, _ = all_logits(decoder_of(model, split=ContextSplit(5, 1)), [TOKENS[:2]])
    again, _ = all_logits(decoder_of(model, split=ContextSplit(9, 1)), [[TOKENS[0]], [TOKENS[1]]])
    np.testing.assert_array_equal(found, again)


def test_wider_activations_are_nearer_to_float(model):
    real = Decoder(model[0], float_weights(integer_weights(model[1], BlockFormat.Q4_1)))
    state, scorer = KvCache(model[0]), FloatScorer(model[0])
    expected = np.stack([real.forward(t, p, state, scorer) for p, t in enumerate(TOKENS)])
    errors = []
    for bits in (6, 8, 12):
        compute = COMPUTE.model_copy(update={"activation_bits": bits})
        found, _ = all_logits(decoder_of(model, compute=compute), [TOKENS])
        errors.append(np.abs(found * 2.0**-20 - expected).mean())
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]


def test_every_named_value_is_observed_and_is_the_same_in_both_forms(model):
    decoder = decoder_of(model, split=SPLITS[2])

    def record(chunks):
        seen = {}

        def observe(layer, name, value):
            parts = (
                (value.elements, value.exponents) if isinstance(value, BlockVector) else (value,)
            )
            seen.setdefault((layer, name), []).append(parts)

        all_logits(decoder, chunks, observe)
        return {
            key: [np.concatenate(part) for part in zip(*values, strict=True)]
            for key, values in seen.items()
        }

    many, single = record([TOKENS]), record([[token] for token in TOKENS])
    names = {
        "normed", "query", "key", "value", "maximum", "total", "weighted", "attended",
        "attention_residual", "ffn_normed", "gated", "residual",
    }  # fmt: skip
    expected = {(layer, name) for layer in range(2) for name in names}
    assert set(many) == set(single) == expected | {(-1, "residual"), (-1, "output_normed")}
    blocks = {"normed", "query", "key", "value", "attended", "ffn_normed", "gated", "output_normed"}
    assert {name for (_, name), parts in many.items() if len(parts) == 2} == blocks
    for key, parts in many.items():
        for part, other in zip(parts, single[key], strict=True):
            assert len(part) == len(TOKENS)
            np.testing.assert_array_equal(part, other, err_msg=str(key))


def test_a_row_of_a_weighted_sum_is_clamped_so_that_all_of_them_fit(model):
    shape, weights = model
    layers = tuple(replace(layer, value=layer.value * np.float32(16)) for layer in weights.layers)
    compute = Compute(accumulator_bits=28, fraction_bits=12, blocks_a_row=8, rows=4096)
    decoder = decoder_of((shape, replace(weights, layers=layers)), compute=compute)
    found, state = all_logits(decoder, [TOKENS])
    np.testing.assert_array_equal(found, stated_logits(decoder))
    assert set(+state.saturations) == {"weighted"}


@pytest.mark.parametrize("block_format", [BlockFormat.Q4_1, BlockFormat.Q8_0])
def test_an_embedding_is_rounded_once_a_half_upwards(model, block_format):
    # With so few fraction bits halves are common.
    vector = Vector(residual_fraction_bits=8)
    decoder = decoder_of(model, block_format, vector=vector)
    seen = {}
    decoder.forward(
        TOKENS,
        IntegerState(decoder.shape),
        lambda layer, name, value: seen.setdefault((layer, name), value),
    )
    exact = decoder.weights.embedding[TOKENS].values().reshape(len(TOKENS), -1)
    expected = [[floor(Fraction(value) * 256 + Fraction(1, 2)) for value in row] for row in exact]
    np.testing.assert_array_equal(seen[-1, "residual"], expected)


def test_clamped_terms_of_a_product_are_counted(model):
    narrow = Compute(accumulator_bits=24, fraction_bits=18, blocks_a_row=8, rows=64)
    _, state = all_logits(decoder_of(model, BlockFormat.Q8_0, compute=narrow), [TOKENS])
    assert state.saturations["logits"] > 0


def test_saturations_are_counted_by_step(model):
    shape, weights = model
    loud = replace(weights.layers[0], value=weights.layers[0].value * np.float32(3e4))
    weights = replace(weights, layers=(loud, weights.layers[1]))
    _, state = all_logits(decoder_of((shape, weights), BlockFormat.Q8_0), [TOKENS[:3]])
    assert state.saturations["value"] > 0
    _, single = all_logits(
        decoder_of((shape, weights), BlockFormat.Q8_0), [[token] for token in TOKENS[:3]]
    )
    assert single.saturations == state.saturations


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "tokens must hold at least one token"),
        ([256], "tokens must be 0 to 255"),
        ([-1], "tokens must be 0 to 255"),
        ([0] * 33, "positions must be below the context 32, not 32"),
    ],
)
def test_refuses_tokens_that_it_cannot_take(model, tokens, message):
    with pytest.raises(ValueError, match=message):
        all_logits(decoder_of(model), [tokens])


def test_refuses_a_model_whose_rows_are_too_long(model):
    with pytest.raises(ValueError, match="blocks_a_row must be at least 5 for this model, not 4"):
        decoder_of(model, compute=Compute(blocks_a_row=4, rows=64))


@pytest.mark.parametrize("split", [{"parts": 0}, {"tokens": -1}])
def test_refuses_a_split_without_parts_or_tokens(split):
    with pytest.raises(ValueError, match="must be positive"):
        ContextSplit(**split)
