import json

ROWS = ("bench", "softmax", "--model", "random", "--rows", 24, "--backend", "amaranth")


def test_softmax_of_real_rows_is_within_its_error_and_its_cycles(neardecode):
    result = neardecode(*ROWS, "--config", "tiny", "--no-area", "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    assert results["area"] == {}
    (rows,) = results["rows"]
    assert rows["tokens"] == 24
    assert 0 < rows["mean_error"] < rows["largest_error"] < 1e-3
    assert rows["saturated"] == 0
    # A row is one tile, and three cycles lie between one row's last probability and the next's
    # first; before the first lie 24 scores and 3 cycles, after the last its partial.
    count = rows["rows"]
    assert rows["counts"]["BUSY"] == 24 * count
    assert rows["cycles"] == 24 * count + 3 * (count - 1) + 24 + 3 + 1


def test_the_table_has_a_line_for_each_length(neardecode):
    result = neardecode(*ROWS, "--rows", 5, "--config", "tiny", "--no-area")
    assert (result.status, result.err) == (0, "")
    lines = [line for line in result.out.splitlines() if line.startswith(("│  ", "│ "))]
    assert [line.split("│")[1].strip() for line in lines][-2:] == ["5", "24"]


def test_rows_beyond_the_model_or_the_sums_are_refused(neardecode):
    result = neardecode(*ROWS, "--rows", 100_000, "--no-area")
    assert "--rows 100000: the configuration's sums hold 65536" in result.complaint
    result = neardecode(*ROWS, "--rows", 60_000, "--no-area")
    assert "--rows 60000: text and context have" in result.complaint
    assert "--backend must be native or amaranth, not x" in (
        neardecode("bench", "softmax", "--backend", "x").complaint
    )
