import json


def test_native_is_faster_than_amaranths_simulator(neardecode):
    result = neardecode("bench", "native", "--config", "tiny", "--positions", 2, "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    assert results.keys() == {"config", "cycles", "cycles_a_second", "runs", "ratio"}
    assert results["config"] == "tiny"
    for key in ("cycles", "cycles_a_second", "runs"):
        assert results[key].keys() == {"native", "amaranth"}
    # The keys are read out of the page buffers from the second time on.
    assert results["cycles"]["amaranth"] < results["cycles"]["native"]
    assert [len(runs) for runs in results["runs"].values()] == [3, 3]
    for backend, runs in results["runs"].items():
        assert results["cycles_a_second"][backend] == sorted(runs)[1]
    rates = results["cycles_a_second"]
    assert results["ratio"] == rates["native"] / rates["amaranth"] > 1
