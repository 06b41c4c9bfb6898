import json
import re
from itertools import pairwise

import pylibfst
import pytest

from neardecode.config import PRESETS
from neardecode_testbench.cli import decode as decode_command
from neardecode_testbench.reference.scorers import IntegerScorer
from neardecode_testbench.reference.scores import Scores
from neardecode_testbench.scenarios.attention import RtlScorer

TINY = ("decode", "--config", "tiny", "--prompt", "ab")
BLOCKS = ["flash0", "slice0", "link0", "flash1", "slice1", "link1", "router"]
# The random model's.
LAYERS, HEADS = 2, 4


@pytest.fixture(scope="module")
def good(neardecode, tmp_path_factory):
    """One run on Amaranth's simulator with all that it can write."""
    folder = tmp_path_factory.mktemp("good")
    result = neardecode(
        *TINY, "--tokens", 3, "--json", folder / "r.json", "--trace", folder / "t.json"
    )
    assert (result.status, result.err) == (0, "")
    return result.out, json.loads((folder / "r.json").read_text()), folder


def test_results_say_what_was_run(good):
    _, results, _ = good
    assert {key: results[key] for key in ("prompt", "config", "model", "backend")} == {
        "prompt": "ab",
        "config": "tiny",
        "model": "random",
        "backend": "amaranth",
    }
    assert results["seconds"] > 0


def test_tokens_are_the_references(good):
    _, results, _ = good
    assert len(results["tokens"]) == 3
    assert results["tokens"] == results["reference_tokens"]
    assert results["text"] == bytes(results["tokens"]).decode("utf-8", "replace")


def test_every_score_is_compared(good):
    _, results, _ = good
    # The last token is generated and not decoded itself.
    positions = 2 + 3 - 1
    assert results["positions"] == positions
    assert results["values_compared"] == LAYERS * HEADS * sum(range(1, positions + 1))
    assert results["mismatches"] == results["errors"] == results["saturations"] == 0


def test_every_cycle_of_every_block_has_an_owner(good):
    _, results, _ = good
    assert list(results["blocks"]) == BLOCKS
    assert results["cycles"] > 0
    for entry in results["blocks"].values():
        assert entry["busy"] + sum(entry["stalls"].values()) == results["cycles"]
        assert min(entry["busy"], *entry["stalls"].values()) >= 0
    assert results["cycles_a_token"] == results["cycles"] / results["positions"]


def test_utilisation_is_busy_channels_and_below_its_bound(good):
    _, results, _ = good
    busy = sum(results["blocks"][f"flash{channel}"]["busy"] for channel in range(2))
    assert results["flash"]["utilisation"] == busy / (2 * results["cycles"])
    assert 0 < results["flash"]["utilisation"] <= results["flash"]["bound"] <= 1
    assert results["flash"]["bound"] == PRESETS["tiny"].utilisation_bound


def test_events_agree_with_the_blocks(good):
    _, results, _ = good
    assert list(results["events"]) == ["flash0", "flash1"]
    scores = results["values_compared"]
    assert sum(results["blocks"][f"slice{channel}"]["busy"] for channel in range(2)) == scores
    assert sum(results["blocks"][f"link{channel}"]["busy"] for channel in range(2)) == scores
    page_beats = PRESETS["tiny"].flash.page_beats
    for channel, counts in results["events"].items():
        assert results["blocks"][channel]["busy"] == counts["senses"] * page_beats
        assert counts["pages"] == counts["senses"] + counts["hits"]
        # Counting ends with the last score, while the rest of its page is on its way.
        assert counts["pages"] - 1 < counts["beats"] / page_beats <= counts["pages"]


def test_people_see_text_blocks_and_counts(good):
    out, results, _ = good
    assert f"Where {results['cycles']:,} cycles went" in out
    for block in BLOCKS:
        assert block in out
    assert f"values compared       {results['values_compared']:,}, mismatches 0" in out
    assert "bound 80.00%" in out


def spans(good):
    _, _, folder = good
    trace = json.loads((folder / "t.json").read_text())
    return trace, [event for event in trace["traceEvents"] if event["ph"] == "X"]


