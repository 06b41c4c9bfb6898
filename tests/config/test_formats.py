from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode.config import BLOCK_ELEMENTS, BlockFormat, page_layout

LAYOUTS = {
    # blocks, beats of scales, beats of elements in a page of 4096 bytes with beats of 64
    "Q4_0": (224, 7, 56),
    "Q4_1": (204, 13, 51),
    "Q8_0": (120, 4, 60),
    "MXINT8": (124, 2, 62),
    "MXFP4": (240, 4, 60),
}


def test_the_table_of_layouts_names_every_format():
    assert LAYOUTS.keys() == {block_format.name for block_format in BlockFormat}


@pytest.mark.parametrize("block_format", BlockFormat)
def test_a_page_of_4096_bytes_has_the_documented_layout(block_format):
    layout = page_layout(block_format, 4096, 64)
    assert (layout.blocks, layout.scale_beats, layout.element_beats) == LAYOUTS[block_format.name]
    assert layout.beats == 64
    assert layout.blocks_a_beat == 64 // block_format.element_bytes


@pytest.mark.parametrize(
    ("block_format", "element_bits", "scale_bytes"),
    [
        (BlockFormat.Q4_0, 4, 2),
        (BlockFormat.Q4_1, 4, 4),
        (BlockFormat.Q8_0, 8, 2),
        (BlockFormat.MXINT8, 8, 1),
        (BlockFormat.MXFP4, 4, 1),
    ],
)
def test_a_format_has_its_element_and_scale_size(block_format, element_bits, scale_bytes):
    assert block_format.element_bits == element_bits
    assert block_format.scale_bytes == scale_bytes
    assert block_format.element_bytes == BLOCK_ELEMENTS * element_bits // 8


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.sampled_from(BlockFormat),
    st.integers(5, 9),
    st.integers(2, 130),
)
def test_no_layout_leaves_room_for_a_block_or_overflows_its_page(block_format, log_beat, beats):
    beat = 1 << log_beat
    layout = page_layout(block_format, beats * beat, beat)

    def needed(blocks):
        return -(-blocks * block_format.scale_bytes // beat) + -(
            -blocks * block_format.element_bytes // beat
        )

    assert layout.scale_beats + layout.element_beats == needed(layout.blocks) <= beats
    assert needed(layout.blocks + 1) > beats
    assert layout.scale_beats * beat >= layout.blocks * block_format.scale_bytes
    assert layout.element_beats * beat >= layout.blocks * block_format.element_bytes


@pytest.mark.parametrize("beat_bytes", [0, 16, 48, -64])
def test_a_beat_that_holds_no_whole_blocks_is_refused(beat_bytes):
    with pytest.raises(
        ValueError,
        match=rf"^beat_bytes must be a power of two and at least 32, not {beat_bytes}$",
    ):
        page_layout(BlockFormat.Q8_0, 4096, beat_bytes)


@pytest.mark.parametrize("page_bytes", [0, 64, 4095, 96])
def test_a_page_without_whole_beats_is_refused(page_bytes):
    with pytest.raises(
        ValueError,
        match=rf"^page_bytes must be a multiple of 64 and at least two beats, not {page_bytes}$",
    ):
        page_layout(BlockFormat.Q8_0, page_bytes, 64)


def test_a_layout_is_frozen():
    layout = page_layout(BlockFormat.Q8_0, 4096, 64)
    with pytest.raises(FrozenInstanceError):
        layout.blocks = 1  # pyright: ignore[reportAttributeAccessIssue]
