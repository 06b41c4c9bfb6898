import numpy as np
import pytest

from neardecode_testbench.reference.growing import GrowingArray


def test_keeps_every_position_through_its_growth():
    array = GrowingArray((2, 3), np.float32)
    assert array.array.shape == (2, 0, 3)
    for position in range(200):
        array.append(np.full((2, 3), position, np.float32))
        assert len(array) == position + 1
    assert array.array.shape == (2, 200, 3)
    np.testing.assert_array_equal(array.array[1, :, 2], np.arange(200))


def test_the_positions_of_a_head_are_contiguous():
    array = GrowingArray((2, 3), np.float32)
    array.append(np.zeros((2, 3), np.float32))
    array.append(np.ones((2, 3), np.float32))
    assert array.array[0].flags.c_contiguous


def test_refuses_another_shape():
    with pytest.raises(ValueError, match=r"^values must have shape \(2, 3\), not \(3, 2\)$"):
        GrowingArray((2, 3), np.float32).append(np.zeros((3, 2)))
