import pytest

from neardecode.config import Compute
from neardecode.config.formats import BlockFormat
from neardecode_testbench.reference.continuations import (
    Continuation,
    compare_continuations,
    shipped_prompts,
)
from neardecode_testbench.reference.decoder import Decoder
from neardecode_testbench.reference.decoder import generate as generate_float
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, generate
from neardecode_testbench.reference.integer.weights import float_weights, integer_weights
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.scorers import FloatScorer

PROMPT = [3, 250, 17]


@pytest.fixture(scope="module", params=[4, 12])
def decoders(request):
    shape, weights = random_model(2, width=64, heads=2, kv_heads=1, head_size=32, ffn=96)
    blocks = integer_weights(weights, BlockFormat.Q8_0)
    compute = Compute(activation_bits=request.param)
    return IntegerDecoder(shape, blocks, compute), Decoder(shape, float_weights(blocks))


def test_counts_what_is_equal_and_what_comes_before_a_difference():
    assert Continuation([1, 2, 3, 4], [1, 2, 9, 4]).same == 3
    assert Continuation([1, 2, 3, 4], [1, 2, 9, 4]).before_difference == 2
    assert Continuation([1, 2], [1, 2]).before_difference == 2


def test_the_integer_decoder_goes_its_own_way_from_the_first_difference(decoders):
    integer, real = decoders
    found = compare_continuations(integer, real, PROMPT, 40)
    assert found.float_tokens == generate_float(real, FloatScorer(real.shape), PROMPT, 40)
    own = list(generate(integer, PROMPT, 40))
    until = found.before_difference
    assert own[: until + 1] == found.integer_tokens[: until + 1]
    assert found.same >= until
    if integer.compute.activation_bits == 4:
        assert until < found.same < 40


def test_generation_ends_before_a_stop(decoders):
    integer, _ = decoders
    tokens = list(generate(integer, PROMPT, 8))
    assert len(tokens) == 8
    stop = tokens[5]
    assert list(generate(integer, PROMPT, 8, {stop})) == tokens[: tokens.index(stop)]
    assert list(generate(integer, PROMPT, 0)) == []


def test_there_are_five_prompts_one_of_them_a_chat():
    prompts = shipped_prompts()
    assert len(set(prompts)) == 5
    assert sum("<|im_start|>assistant" in prompt for prompt in prompts) == 1


def test_refuses_to_compare_nothing(decoders):
    with pytest.raises(ValueError, match="count must be positive, not 0"):
        compare_continuations(*decoders, PROMPT, 0)
