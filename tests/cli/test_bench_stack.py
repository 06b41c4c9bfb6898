"""``neardecode bench stack``: a small vault against its bound, its TSVs, and what is refused."""

import json

import pytest


@pytest.fixture
def small(tmp_path):
    """A configuration of few banks, so that its bench is quickly built."""
    path = tmp_path / "small.toml"
    path.write_text(
        "clock_ghz = 1.6\n[stack]\nvaults = 2\nbank_groups = 2\nbanks_a_group = 2\nqueue = 4\n"
        "page_bytes = 256\n"
    )
    return path


@pytest.mark.parametrize("refresh", ["all-bank", "by-bank"])
def test_a_vault_is_held_to_its_bound(neardecode, small, refresh):
    result = neardecode(
        *("bench", "stack", "--config", small, "--refresh", refresh),
        *("--intervals", 2, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    told = json.loads(result.out)
    assert (told["pattern"], told["refresh"], told["vaults"]) == ("stream", refresh, 2)
    assert 0.5 < told["ratio"] <= 1.0001
    assert told["ratio"] == pytest.approx(told["utilisation"] / told["bound"])
    assert told["tbs"] == pytest.approx(told["utilisation"] * told["peak_tbs"])
    assert told["causes"]["busy"] > 0
    assert told["temperature_c"] is None


def test_the_table_names_bound_causes_and_tsvs(neardecode, small):
    result = neardecode("bench", "stack", "--config", small, "--intervals", 2)
    assert (result.status, result.err) == (0, "")
    for word in ("bound", "ratio", "busy", "TB/s", "signal TSVs"):
        assert word in result.out


def test_a_vault_that_heats_says_how_warm_it_is(neardecode, small):
    result = neardecode(
        *("bench", "stack", "--config", small, "--intervals", 2, "--heat", 84, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    assert json.loads(result.out)["temperature_c"] >= 84


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
