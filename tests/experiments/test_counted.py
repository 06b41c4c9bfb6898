import pytest

from neardecode_testbench.experiments.counted import counted_of
from neardecode_testbench.experiments.figure import FigureError


def stack(causes, hot=0, throttled=0, ratio=0.9):
    events = {"hot": hot, "throttled": throttled}
    return {
        "causes": {"busy": 0, "lanes": 0, "refresh": 0, "idle": 0, **causes},
        "events": events,
        "vaults": 8,
        "read_share": 1.0,
        "ratio": ratio,
    }


def link(causes, timeouts=0):
    known = {"busy": 0, "replay": 0, "training": 0, "window": 0, "credit": 0, "idle": 0}
    return {
        "cycles": 1000,
        "flits_a_cycle": 0.2,
        "training_cycles": 10,
        "causes": {"near": {**known, **causes}, "far": known},
        "events": {"errors": 5, "replays": 5, "timeouts": timeouts},
    }


def fabric(latency):
    return {"zero_load_latency": 8.0, "latency_mean": latency, "saturation": 0.7}


@pytest.mark.parametrize(
    ("results", "limit"),
    [
        (stack({"busy": 990, "refresh": 10}, ratio=0.99), "TSV bandwidth"),
        (stack({"busy": 300, "lanes": 700}), "TSV repair"),
        (stack({"busy": 600, "refresh": 100}, hot=690, throttled=180), "heat"),
        (stack({"busy": 100, "activate": 600}), "row activation"),
        (link({"busy": 200, "replay": 500}, timeouts=3), "fabric time-out"),
        (link({"busy": 200, "credit": 500}), "fabric congestion"),
        (fabric(60.0), "fabric congestion"),
        (fabric(9.0), "fabric"),
    ],
)
def test_names_the_limit(results, limit):
    assert counted_of(results).limit == limit


def test_a_run_in_which_nothing_was_counted_is_refused():
    with pytest.raises(FigureError, match="no cycle"):
        counted_of(stack({}))


def test_a_run_above_its_bound_is_refused():
    with pytest.raises(FigureError, match="cannot be exceeded"):
        counted_of(stack({"busy": 100}, ratio=1.2))


def test_a_run_of_an_unknown_command_is_refused():
    with pytest.raises(FigureError, match="no command that is explained"):
        counted_of({"something": 1})
