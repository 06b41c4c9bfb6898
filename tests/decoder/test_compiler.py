"""A model's image and program; models that do not fit are refused in one line."""

import numpy as np
import pytest

from neardecode.config import PRESETS, BlockFormat, Config, Operation, descriptor_bits
from neardecode_testbench.reference.compiler import compile_model
from neardecode_testbench.reference.fits import CompileError
from neardecode_testbench.reference.integer.weights import integer_weights
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.weight_pages import unpack_weights

CONFIG = PRESETS["decoder-tiny"]


def model(block_format=BlockFormat.Q8_0, **sizes):
    shape, weights = random_model(1, **sizes)
    return shape, integer_weights(weights, block_format)


def changed(**decoder):
    return CONFIG.model_copy(update={"decoder": CONFIG.decoder.model_copy(update=decoder)})


def fields(bits, config=CONFIG):
    found, place = {}, 0
    for name, width in descriptor_bits(config).items():
        found[name] = bits >> place & (1 << width) - 1
        place += width
    return found


def test_a_program_has_ten_steps_a_layer_and_ends_with_the_next_token():
    shape, weights = model()
    image = compile_model(shape, weights, CONFIG, 32)
    steps = [Operation(fields(bits)["operation"]) for bits in image.program]
    assert len(steps) == 2 + 11 * shape.layers + 3
    assert steps[:2] == [Operation.EMBED, Operation.TURNS]
    assert steps[-1] is Operation.NEXT
    assert steps.count(Operation.MATRIX) == 4 * shape.layers + 1


def test_every_row_of_a_matrix_is_in_the_channel_that_its_number_says():
    shape, weights = model()
    image = compile_model(shape, weights, CONFIG, 32)
    channels = CONFIG.flash.channels
    matrices = [
        step
        for step in map(fields, image.program)
        if step["operation"] == Operation.MATRIX and step["target"] == 2
    ]
    (output,) = matrices
    layout = CONFIG.flash.layout(BlockFormat.Q8_0)
    for channel in range(channels):
        rows = output["rows"] + (channel < output["extra"])
        found = unpack_weights(
            image.flash[channel][output["page"] :], rows, output["blocks"], layout
        )
        assert np.array_equal(found.elements, weights.output.elements[channel::channels])


@pytest.mark.parametrize(
    ("config", "sizes", "says"),
    [
        (changed(group=1), {}, "decoder.group must be 2"),
        (changed(width=64), {}, "decoder.width"),
        (changed(words=256), {}, "decoder.words"),
        (changed(activation_blocks=4), {}, "decoder.activation_blocks"),
        (changed(descriptors=16), {}, "descriptors of the program"),
        (changed(table_beats=1), {}, "decoder.table_beats"),
        (CONFIG, {"vocabulary": 50_000}, "rows of a channel"),
        (CONFIG, {"head_size": 32}, "decoder.head_elements must be 32"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_by_name(config, sizes, says):
    with pytest.raises(CompileError, match=says):
        compile_model(*model(**sizes), config, 32)


def test_weights_of_a_format_that_slices_lack_are_refused():
    with pytest.raises(CompileError, match=r"Q4_0; compute\.formats must name it"):
        compile_model(*model(BlockFormat.Q4_0), CONFIG, 32)


def test_rows_shorter_than_a_beat_are_refused():
    with pytest.raises(CompileError, match="has rows of 1 blocks on a chip, fewer than the 2"):
        compile_model(*model(width=32), CONFIG, 32)


def test_more_tokens_than_rows_of_the_hardware_are_refused():
    with pytest.raises(CompileError, match="tokens of a sequence"):
        compile_model(*model(), CONFIG, 1024)


def joined(chips, split):
    decoder = {**CONFIG.decoder.model_dump(), "split": split}
    return Config.model_validate({**CONFIG.model_dump(), "chips": chips, "decoder": decoder})


@pytest.mark.parametrize(
    ("chips", "split"), [(2, "context"), (3, "context"), (4, "context"), (2, "heads")]
)
def test_every_weight_is_on_one_chip(chips, split):
    shape, weights = model()
    config = joined(chips, split)
    alone = compile_model(shape, weights, CONFIG, 32)
    images = [compile_model(shape, weights, config, 32, chip) for chip in range(chips)]
    layout = CONFIG.flash.layout(BlockFormat.Q8_0)
    held = sum(
        step["blocks"] * (step["rows"] * CONFIG.flash.channels + step["extra"])
        for image in images
        for step in (fields(bits, config) for bits in image.program)
        if step["operation"] == Operation.MATRIX
    )
    every = sum(
        step["blocks"] * (step["rows"] * CONFIG.flash.channels + step["extra"])
        for step in map(fields, alone.program)
        if step["operation"] == Operation.MATRIX
    )
    assert held == every
    # Half-filled pages are all that several chips read more.
    pages = sum(image.weight_beats for image in images) - alone.weight_beats
    matrices = chips * (4 * shape.layers + 1)
    assert 0 <= pages <= matrices * CONFIG.flash.channels * layout.beats


def test_heads_that_do_not_divide_among_chips_are_refused():
    with pytest.raises(CompileError, match=r"decoder\.split: the model's 2 KV heads"):
        compile_model(*model(), joined(4, "heads"), 32)


def test_more_chips_than_blocks_are_refused():
    config = joined(9, "context")
    with pytest.raises(CompileError, match="chips: 9 are more than the 8 blocks"):
        compile_model(*model(), config, 32)
