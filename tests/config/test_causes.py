import pytest

from neardecode.config import (
    ChannelCause,
    ChannelEvent,
    LinkCause,
    ProtectedLinkCause,
    ProtectedLinkEvent,
    ReductionCause,
    RouterCause,
    SliceCause,
)

CAUSES = [ChannelCause, SliceCause, RouterCause, LinkCause, ProtectedLinkCause, ReductionCause]
    RouterCause,
    SliceCause,
    VaultCause,
    VaultEvent,
)

CAUSES = [ChannelCause, SliceCause, RouterCause, LinkCause, VaultCause]


@pytest.mark.parametrize("causes", CAUSES)
def test_the_first_cause_is_busy(causes):
    assert next(iter(causes)).name == "BUSY"


@pytest.mark.parametrize("causes", CAUSES)
def test_the_last_cause_is_idle(causes):
    assert list(causes)[-1].name == "IDLE"


@pytest.mark.parametrize("numbered", [*CAUSES, ChannelEvent, ProtectedLinkEvent])
@pytest.mark.parametrize("numbered", [*CAUSES, ChannelEvent, VaultEvent])
def test_values_are_the_counters_places(numbered):
    assert [member.value for member in numbered] == list(range(len(numbered)))
    assert len(numbered.__members__) == len(numbered), "no name stands for another"
