import pytest

from neardecode.config import causes as named

CAUSES = [getattr(named, name) for name in named.__all__ if name.endswith("Cause")]
EVENTS = [getattr(named, name) for name in named.__all__ if name.endswith("Event")]


def test_there_are_causes_and_events_and_nothing_else():
    assert CAUSES
    assert EVENTS
    assert len(CAUSES) + len(EVENTS) == len(named.__all__)


@pytest.mark.parametrize("causes", CAUSES)
def test_the_first_cause_is_busy(causes):
    assert next(iter(causes)).name == "BUSY"


@pytest.mark.parametrize("causes", CAUSES)
def test_the_last_cause_is_idle(causes):
    assert list(causes)[-1].name == "IDLE"


@pytest.mark.parametrize("numbered", [*CAUSES, *EVENTS])
def test_values_are_the_counters_places(numbered):
    assert [member.value for member in numbered] == list(range(len(numbered)))
    assert len(numbered.__members__) == len(numbered), "no name stands for another"
