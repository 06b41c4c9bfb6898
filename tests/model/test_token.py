"""The model of a token against the RTL, cycle by cycle of its sums, on models it has never seen."""

import pytest

from neardecode.config import PRESETS, BlockFormat
from neardecode_testbench.devices.token_board import TokenBoard
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.model.program import program_of
from neardecode_testbench.model.shapes import Shape
from neardecode_testbench.model.token import TokenWalk
from neardecode_testbench.scenarios.token_cycles import TokenCycles

CONFIG = PRESETS["decoder-tiny"]
CONTEXT = 256

# Layers, width, heads, KV heads, FFN, vocabulary, first position: gather and bus and vault in turn
# set the time.
CASES = [
    (2, 128, 4, 2, 256, 256, 0),
    (2, 128, 4, 2, 256, 511, 130),
    (3, 64, 2, 1, 96, 256, 150),
    (3, 256, 2, 1, 96, 256, 150),
    (4, 64, 2, 1, 64, 20, 0),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def pair(request):
    """What the RTL took, and what the model says."""
    layers, width, heads, kv_heads, ffn, vocabulary, position = request.param
    sizes = {
        "layers": layers,
        "width": width,
        "heads": heads,
        "kv_heads": kv_heads,
        "ffn": ffn,
        "vocabulary": vocabulary,
    }
    tokens = [7, 1, 19]
    scenario = TokenCycles(CONFIG, sizes, BlockFormat.Q8_0, tokens, position, CONTEXT)
    times = simulate(Design(TokenBoard, (CONFIG,)), scenario, "native")
    shape = Shape("random", layers, width, heads, kv_heads, 64, ffn, vocabulary)
    program = program_of(shape, CONFIG, CONTEXT, embedding_words=times.embedding_words)
    walk = TokenWalk({0: program}, CONFIG, times.start, position)
    return times, [walk.token(token) for token in tokens]


def test_every_token_within_a_thousandth_and_a_few_cycles(pair):
    times, costs = pair
    for measured, cost in zip(times.cycles, costs, strict=True):
        assert abs(cost.cycles - measured) <= 3 + measured // 1000


def test_all_tokens_within_half_a_thousandth(pair):
    times, costs = pair
    total = sum(times.cycles)
    assert abs(sum(cost.cycles for cost in costs) - total) <= total / 2000


def test_causes_are_those_that_the_decoder_counts(pair):
    times, costs = pair
    decoder = times.blocks["decoder"]
    counted = {"busy": decoder["busy"], **decoder["stalls"]}
    for cause in ("busy", "activations", "attention"):
        said = sum(cost.causes[cause] for cost in costs)
        assert abs(said - counted[cause]) <= 10 + counted[cause] // 500, cause
