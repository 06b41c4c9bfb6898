"""``neardecode bench stack``: a narrow vault against its bound, its TSVs, and what is refused."""

import json

import pytest


@pytest.fixture
def narrow(tmp_path):
    """The preset's banks, queue and pages of 64 beats, but beats of 8 bytes: built in seconds.

    Its timings are those of Ramulator 2's HBM3, preset HBM3_2Gbps.
    """
    path = tmp_path / "narrow.toml"
    path.write_text(
        "[stack]\nvaults = 2\npage_bytes = 512\nbeat_bytes = 8\n[stack.heat]\nthrottle_c = 86.0\n"
    )
    return path


@pytest.mark.parametrize(
    ("refresh", "limit", "least"), [("all-bank", 1 - 260 / 3900, 0.99), ("by-bank", 1.0, 0.97)]
)
def test_a_stream_reaches_its_share_of_the_timings_of_hbm3(
    neardecode, narrow, refresh, limit, least
):
    result = neardecode(
        *("bench", "stack", "--config", narrow, "--refresh", refresh),
        *("--intervals", 4, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    told = json.loads(result.out)
    assert (told["pattern"], told["refresh"], told["vaults"]) == ("stream", refresh, 2)
    assert told["bound"] == pytest.approx(limit, abs=1e-3)
    assert least <= told["utilisation"] / limit <= told["ratio"] + 1e-3 <= 1.001
    assert told["ratio"] == pytest.approx(told["utilisation"] / told["bound"])
    assert told["tbs"] == pytest.approx(told["utilisation"] * told["peak_tbs"])
    assert told["causes"]["busy"] > 0
    assert told["temperature_c"] is None


def test_the_table_names_bound_causes_and_tsvs(neardecode, narrow):
    result = neardecode("bench", "stack", "--config", narrow, "--intervals", 2)
    assert (result.status, result.err) == (0, "")
    for word in ("bound", "ratio", "busy", "TB/s", "signal TSVs"):
        assert word in result.out


def test_a_vault_that_overheats_refreshes_twice_as_often_slows_and_says_so(neardecode, narrow):
    told = []
    for options in ((), ("--heat", 84)):
        result = neardecode(
            *("bench", "stack", "--config", narrow, "--intervals", 4, *options, "--json", "-"),
        )
        # Every beat is compared: a wrong one ends the run.
        assert (result.status, result.err) == (0, "")
        told.append(json.loads(result.out))
    cool, hot = told

    def refreshes(run):
        return run["events"]["refreshes"] / sum(run["causes"].values())

    assert refreshes(hot) > 1.7 * refreshes(cool)
    assert hot["events"]["hot"] > 0 == cool["events"]["hot"]
    assert hot["events"]["throttled"] > 0 == cool["events"]["throttled"]
    assert hot["utilisation"] < 0.95 * cool["utilisation"]
    assert hot["temperature_c"] > 86
    assert hot["throttle"] > 0
    assert cool["temperature_c"] is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--config", "tiny"), "stack: this configuration has none; try the preset stack"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
        (("--read-share", 2), "read-share"),
        (("--pattern", "zigzag"), "zigzag"),
        (("--refresh", "never"), "never"),
        (("--intervals", 0), "intervals"),
        (("--heat", 9999), "ambient_c"),
    ],
    ids=["no stack", "no file", "share", "pattern", "refresh", "intervals", "heat"],
)
def test_what_cannot_be_measured_is_refused(neardecode, options, complaint):
    result = neardecode("bench", "stack", *options)
    assert result.status != 0
    assert result.out == ""
    assert complaint in result.err
