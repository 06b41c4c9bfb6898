"""The table of compliance names parts and tests that there are."""

import re
from pathlib import Path

import pytest

import neardecode.flash
from neardecode_testbench.scenarios.flash.campaign import KINDS

FOLDER = Path(neardecode.flash.__path__[0])
TESTS = Path(__file__).parents[1]
TABLE = (FOLDER / "README.md").read_text().split("## Compliance")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith(("| section", "| ---"))
]
ELSEWHERE = {"soak": "flash/test_controller.py", "faults": "cli/test_bench.py"}


def test_the_table_is_there():
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_rule_names_what_keeps_it_and_what_shows_it(row):
    section, rule, keepers, shown = row
    assert re.match(r"\d+\.", section)
    assert rule
    parts = re.findall(r"`([^`]+)`", keepers)
    assert parts
    for part in parts:
        inside, beside = FOLDER / f"{part}.py", FOLDER.parent / f"{part}.py"
        assert inside.is_file() or beside.is_file(), part
    tests = re.findall(r"`([^`]+)`", shown)
    words = re.findall(r"\b(?:soak|faults)\b", shown)
    assert tests or words
    for test in tests:
        if test.startswith("tests/"):
            assert (TESTS.parent / test).exists(), test
        elif test.endswith(".py"):
            assert (TESTS / "flash" / test).is_file(), test
    for word in words:
        assert (TESTS / ELSEWHERE[word]).is_file()
    for kind in re.findall(r"faults \(([^)]+)\)", shown):
        assert kind in KINDS
