"""Every wrong use and every missing thing: one line, an exit status, nothing harmed."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neardecode.config import PRESETS
from neardecode_testbench.cli import decode as decode_command
from neardecode_testbench.cli.blocks import BLOCKS

TINY = ("decode", "--config", "tiny", "--tokens", "1", "--prompt", "a")


@pytest.fixture
def gguf(write_gguf, tmp_path):
    return write_gguf(tmp_path / "model.gguf")


@pytest.fixture
def untouched(monkeypatch):
    """Fails where a simulation begins."""

    def fail(*arguments, **options):
        raise AssertionError("simulated in spite of the error")

    monkeypatch.setattr(decode_command, "simulate", fail)


@pytest.mark.usefixtures("untouched", "in_folder")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["decode", "--config", "huge"],
         f"huge: neither a preset ({', '.join(PRESETS)}) nor a file"),
        ([*TINY, "--backend", "vcs"],
         "--backend vcs: no such backend; known: native, verilator, icarus, amaranth"),
        ([*TINY, "--model", "gpt5"], "model 'gpt5' is not known, known are: smollm2-135m"),
        ([*TINY, "--model", "random", "--gguf", "x.gguf"],
         "--model and --gguf: give one of them"),
        ([*TINY, "--gguf", "x.gguf"], "x.gguf: cannot be read: No such file or directory"),
        ([*TINY, "--prompt", ""], "--prompt holds no token"),
        ([*TINY, "--waves", "w.lxt"], "--waves w.lxt: must end in .fst or .vcd"),
        ([*TINY, "--waves", "waves"], "--waves waves: must end in .fst or .vcd"),
        ([*TINY, "--waves", "none/w.fst"], "none/w.fst: its folder does not exist"),
        ([*TINY, "--json", "none/r.json"], "none/r.json: its folder does not exist"),
        ([*TINY, "--trace", "none/t.json"], "none/t.json: its folder does not exist"),
        ([*TINY, "--json", "."], ".: is a folder"),
        (
            ["verilog", "alu"],
            "alu: no such block; known: " + ", ".join(BLOCKS),
        ),
        (
            ["area", "alu"],
            "alu: no such block; known: " + ", ".join(BLOCKS),
        ),
        (["area", "router", "--gates-only", "--to-nm", "7"], re.compile("--to-nm scales what .*")),
        (["area", "router", "--liberty-nm", "45"], re.compile("--liberty-nm is the node of .*")),
        (["area", "router", "--to-nm", "5"], re.compile("--to-nm: no rule scales from .*")),
        (["energy", "run.json", "--to-nm", "7"], re.compile("--scope, .*: only with --activity")),
        (["decode", "--wave-from", "5"], re.compile("--wave-from: only with --waves, .*")),
        (["decode", "--split", "heads"], "--split: only with --chips"),
        (["area", "router", "--set", "a b"], re.compile(r"--set a b: not TOML: .*'='.*")),
        (
            ["area", "router", "--set", "compute.vectors=9"],
            "--set compute.vectors: Input should be less than or equal to 8",
        ),
        (["area", "router", "--json", "none/a.json"], "none/a.json: its folder does not exist"),
        (["verilog", "router", "-o", "none/r.sv"], "none/r.sv: its folder does not exist"),
        (["config", "show", "huge"],
         f"huge: neither a preset ({', '.join(PRESETS)}) nor a file"),
        (["config", "check", "."], ".: cannot be read: [Errno 21] Is a directory: '.'"),
        (["model", "fetch", "gpt5"], "model 'gpt5' is not known, known are: smollm2-135m"),
        (["bench", "native", "--config", "huge"],
         f"huge: neither a preset ({', '.join(PRESETS)}) nor a file"),
        (["bench", "native", "--json", "none/b.json"], "none/b.json: its folder does not exist"),
        # Wrong use of the command line itself.
        (["decode", "--tokens", "0"],
         "Invalid value for '--tokens': Input should be greater than or equal to 1"),
        (["decode", "--tokens", "many"], re.compile(r"Invalid value for '--tokens': .*integer.*")),
        (["decode", "--bogus"], re.compile(r"No such option: --bogus.*")),
        (["decode", "--json"], re.compile(r".*--json.* requires an argument.*")),
        (["encode"], re.compile(r"No such command 'encode'\..*")),
        (["config", "check"], "Missing argument 'PRESET|FILE'."),
    ],
)  # fmt: skip
def test_a_wrong_use_is_refused_in_one_line(neardecode, in_folder, arguments, complaint):
    result = neardecode(*arguments)
    if isinstance(complaint, str):
        assert result.complaint == complaint
    else:
        assert complaint.fullmatch(result.complaint)
    assert result.out == ""
    assert list(in_folder.iterdir()) == []


def test_the_context_can_be_filled_to_its_last_token(neardecode, monkeypatch):
    def reach(*arguments, **options):
        raise OSError("simulated")

    monkeypatch.setattr(decode_command, "simulate", reach)
    arguments = ("decode", "--config", "tiny", "--prompt", "abc", "--tokens")
    assert neardecode(*arguments, 62).complaint == "simulated"
    assert neardecode(*arguments, 63).complaint.endswith("do not fit the context of 64 tokens")


def test_an_unknown_key_is_named_with_its_place(neardecode, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[flash]\nchannels = 2\nchanels = 3\n")
    for arguments in (["decode", "--config", path], ["config", "check", path], ["verilog",
                      "--config", path], ["bench", "native", "--config", path]):  # fmt: skip
        assert neardecode(*arguments).complaint.startswith(
            f"{path}:3:1: unknown key 'flash.chanels'; known here: channels, dies,"
        )


def test_a_cut_gguf_is_refused_wherever_it_ends(neardecode, gguf, tmp_path, untouched):
    whole = gguf.read_bytes()
    for length in (0, 3, 4, 20, 60, 900, len(whole) // 2, len(whole) - 40):
        path = tmp_path / f"cut{length}.gguf"
        path.write_bytes(whole[:length])
        assert neardecode(*TINY, "--gguf", path).complaint.startswith(f"{path}: ")


def test_a_gguf_whose_tokens_are_not_its_embeddings_is_refused(
    neardecode, write_gguf, tmp_path, untouched
):
    path = write_gguf(tmp_path / "model.gguf", vocabulary=250)
    assert neardecode(*TINY, "--gguf", path).complaint == (
        f"{path}: has 257 tokens and an embedding of 250"
    )


def test_a_model_that_does_not_fit_the_flash_is_refused(neardecode, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        "[flash]\nchannels = 1\ndies = 1\nbanks_a_die = 1\npages_a_bank = 2\n"
        "[decode]\nmodel = 'random'\nbackend = 'amaranth'\ncontext = 64\n"
    )
    result = neardecode("decode", "--config", path, "--tokens", 1, "--prompt", "a")
    assert result.complaint == "keys of 64 tokens take 12 pages a channel, it has 2"


@pytest.fixture
def no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize(
    ("backend", "tool"), [("native", "g++"), ("verilator", "g++"), ("icarus", "iverilog")]
)
def test_a_missing_tool_is_named(neardecode, backend, tool):
    assert neardecode(*TINY, "--backend", backend).complaint.startswith(f"{tool} is missing: ")


@pytest.mark.usefixtures("no_programs")
def test_a_missing_compiler_is_named_before_anything_was_built(neardecode, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert neardecode(*TINY, "--backend", "native").complaint == (
        "g++ is missing: compiled simulation needs it; install it (Debian: apt install g++) or use"
        " --backend amaranth, which needs no tool"
    )


@pytest.mark.usefixtures("no_programs")
def test_amaranth_needs_no_program(neardecode):
    assert neardecode(*TINY).status == 0


OUTPUTS = [("--json", "r.json"), ("--trace", "t.json"), ("--waves", "w.vcd"), ("--waves", "w.fst")]


@pytest.mark.parametrize(("option", "name"), OUTPUTS)
def test_a_full_device_is_named(neardecode, tmp_path, option, name):
    path = tmp_path / name
    path.symlink_to("/dev/full")
    assert neardecode(*TINY, option, path).complaint == f"{path}: No space left on device"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize(("option", "name"), OUTPUTS)
def test_a_full_disk_leaves_what_was_there(neardecode, tmp_path, monkeypatch, option, name, before):
    path = tmp_path / name
    if before is not None:
        path.write_text(before)
    write = Path.write_bytes

    def fill(self, data):
        if self.parent != tmp_path:
            return write(self, data)
        write(self, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill)
        result = neardecode(*TINY, option, path)
    assert result.complaint == f"{path}: No space left on device"
    assert list(tmp_path.iterdir()) == ([] if before is None else [path])
    assert before is None or path.read_text() == before


def test_a_full_disk_under_a_verilog_file_leaves_what_was_there(neardecode, tmp_path):
    path = tmp_path / "router.sv"
    path.symlink_to("/dev/full")
    result = neardecode("verilog", "router", "--config", "tiny", "-o", path)
    assert result.complaint == f"{path}: No space left on device"


def test_a_file_that_may_not_be_written_is_refused_before_the_run(
    neardecode, tmp_path, monkeypatch, untouched
):
    # Nothing is forbidden to root, so the system's answer is given here.
    path = tmp_path / "r.json"
    monkeypatch.setattr(os, "access", lambda asked, mode: asked != tmp_path)
    assert neardecode(*TINY, "--json", path).complaint == f"{path}: cannot be written"


def script(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "neardecode_testbench.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_the_script_itself_says_one_line(tmp_path):
    result = script(*TINY, "--gguf", tmp_path / "none.gguf")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"neardecode: {tmp_path / 'none.gguf'}: cannot be read: No such file or directory\n"
    )


def test_the_script_says_that_its_output_is_full():
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "neardecode_testbench.cli", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == "neardecode: [Errno 28] No space left on device\n"


def test_a_prompt_that_is_no_text_can_be_printed(tmp_path):
    result = script(*TINY[:-1], b"a\xff".decode("utf-8", "surrogateescape"))
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "a?" in result.stdout


def test_a_terminal_that_cannot_show_the_text_is_no_error():
    result = script(*TINY, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_an_error_in_the_program_itself_is_not_hidden(neardecode, monkeypatch):
    def fail(*arguments, **options):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(decode_command, "simulate", fail)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        neardecode(*TINY)


def test_an_interrupt_is_one_line(neardecode, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(decode_command, "simulate", interrupt)
    result = neardecode(*TINY)
    assert (result.status, result.complaint) == (130, "interrupted")
