"""A whole model in hardware, from a prompt to tokens, every sum of its layers compared."""

import pytest

from neardecode.config import PRESETS, DecoderCause
from neardecode_testbench.devices.token_board import TokenBoard
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, generate
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.token_decode import TokenDecode

CONFIG = PRESETS["decoder-tiny"]
PROMPT = [72, 101, 108]


@pytest.fixture(scope="module")
def run():
    scenario = TokenDecode(CONFIG, ModelSource(), [PROMPT], 12, limit=40_000)
    return simulate(Design(TokenBoard, (CONFIG,)), scenario, "native")


def test_tokens_are_those_of_the_integer_reference(run):
    shape, weights = ModelSource().integer_weights()
    attending = CONFIG.attending(CONFIG.decoder.group, CONFIG.decoder.head_elements)
    reference = IntegerDecoder(shape, weights, CONFIG.compute, attending.vector)
    assert run.tokens[0] == list(generate(reference, PROMPT, 12))


def test_every_sum_of_every_layer_is_the_reference_s(run):
    shape, _ = ModelSource().integer_weights()
    assert run.mismatches == 0
    assert run.values_compared == len(run.steps) * (2 * shape.layers * shape.width + 1)
    assert run.flags == {"saturated": 0, "error": 0, "violated": 0}


def test_every_cycle_of_the_decoder_has_one_cause(run):
    decoder = run.blocks["decoder"]
    assert decoder["busy"] + sum(decoder["stalls"].values()) == run.cycles
    assert set(decoder["stalls"]) == {cause.name.lower() for cause in DecoderCause} - {"busy"}


def test_a_token_takes_little_longer_than_its_weights(run):
    """What is over is what cannot overlap: norms, heads, embedding."""
    assert 0.94 < run.bound * len(run.steps) / run.cycles <= 1.0001
