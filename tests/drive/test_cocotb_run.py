"""Builds for cocotb: kept, and made anew for whatever they depend on."""

import pytest

from neardecode_testbench.drive import cocotb_run


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """The folders in which the simulator was asked to build."""
    folders = []

    class Runner:
        def build(self, build_dir, **_):
            folders.append(build_dir)

    monkeypatch.setattr(cocotb_run, "build_cache", lambda: tmp_path)
    monkeypatch.setattr(cocotb_run, "get_runner", lambda _: Runner())
    return folders


def test_a_build_is_made_once(machine, builds):
    folders = [cocotb_run.build(machine, "verilator", trace=False) for _ in range(2)]
    assert folders[0] == folders[1]
    assert len(builds) == 1


def test_cocotb_in_another_place_is_another_build(machine, builds, monkeypatch, tmp_path):
    first = cocotb_run.build(machine, "verilator", trace=False)
    monkeypatch.setattr(cocotb_run, "libs_dir", tmp_path / "elsewhere")
    assert cocotb_run.build(machine, "verilator", trace=False) != first
    assert len(builds) == 2


def test_another_cocotb_is_another_build(machine, builds, monkeypatch):
    first = cocotb_run.build(machine, "verilator", trace=False)
    monkeypatch.setattr(cocotb_run, "version", lambda _: "0")
    assert cocotb_run.build(machine, "verilator", trace=False) != first
    assert len(builds) == 2


def test_icarus_starts_a_combinational_process_with_a_change():
    given = (
        "module top(a, b);\n  always_comb begin\n    b = a;\n  end\n"
        "  always_comb\n    c = a;\nendmodule\n"
    )
    assert cocotb_run.started(given) == (
        "module top(a, b);\n  reg time_zero; initial #0 time_zero = 0;\n"
        "  always @* begin if (time_zero) begin end\n    b = a;\n  end\n"
        "  always @* begin if (time_zero) begin end     c = a; end\nendmodule\n"
    )


def test_a_process_of_another_form_is_refused():
    with pytest.raises(ValueError, match="neither a block nor a statement on the next line"):
        cocotb_run.started("module top(a);\n  always_comb if (a) b = 1;\nendmodule\n")
