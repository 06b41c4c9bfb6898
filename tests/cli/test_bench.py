import json

import pytest


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


@pytest.mark.parametrize("pattern", ["sequential", "weights", "random"])
def test_a_flash_channel_reaches_its_bound(neardecode, pattern):
    result = neardecode(
        *("bench", "flash", "--tr-us", 1, "--banks", 4, "--dies", 1),
        *("--pattern", pattern, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    assert results["bound"] == 4 * 64 / 1600
    # Random pages find their banks unevenly, and now and then a page that is buffered.
    assert (0.3 if pattern == "random" else 0.99) <= results["ratio"] <= 1.0001
    assert results["utilisation"] == results["ratio"] * results["bound"]
    assert results["busy"] + sum(results["stalls"].values()) == results["total_cycles"]
    assert results["peak_tbs"] == 1.6384


def test_banks_that_do_not_exist_are_refused(neardecode):
    result = neardecode("bench", "flash", "--banks", 3)
    assert (result.status, result.out) == (1, "")
    assert result.err == "neardecode: flash: banks_a_die must be a power of two, not 3\n"


def test_every_fault_is_corrected_or_reported(neardecode):
    result = neardecode("bench", "flash", "--faults", 6, "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    assert results["wrong"] == []
    assert len(results["faults"]) == 8
    assert set(results["faults"].values()) == {6}
    seen = {outcome for outcomes in results["outcomes"].values() for outcome in outcomes}
    assert {
        *("read right", "replayed", "replaced or erased", "led around"),
        *(f"reported as read status {status}" for status in (4, 6, 13)),
        *(f"reported as write status {status}" for status in (7, 8, 9)),
        *(f"refused with status {status}" for status in (1, 3)),
    } <= seen


def test_a_decoder_stays_below_its_bound(neardecode):
    result = neardecode(
        *("bench", "ecc", "--correctable", 4, "--codeword-bytes", 128, "--engines", 2),
        *("--codewords", 40, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    assert (results["k"], results["correctable"]) == (1024, 4)
    assert [rate["bit_error_rate"] for rate in results["rates"]] == [0, 1e-4, 1e-3]
    for rate in results["rates"]:
        assert 0.5 < rate["ratio"] <= 1.0001
    assert results["rates"][0]["wrong"] == 0
    assert results["rates"][2]["corrected"] > 0


def test_the_hosts_bursts_want_a_host(neardecode):
    result = neardecode("bench", "flash", "--port", "host")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "neardecode: the configuration has no flash.host: try --config hbf-channel\n"
    )


def test_the_hosts_bursts_are_sequential(neardecode):
    result = neardecode(
        *("bench", "flash", "--port", "host", "--config", "hbf-channel", "--pattern", "weights")
    )
    assert (result.status, result.out) == (1, "")
    assert result.err == "neardecode: the host's bursts are sequential: leave --pattern out\n"


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "MXINT8"),
        ("--format", "MXINT8", "--zero-blocks", 0.5, "--rate", 12),
        ("--format", "MXINT8", "--throttle", 4),
        ("--mode", "attention", "--pattern", "random-pages", "--share", 0.5),
        ("--format", "MXINT8", "--zero-blocks", 0.5, "--zeros", "groups", "--skip-zeros"),
    ],
    ids=[
        *("matrices", "zeros at a slower memory", "heat", "attention over some pages"),
        "zeros left out",
    ],
)
def test_a_slice_takes_what_its_memory_gives(neardecode, tmp_path, options):
    # The smallest beats: Amaranth's simulator takes seconds for them.
    small = tmp_path / "small.toml"
    small.write_text("[flash]\nchannels = 16\npage_bytes = 1024\nbeat_bytes = 32\n")
    result = neardecode(
        *("bench", "mac", "--config", small, "--rows", 8 if "--format" in options else 100),
        *("--backend", "amaranth", *options, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    moving = 0.75 if "--throttle" in options else 1
    assert results["utilisation"] == pytest.approx(moving, abs=0.01)
    assert results["window"] == pytest.approx(results["formula"], rel=0.01)
    assert results["values"] > 50
    assert 0 < results["lane_occupancy"] < 1
    assert sum(results["beats_by_kind"].values()) == results["beats"]
    left_out = results["whole_beats"] / results["beats"]
    assert (left_out > 1.3) if "--skip-zeros" in options else left_out == 1
    zeros = results["zero_blocks"] / results["blocks"]
    assert zeros == pytest.approx(0.5 if "--zero-blocks" in options else 0, abs=0.1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--model", "gpt"), "--model gpt: no such model; known: smollm2, llama-7b, llama-70b"),
        (("--format", "Q5_0"), "--format Q5_0: no such format; known: Q4_0, Q4_1,"),
        (("--pattern", "random-pages"), "--pattern: the matrices' pages all matter;"),
        (("--mode", "attention", "--zero-blocks", 0.5), "--zero-blocks: keys and values are"),
        (("--mode", "attention", "--skip-zeros"), "--skip-zeros: keys and values are"),
        (("--divider", 3), "Input should be 1, 2 or 4"),
        (("--config", "tiny"), "--config tiny: a command of 288 rows of 18 blocks is more than"),
    ],
)
def test_what_a_slice_cannot_be_measured_with_is_refused(neardecode, options, complaint):
    result = neardecode("bench", "mac", *options)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"neardecode: {complaint}")
