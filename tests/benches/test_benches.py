"""Every cocotb bench on both simulators, with as many tests as it defines and no failure."""

import importlib
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import neardecode_testbench.benches
from neardecode_testbench.drive.cocotb_run import simulate_module

BENCHES = (
    *("attention_merge", "attention_tiers", "attention_unit", "controller_axi", "flash_channel"),
    *("kv_append", "link", "mac_slice", "nand_dies", "off_stack", "protected_link"),
    *("reduction", "router", "softmax", "vault"),
)
VARIANTS = {"controller_axi": ("plain", "corrected")}
"""Benches of more than one design, which their ``DESIGNS`` names."""
NATIVE = ("attention_tiers",)
"""Benches whose scenarios Verilator runs elsewhere, on a native build: another takes minutes."""


def results(path):
    """The tests of a results file, and those that did not pass with why."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed = [
        (case.get("name"), "".join(case.itertext()) or dict(child.attrib))
        for case in cases
        for child in case
        if child.tag in ("failure", "error", "skipped")
    ]
    return [case.get("name") for case in cases], failed


@pytest.mark.parametrize(
    "simulator",
    [
        "verilator",
        pytest.param(
            "icarus",
            marks=pytest.mark.skipif(
                shutil.which("iverilog") is None, reason="iverilog is not on PATH"
            ),
        ),
    ],
)
@pytest.mark.parametrize(
    ("bench", "variant"),
    [(bench, variant) for bench in BENCHES for variant in VARIANTS.get(bench, (None,))],
)
def test_a_bench_passes(bench, variant, simulator, tmp_path):
    if simulator == "verilator" and bench in NATIVE:
        pytest.skip("runs natively in tests/attention")
    module = f"neardecode_testbench.benches.{bench}"
    imported = importlib.import_module(module)
    design = imported.DESIGN if variant is None else imported.DESIGNS[variant]
    path = simulate_module(design, module, simulator, tmp_path, {})
    log = tmp_path / "log"
    assert path.exists(), log.read_text()[-3000:]
    names, failed = results(path)
    assert failed == [], log.read_text()[-3000:]
    source = Path(neardecode_testbench.benches.__path__[0]) / f"{bench}.py"
    assert len(names) == source.read_text().count("@cocotb.test()") > 0


def test_every_bench_is_run():
    folder = Path(neardecode_testbench.benches.__path__[0])
    found = {path.stem for path in folder.glob("*.py") if "@cocotb.test" in path.read_text()}
    assert found == set(BENCHES)