def test_the_trace_has_named_rows_and_spans_in_time(good):
    trace, events = spans(good)
    rows = {(e["pid"], e["tid"]) for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert trace["displayTimeUnit"] == "ns"
    assert events
    for event in events:
        assert event["ts"] >= 0
        assert event["dur"] > 0
        assert (event["pid"], event["tid"]) in rows
        # 1.6 GHz: 1600 cycles a microsecond.
        assert event["ts"] * 1600 == pytest.approx(event["args"]["first_cycle"])
        assert event["dur"] * 1600 == pytest.approx(event["args"]["cycles"])


def test_spans_of_a_row_do_not_overlap(good):
    _, events = spans(good)
    page_beats = PRESETS["tiny"].flash.page_beats
    for channel in range(2):
        pages = [e["args"] for e in events if (e["pid"], e["tid"]) == (channel, 1)]
        assert pages
        assert {page["cycles"] for page in pages} == {page_beats}
        for one, next_one in pairwise(sorted(pages, key=lambda page: page["first_cycle"])):
            assert one["first_cycle"] + page_beats <= next_one["first_cycle"]
    layers = [e["args"] for e in events if e["pid"] == 2]
    assert len(layers) == 4 * LAYERS
    for one, next_one in pairwise(layers):
        assert one["first_cycle"] + one["cycles"] == next_one["first_cycle"]


def test_the_trace_has_every_head_and_every_page(good):
    _, results, _ = good
    _, events = spans(good)
    heads = [event for event in events if event["name"].startswith("head ")]
    assert len(heads) == 4 * LAYERS * HEADS
    assert all(e["args"]["command_cycle"] < e["args"]["first_cycle"] for e in heads)
    for channel in range(2):
        pages = [e for e in events if e["pid"] == channel and e["name"].startswith("page ")]
        busy = results["blocks"][f"flash{channel}"]["busy"]
        assert len(pages) * PRESETS["tiny"].flash.page_beats == busy


def test_json_on_standard_output_is_alone(neardecode, good):
    result = neardecode(*TINY, "--tokens", 3, "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    _, before, _ = good
    del results["seconds"], before["seconds"]
    assert results == before, "a second run gives the same"


def test_native_gives_the_same_results(neardecode, good):
    result = neardecode(*TINY, "--tokens", 3, "--backend", "native", "--json", "-")
    _, amaranth, _ = good
    native = json.loads(result.out)
    for key in amaranth.keys() - {"seconds", "backend"}:
        assert native[key] == amaranth[key], key


def test_stalls_change_the_cycles_and_not_the_tokens(neardecode, good):
    _, smooth, _ = good
    stalled = [
        json.loads(
            neardecode(
                *TINY, "--tokens", 3, "--backend", "native", "--stalls", seed, "--json", "-"
            ).out
        )
        for seed in (1, 1, 2)
    ]
    for results in stalled:
        assert results["tokens"] == smooth["tokens"]
        assert results["mismatches"] == 0
        assert results["cycles"] > smooth["cycles"]
    assert stalled[0]["cycles"] == stalled[1]["cycles"] != stalled[2]["cycles"]


def test_a_gguf_file_is_decoded(neardecode, write_gguf, tmp_path):
    path = write_gguf(tmp_path / "model.gguf")
    result = neardecode(*TINY, "--tokens", 2, "--gguf", path, "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    assert results["model"] == str(path)
    # "ab" is one token of this model; it has one layer and two heads.
    assert results["positions"] == 2
    assert results["values_compared"] == 1 * 2 * (1 + 2)
    assert results["tokens"] == results["reference_tokens"]


def vcd_last_time(path):
    return max(map(int, re.findall(r"^#(\d+)$", path.read_text(), re.M)))


@pytest.mark.parametrize(("backend", "cycle"), [("amaranth", 10**9), ("native", 2)])
def test_vcd_ends_with_the_cycles_asked_for(neardecode, tmp_path, backend, cycle):
    path = tmp_path / "w.vcd"
    result = neardecode(
        *TINY, "--tokens", 1, "--backend", backend, "--waves", path, "--wave-cycles", 30
    )
    assert (result.status, result.err) == (0, "")
    assert 29 * cycle <= vcd_last_time(path) < 30 * cycle
    assert "$enddefinitions" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("backend", "cycle"), [("amaranth", 10**9), ("native", 2)])
def test_fst_reads_back_with_signals_and_changes(neardecode, tmp_path, backend, cycle):
    path = tmp_path / "w.fst"
    result = neardecode(
        *TINY, "--tokens", 1, "--backend", backend, "--waves", path, "--wave-cycles", 30
    )
    assert (result.status, result.err) == (0, "")
    library = pylibfst.lib
    reader = library.fstReaderOpen(str(path).encode())
    assert reader != pylibfst.ffi.NULL
    _, signals = pylibfst.helpers.get_scopes_signals2(reader)
    assert len(signals.by_name) > 200
    changed: dict[str, list[int]] = {}

    def note(user, time, handle, value):
        changed.setdefault(signals.by_handle[handle].name, []).append(time)

    library.fstReaderSetFacProcessMaskAll(reader)
    pylibfst.helpers.fstReaderIterBlocks(reader, note)
    library.fstReaderClose(reader)
    clocks = [times for name, times in changed.items() if name.endswith(".clk")]
    assert len(clocks[0]) >= 59
    assert 29 * cycle <= max(max(times) for times in changed.values()) < 30 * cycle


@pytest.fixture
def wrong_expectation(monkeypatch):
    """One expected score is off by one, at layer 1, head 2, position 1."""
    integer = IntegerScorer.integer

    def off_by_one(self, layer, query):
        scores = integer(self, layer, query)
        if not isinstance(self, RtlScorer) or layer != 1 or scores.values.shape[1] != 2:
            return scores
        values = scores.values.copy()
        values[2, 1] += 1
        return Scores(values, scores.saturated)

    monkeypatch.setattr(IntegerScorer, "integer", off_by_one)


def test_a_mismatch_is_an_error_with_layer_position_and_cycle(
    neardecode, wrong_expectation, good, tmp_path
):
    path = tmp_path / "r.json"
    result = neardecode(*TINY, "--tokens", 3, "--json", path)
    found = re.fullmatch(
        r"1 of 80 scores differ from the reference, the first at layer 1, position 1, cycle (\d+)",
        result.complaint,
    )
    assert found
    assert result.status == 1
    # Inside the time in which the trace of the good run has that head.
    _, events = spans(good)
    (head,) = (
        e["args"]
        for e in events
        if e["name"] == "head 2" and e["args"]["layer"] == e["args"]["position"] == 1
    )
    assert int(found[1]) == head["first_cycle"] + head["cycles"] - 1
    results = json.loads(path.read_text())
    assert results["mismatches"] == 1, "the results are kept"
    assert results["tokens"] == results["reference_tokens"]


def test_a_wrong_token_is_an_error(neardecode, monkeypatch):
    monkeypatch.setattr(decode_command, "generate", lambda *arguments, **options: [1])
    result = neardecode(*TINY, "--tokens", 1)
    assert result.complaint == "the tokens differ from the reference's"


def test_scores_that_are_missing_are_an_error(neardecode, monkeypatch):
    simulate = decode_command.simulate

    def lose_one(*arguments, **options):
        run = simulate(*arguments, **options)
        run.values_compared -= 1
        return run

    monkeypatch.setattr(decode_command, "simulate", lose_one)
    assert neardecode(*TINY, "--tokens", 1).complaint == "23 scores were compared, not 24"


def test_the_reference_needs_no_hardware(neardecode, monkeypatch, good):
    """Its tokens are there before any simulator begins, and with the RTL's scorer taken away."""
    decoded = []
    generate = decode_command.generate

    def note(*arguments, **options):
        decoded.append(generate(*arguments, **options))
        return decoded[-1]

    def fail(*arguments, **options):
        raise OSError("no simulator")

    monkeypatch.setattr(decode_command, "generate", note)
    monkeypatch.setattr(decode_command, "simulate", fail)
    monkeypatch.setattr(decode_command, "Design", lambda *arguments: None)
    monkeypatch.setattr(RtlScorer, "__init__", fail)
    assert neardecode(*TINY, "--tokens", 3).complaint == "no simulator"
    _, results, _ = good
    assert decoded == [results["tokens"]]


def test_a_configuration_for_a_host_is_refused(neardecode):
    result = neardecode("decode", "--config", "hbf-channel", "--tokens", 1)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "neardecode: hbf-channel: the channels of a chip only read: leave out flash.host, repair\n"
    )
