"""A model dealt to two chips: every sum on both is that of the reference of the same split."""

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
# A channel and a vault a chip.
CONFIGS = {
    split: with_changes(
        TINY,
        {
            "chips": 2,
            "flash": {"channels": 1},
            "stack": {"vaults": 1},
            "decoder": {"split": split},
        },
    )
    for split in ("context", "heads")
}
PROMPT = [72, 101, 108]
COUNT = 6


def reference(split):
    """By heads nothing rounds otherwise than on one chip."""
    config = CONFIGS[split]
    shape, weights = ModelSource().integer_weights()
    attending = config.attending(config.decoder.group, config.decoder.head_elements)
    parts = ContextSplit(config.chips if split == "context" else 1)
    return IntegerDecoder(shape, weights, config.compute, attending.vector, parts)


@pytest.fixture(scope="module", params=CONFIGS)
def split(request):
    return request.param


@pytest.fixture(scope="module")
def run(split):
    config = CONFIGS[split]
    scenario = TokenDecode(config, ModelSource(), [PROMPT], COUNT, limit=40_000)
    return simulate(Design(TokenBoard, (config,)), scenario, "native")


def test_tokens_are_those_of_the_reference_of_the_same_split(run, split):
    assert run.tokens[0] == list(generate(reference(split), PROMPT, COUNT))


def test_every_sum_on_every_chip_is_the_reference_s(run, split):
    chips = CONFIGS[split].chips
    shape = ModelSource().shape()
    sums = 2 * shape.layers * shape.width
    assert run.mismatches == 0
    assert run.values_compared == len(run.steps) * (chips * sums + 1)
    assert run.flags == {"saturated": 0, "error": 0, "violated": 0}


def test_every_cycle_of_every_chip_has_one_cause(run, split):
    for chip in range(CONFIGS[split].chips):
        decoder = run.blocks[f"chip{chip}_decoder"]
        assert decoder["busy"] + sum(decoder["stalls"].values()) == run.cycles
        assert decoder["stalls"]["exchange"] > 0
