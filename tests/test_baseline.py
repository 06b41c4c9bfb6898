import pytest
from tests import baseline


@pytest.mark.parametrize("case", baseline.CASES)
def test_cycles_are_those_of_the_baseline(case):
    changes = baseline.differences(case, baseline.committed().get(case, {}), baseline.CASES[case]())
    if changes:
        pytest.fail(
            "\n".join([*changes, "if this is meant, run `make baseline` and commit its file"]),
            pytrace=False,
        )


def test_the_baseline_has_these_cases_and_no_others():
    assert list(baseline.committed()) == list(baseline.CASES)


@pytest.mark.parametrize("case", baseline.CASES)
def test_every_block_of_the_baseline_adds_up(case):
    tree = baseline.committed()[case]
    for block in tree.get("blocks", {}).values():
        assert block["busy"] + sum(block["stalls"].values()) == tree["cycles"]


def test_a_change_is_told_with_its_name_and_both_numbers():
    before = {"cycles": 10, "blocks": {"flash0": {"busy": 4, "stalls": {"sense": 6}}}, "loads": [1]}
    now = {"cycles": 11, "blocks": {"flash0": {"busy": 4, "stalls": {"idle": 6}}}, "loads": [1, 2]}
    assert baseline.differences("decode", before, now) == [
        "decode: cycles: 10 -> 11",
        "decode: blocks: flash0: stalls: sense: 6 -> nothing",
        "decode: blocks: flash0: stalls: idle: nothing -> 6",
        "decode: loads [2]: nothing -> 2",
    ]
    assert baseline.differences("decode", now, now) == []


def test_the_baseline_is_written_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(baseline, "PATH", tmp_path / "baseline.json")
    monkeypatch.setattr(baseline, "CASES", {"one": lambda: {"cycles": 5}})
    baseline.main()
    assert baseline.committed() == {"one": {"cycles": 5}}
    monkeypatch.setattr(baseline, "CASES", {"two": lambda: {"cycles": 6}})
    baseline.main()
    assert capsys.readouterr().out == (
        "one: cycles: nothing -> 5\ntwo: cycles: nothing -> 6\none: cycles: 5 -> nothing\n"
    )
