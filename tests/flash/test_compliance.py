"""The table of compliance names parts and tests that there are."""

import re
from pathlib import Path

import pytest

import neardecode.flash
import neardecode_testbench.scenarios.properties
from neardecode_testbench.scenarios.flash.campaign import KINDS

FOLDER = Path(neardecode.flash.__path__[0])
TESTS = Path(__file__).parents[1]
PROPERTIES = Path(neardecode_testbench.scenarios.properties.__path__[0])


def rows(title):
    """The rows of the table below a title."""
    table = (FOLDER / "README.md").read_text().split(f"## {title}")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


ROWS = rows("Compliance")
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


@pytest.mark.parametrize("row", rows("Proofs"), ids=lambda row: row[0])
def test_a_proof_names_what_it_is_of_and_the_test_that_proves_it(row):
    _, part, properties, test = row
    part, properties = part.strip("`"), properties.strip("`")
    assert (FOLDER / f"{part}.py").is_file() or (FOLDER.parent / f"{part}.py").is_file()
    assert (PROPERTIES / properties).is_file()
    if test != "the same":
        path, name = test.strip("`").split("::")
        source = TESTS.parent / path if path.startswith("tests/") else TESTS / "flash" / path
        assert f"def {name}(" in source.read_text()
