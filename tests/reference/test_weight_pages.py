import numpy as np
import pytest

from neardecode.config.formats import BlockFormat, page_layout
from neardecode_testbench.reference.blocks import quantise
from neardecode_testbench.reference.pages import pack_rows
from neardecode_testbench.reference.weight_pages import pack_weights, unpack_weights, weight_pages
from neardecode_testbench.reference.weights import key_blocks, random_blocks


@pytest.mark.parametrize("page_rows", [0, 3])
@pytest.mark.parametrize("block_format", list(BlockFormat))
def test_what_is_packed_is_unpacked(block_format, page_rows):
    layout = page_layout(block_format, 1024, 64)
    weights = random_blocks(block_format, (31, 5), np.random.default_rng(1))
    image = pack_weights(weights, layout, page_rows)
    assert image.shape == (weight_pages(31, 5, layout, page_rows), 1024)
    back = unpack_weights(image, 31, 5, layout, page_rows)
    assert (back.elements == weights.elements).all()
    assert (back.scales == weights.scales).all()
    assert (back.values() == weights.values()).all()


def test_keys_lie_where_their_own_packer_puts_them():
    layout = page_layout(BlockFormat.MXINT8, 512, 64)
    keys = quantise(np.random.default_rng(2).standard_normal((40, 128)), 8)
    assert (pack_weights(key_blocks(keys), layout) == pack_rows(keys, layout, 2)).all()


def test_the_bytes_of_a_page_of_q4_1():
    layout = page_layout(BlockFormat.Q4_1, 512, 64)
    weights = random_blocks(BlockFormat.Q4_1, (1, 24), np.random.default_rng(3))
    page = pack_weights(weights, layout)[0]
    assert page[4:8].tobytes() == (
        int(weights.scales[0, 1]).to_bytes(2, "little")
        + int(weights.minimums[0, 1]).to_bytes(2, "little")
    )
    assert page[128 + 16] == weights.elements[0, 1, 0] | weights.elements[0, 1, 1] << 4


def test_refuses_what_does_not_fit():
    layout = page_layout(BlockFormat.Q4_1, 512, 64)
    weights = random_blocks(BlockFormat.Q4_1, (4, 10), np.random.default_rng(4))
    with pytest.raises(ValueError, match=r"^page_rows must be at most 2 for rows of 10 blocks"):
        pack_weights(weights, layout, 3)
    with pytest.raises(ValueError, match=r"^layout must be of Q8_0, not Q4_1"):
        pack_weights(random_blocks(BlockFormat.Q8_0, (1, 1), np.random.default_rng(1)), layout)
    with pytest.raises(ValueError, match=r"^image must be at least \(2, 512\)"):
        unpack_weights(np.zeros((1, 512), np.uint8), 4, 10, layout)
