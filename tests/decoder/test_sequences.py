"""Several sequences side by side: each decoded as if it were alone, and weights read once."""

import pytest

from neardecode.config import PRESETS, with_changes
from neardecode_testbench.devices.token_board import TokenBoard
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, generate
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.token_decode import TokenDecode

TINY = PRESETS["decoder-tiny"]
# Texts that begin to be found at different positions.
PROMPTS = [[72, 101, 108], [84, 104], [79, 110, 99, 101, 32]]
COUNT = 4


PAIR = with_changes(TINY, {"chips": 2, "flash": {"channels": 1}, "stack": {"vaults": 1}})
CONFIGS = {"one chip": TINY.side_by_side(3), "two chips": PAIR.side_by_side(2)}


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS)
def config(request):
    return request.param


@pytest.fixture(scope="module")
def run(config):
    prompts = PROMPTS[: config.decoder.sequences]
    scenario = TokenDecode(config, ModelSource(), prompts, COUNT, limit=60_000)
    return simulate(Design(TokenBoard, (config,)), scenario, "native")


def test_each_finds_the_tokens_of_the_reference_alone(run, config):
    shape, weights = ModelSource().integer_weights()
    attending = config.attending(config.decoder.group, config.decoder.head_elements)
    for prompt, tokens in zip(PROMPTS[: config.decoder.sequences], run.tokens, strict=True):
        reference = IntegerDecoder(
            shape, weights, config.compute, attending.vector, ContextSplit(config.chips)
        )
        assert tokens == list(generate(reference, prompt, COUNT))


def test_every_sum_of_every_sequence_is_the_reference_s(run, config):
    shape, sequences = ModelSource().shape(), config.decoder.sequences
    assert run.mismatches == 0
    sums = 2 * shape.layers * shape.width
    assert run.values_compared == len(run.steps) * sequences * (config.chips * sums + 1)
    assert run.flags == {"saturated": 0, "error": 0, "violated": 0}


def test_weights_are_read_once_for_all(run, config):
    """A step takes far less than as many as there are sequences would, one after the other."""
    a_step = run.cycles / len(run.steps)
    assert run.bound <= a_step < run.bound * config.decoder.sequences


def test_heads_that_wait_for_those_of_another_sequence_are_attention(run, config):
    """Descriptors alone take a few cycles a sequence."""
    for name, counts in run.blocks.items():
        if name.endswith("decoder"):
            assert counts["stalls"]["sequence"] < 0.06 * run.cycles, name
            assert counts["stalls"]["attention"] > 0
