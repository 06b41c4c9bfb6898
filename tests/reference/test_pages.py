import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode.config.formats import BlockFormat, PageLayout, page_layout
from neardecode_testbench.reference.blocks import BlockVector, quantise
from neardecode_testbench.reference.pages import (
    pack_rows,
    page_of_row,
    pages_of_rows,
    unpack_rows,
    write_row,
)

LAYOUT = page_layout(BlockFormat.MXINT8, page_bytes=4096, beat_bytes=64)
SMALL = page_layout(BlockFormat.MXINT8, page_bytes=512, beat_bytes=64)


def random_keys(rows: int, blocks: int, seed: int = 0) -> BlockVector:
    chance = np.random.default_rng(seed)
    return BlockVector(
        chance.integers(-127, 128, (rows, blocks, 32), dtype=np.int32),
        chance.integers(0, 255, (rows, blocks), dtype=np.uint8),
        8,
    )


def byte_by_byte(keys: BlockVector, layout: PageLayout, beats_a_row: int) -> np.ndarray:
    """The image, each byte put where the layout's formula says."""
    rows, blocks = keys.exponents.shape
    pages = -(-rows * beats_a_row // layout.element_beats)
    image = np.zeros((pages, layout.page_bytes), np.uint8)
    for row in range(rows):
        for block in range(blocks):
            beat, place = divmod(block, layout.blocks_a_beat)
            page, page_beat = divmod(row * beats_a_row + beat, layout.element_beats)
            number = page_beat * layout.blocks_a_beat + place
            image[page, number] = keys.exponents[row, block]
            for element in range(32):
                at = layout.scale_beats * layout.beat_bytes + number * 32 + element
                image[page, at] = int(keys.elements[row, block, element]) & 0xFF
    return image


@pytest.mark.parametrize(
    ("page_bytes", "beat_bytes"), [(4096, 64), (512, 64), (512, 32), (1024, 128), (4096, 512)]
)
@pytest.mark.parametrize(
    ("rows", "blocks", "spare"), [(1, 1, 0), (29, 2, 0), (41, 3, 0), (9, 5, 1)]
)
def test_every_byte_lies_where_the_layout_says(page_bytes, beat_bytes, rows, blocks, spare):
    layout = page_layout(BlockFormat.MXINT8, page_bytes, beat_bytes)
    beats_a_row = -(-blocks // layout.blocks_a_beat) + spare
    keys = random_keys(rows, blocks)
    image = pack_rows(keys, layout, beats_a_row)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, byte_by_byte(keys, layout, beats_a_row))


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 2), st.sampled_from([SMALL, LAYOUT]))
def test_unpacking_gives_the_rows_back(rows, blocks, spare, layout):
    beats_a_row = -(-blocks // layout.blocks_a_beat) + spare
    keys = random_keys(rows, blocks, seed=rows)
    back = unpack_rows(pack_rows(keys, layout, beats_a_row), rows, blocks, layout, beats_a_row)
    np.testing.assert_array_equal(back.elements, keys.elements)
    np.testing.assert_array_equal(back.exponents, keys.exponents)
    assert back.element_bits == 8


def test_a_page_of_4096_bytes_holds_62_rows_of_one_beat():
    assert pages_of_rows(0, LAYOUT, 1) == 0
    assert pages_of_rows(62, LAYOUT, 1) == 1
    assert pages_of_rows(63, LAYOUT, 1) == 2


def test_a_row_straddles_pages():
    # 62 element beats a page: row 20 of three beats takes beats 60 to 62.
    assert page_of_row(19, LAYOUT, 3) == range(0, 1)
    assert page_of_row(20, LAYOUT, 3) == range(0, 2)
    assert page_of_row(21, LAYOUT, 3) == range(1, 2)


def test_a_row_longer_than_a_page_touches_them_all():
    assert page_of_row(0, SMALL, 20) == range(0, 3)
    keys = random_keys(2, 40)
    np.testing.assert_array_equal(pack_rows(keys, SMALL, 20), byte_by_byte(keys, SMALL, 20))


@pytest.mark.parametrize("row", [0, 4, 13])
def test_writing_a_row_changes_no_other_byte(row):
    keys = random_keys(14, 3)
    image = pack_rows(keys, SMALL, 2)
    changed = BlockVector(keys.elements.copy(), keys.exponents.copy(), 8)
    changed.elements[row] = -changed.elements[row]
    changed.exponents[row] ^= 1
    write_row(image, row, changed[row], SMALL, 2)
    np.testing.assert_array_equal(image, pack_rows(changed, SMALL, 2))


def test_writing_a_row_clears_its_padding():
    image = np.full((2, SMALL.page_bytes), 0xAA, np.uint8)
    write_row(image, 0, random_keys(1, 1)[0], SMALL, 2)
    assert not image[0, 1:4].any()
    start = SMALL.scale_beats * SMALL.beat_bytes
    assert not image[0, start + 32 : start + 128].any()
    assert (image[0, 4:start] == 0xAA).all()
    assert (image[0, start + 128 :] == 0xAA).all()
    assert (image[1] == 0xAA).all()


def test_packs_what_quantise_gives():
    keys = quantise(np.linspace(-3, 3, 5 * 64, dtype=np.float32).reshape(5, 64), 8)
    back = unpack_rows(pack_rows(keys, LAYOUT, 1), 5, 2, LAYOUT, 1)
    np.testing.assert_array_equal(back.elements, keys.elements)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            {"layout": page_layout(BlockFormat.Q8_0, 4096, 64)},
            "layout must be of MXINT8, not Q8_0",
        ),
        ({"beats_a_row": 0}, "beats_a_row must be positive, not 0"),
        ({"beats_a_row": 1}, "blocks must be at most 2 in 1 beats, not 3"),
        ({"row": -1}, "row must not be negative, not -1"),
        ({"row": 31}, "image must have at least 2 pages, not 1"),
        (
            {"key": BlockVector(np.zeros((3, 32), np.int32), np.zeros(3, np.uint8), 12)},
            "element_bits must be 8, not 12",
        ),
        ({"key": random_keys(1, 3)}, r"key must be \(blocks,\), not \(1, 3\)"),
        (
            {"image": np.zeros((1, 100), np.uint8)},
            r"image must be bytes of shape \(pages, 4096\), not uint8 of \(1, 100\)",
        ),
        (
            {"image": np.zeros((1, 4096), np.int8)},
            r"image must be bytes of shape \(pages, 4096\), not int8 of \(1, 4096\)",
        ),
        (
            {"layout": PageLayout(BlockFormat.MXINT8, 4096, 64, 123, 2, 62)},
            "layout must have 124 blocks in 62 beats, not 123",
        ),
    ],
)
def test_writing_refuses_wrong_arguments(arguments, line):
    right = {
        "image": np.zeros((1, 4096), np.uint8),
        "row": 0,
        "key": random_keys(1, 3)[0],
        "layout": LAYOUT,
        "beats_a_row": 2,
    }
    with pytest.raises(ValueError, match=f"^{line}$"):
        write_row(**(right | arguments))


def test_packing_and_unpacking_refuse_wrong_arguments():
    with pytest.raises(ValueError, match=r"^keys must be \(rows, blocks\), not \(3,\)$"):
        pack_rows(random_keys(1, 3)[0], LAYOUT, 2)
    with pytest.raises(ValueError, match=r"^blocks must be at most 4 in 2 beats, not 5$"):
        unpack_rows(np.zeros((1, 4096), np.uint8), 1, 5, LAYOUT, 2)
    with pytest.raises(ValueError, match=r"^image must have at least 2 pages, not 1$"):
        unpack_rows(np.zeros((1, 4096), np.uint8), 32, 3, LAYOUT, 2)
    with pytest.raises(ValueError, match=r"^rows must not be negative, not -1$"):
        pages_of_rows(-1, LAYOUT, 2)
