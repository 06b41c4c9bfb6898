"""A host decodes through nothing but registers."""

import pytest

from neardecode.config import PRESETS, DecoderCause
from neardecode.decoder.registers import Status
from neardecode.system import TokenSystem
from neardecode_testbench.devices.token_board import TokenBoard
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, generate
from neardecode_testbench.scenarios.host_decode import HostDecode
from neardecode_testbench.scenarios.model import ModelSource

CONFIG = PRESETS["decoder-tiny"]
PROMPT = [72, 101, 108]
COUNT = 4


@pytest.fixture(scope="module")
def run():
    scenario = HostDecode(CONFIG, ModelSource(), PROMPT, COUNT)
    return simulate(Design(TokenBoard, (CONFIG, TokenSystem)), scenario, "native")


def test_tokens_are_those_of_the_integer_reference(run):
    shape, weights = ModelSource().integer_weights()
    attending = CONFIG.attending(CONFIG.decoder.group, CONFIG.decoder.head_elements)
    reference = IntegerDecoder(shape, weights, CONFIG.compute, attending.vector)
    assert run.tokens == list(generate(reference, PROMPT, COUNT))


def test_the_host_sees_the_end_without_faults(run):
    assert run.status == Status.IDLE | Status.ROOM
    # The last token found was not read itself: its position is the next.
    assert run.position == len(PROMPT) + COUNT - 1


def test_the_host_reads_the_counters(run):
    causes = {name: run.counts[f"decoder.{name.lower()}"] for name in DecoderCause.__members__}
    assert all(run.counts[f"flash{channel}.busy"] > 0 for channel in range(CONFIG.flash.channels))
    assert causes["BUSY"] > 0.85 * (sum(causes.values()) - causes["IDLE"])
