import pytest
from tests import areas

# The published routers that ours must stay below, with a flip-flop at 5.67 and at 8.
OPENPITON_NODE = (24.9, 30.2)
STANFORD_ROUTER = (67.5, 83.3)


@pytest.fixture(scope="module")
def measured():
    return areas.measure(areas.FAST)


def test_areas_are_within_a_per_cent_of_the_baseline(measured):
    changes = areas.differences(areas.committed(), measured)
    if changes:
        pytest.fail(
            "\n".join([*changes, "if this is meant, run `make areas` and commit its file"]),
            pytrace=False,
        )


@pytest.mark.parametrize(
    ("channels", "flits", "most"), [(1, 7, OPENPITON_NODE), (2, 8, STANFORD_ROUTER)]
)
def test_a_router_is_smaller_than_the_published_ones(measured, channels, flits, most):
    router = measured[f"mesh_router demo token_channels={channels} buffer_flits={flits}"]
    assert router["kge"] < most[0]
    assert router["kge_high"] < most[1]


def test_the_baseline_has_no_other_blocks():
    assert set(areas.committed()) <= {size.title for size in areas.STANDARD}


def test_a_change_beyond_a_per_cent_is_told_with_both_numbers():
    before = {"router": {"kge": 100.0, "flip_flops": 10}}
    assert areas.differences(before, {"router": {"kge": 100.9, "flip_flops": 10}}) == []
    assert areas.differences(before, {"router": {"kge": 101.1, "flip_flops": 10}}) == [
        "router: kge: 100.0 -> 101.1"
    ]
    assert areas.differences({}, {"new": {"kge": 1.0}}) == ["new: kge: nothing -> 1.0"]
