"""The steps that the model walks are those that the compiler writes."""

import pytest

from neardecode.config import PRESETS, BlockFormat, Operation, descriptor_bits
from neardecode_testbench.model.program import program_of
from neardecode_testbench.model.shapes import Shape
from neardecode_testbench.reference.compiler import compile_model
from neardecode_testbench.reference.integer.weights import integer_weights
from neardecode_testbench.reference.random_model import random_model

CONFIG = PRESETS["decoder-tiny"]


def fields(bits: int) -> dict[str, int]:
    """A descriptor's fields."""
    found = {}
    for name, width in descriptor_bits(CONFIG).items():
        found[name] = bits & (1 << width) - 1
        bits >>= width
    return found


@pytest.mark.parametrize(
    ("layers", "width", "heads", "kv_heads", "ffn", "vocabulary"),
    [(2, 128, 4, 2, 256, 256), (1, 64, 2, 1, 96, 301), (3, 192, 2, 1, 160, 77)],
)
def test_steps_are_the_compiler_s(layers, width, heads, kv_heads, ffn, vocabulary):
    shape, weights = random_model(
        1,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        ffn=ffn,
        vocabulary=vocabulary,
    )
    image = compile_model(shape, integer_weights(weights, BlockFormat.Q8_0), CONFIG, 64)
    written = [fields(bits) for bits in image.program]
    ours = Shape("random", layers, width, heads, kv_heads, 64, ffn, vocabulary)
    program = program_of(ours, CONFIG, 64, embedding_words=written[0]["times"])
    assert [step.operation for step in program.steps] == [step["operation"] for step in written]
    beats = CONFIG.flash.page_beats
    for step, bits in zip(program.steps, written, strict=True):
        if step.matrix is not None:
            matrix = step.matrix
            assert (matrix.page, matrix.rows, matrix.extra) == (
                bits["page"],
                bits["rows"],
                bits["extra"],
            )
            assert (matrix.blocks, matrix.times) == (bits["blocks"], bits["times"])
            assert (matrix.target, matrix.first) == (bits["target"], bits["first"])
        elif step.operation is not Operation.NEXT:
            assert (step.count, step.first) == (bits["count"], bits["first"])
        if step.table is not None:
            assert divmod(step.table.beat, beats) == (bits["page"], bits["beat"])
        elif step.operation in (Operation.KEYS, Operation.VALUES, Operation.ATTEND):
            assert step.page == bits["page"]
    assert program.flash_pages == max(len(each) for each in image.flash)
    assert program.vault_pages == len(image.vaults[0])
    assert program.kv_map == image.kv_map
