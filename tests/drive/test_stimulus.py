import numpy as np
import pytest

from neardecode_testbench.drive.stimulus import Sink, Storage


@pytest.mark.parametrize("expected", [[], [1], [1, 2, 3]])
def test_expectations_must_be_as_many_as_the_count(expected):
    Sink("o", len(expected), expected)
    with pytest.raises(
        ValueError, match=f"^o: {len(expected)} payloads are expected, 2 waited for$"
    ):
        Sink("o", 2, expected)


@pytest.mark.parametrize("holes", [np.s_[:, ::2], np.s_[:, :32], np.s_[::2]])
def test_a_memory_with_holes_is_refused(holes):
    memory = np.zeros((10, 64), np.uint8)
    Storage("storage", memory, 32)
    with pytest.raises(ValueError, match=r"^storage: its memory must be contiguous$"):
        Storage("storage", memory[holes], 32)


def test_a_memory_that_cannot_be_written_is_refused_where_it_shall_be():
    memory = np.zeros((10, 64), np.uint8)
    memory.flags.writeable = False
    Storage("storage", memory, 32)
    with pytest.raises(ValueError, match=r"^storage: its memory must be writable$"):
        Storage("storage", memory, 32, writable=True)
