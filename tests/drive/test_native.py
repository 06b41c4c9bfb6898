import numpy as np
import pytest

from neardecode_testbench.drive import native, native_build
from neardecode_testbench.drive.native import NativeRunner
from neardecode_testbench.drive.stimulus import Play, Probe, Storage
from neardecode_testbench.drive.toolchain import ToolError


def test_two_runners_share_nothing(machine):
    first, second = NativeRunner(machine), NativeRunner(machine)
    first.probe(Probe({"wide": 5}, []))
    assert second.probe(Probe({}, ["wide_copy", "cycle"])).outputs == {"wide_copy": 0, "cycle": 0}
    first.close()
    first.close()
    assert second.probe(Probe({}, ["cycle"])).outputs == {"cycle": 1}
    assert second.cycle == 2
    second.close()


@pytest.mark.parametrize(
    ("port", "beat_bytes", "writable", "why"),
    [
        ("storage", 71, False, "its beats have 256 bits, not 568"),
        ("store", 72, True, "its beats have 568 bits, not 576"),
        ("storage", 32, True, "the port only reads"),
        ("store", 71, False, "the port writes"),
    ],
)
def test_a_storage_that_is_not_as_its_port_is_refused(machine, port, beat_bytes, writable, why):
    storage = Storage(port, np.zeros(720, np.uint8), beat_bytes, writable=writable)
    runner = NativeRunner(machine)
    with pytest.raises(ValueError, match=f"^{port}: {why}$"):
        runner.play(Play(storages=[storage]))
    runner.close()


def test_the_runner_is_closed_when_a_scenario_fails(machine, monkeypatch):
    closed = []
    close = NativeRunner.close
    monkeypatch.setattr(NativeRunner, "close", lambda self: (closed.append(1), close(self)))
    with pytest.raises(ZeroDivisionError):
        native.run(machine, lambda step: 1 // 0, waves=None, wave_cycles=0)
    assert closed == [1]


def test_a_wave_file_that_cannot_be_written_is_named(machine, tmp_path):
    path = tmp_path / "none" / "waves.vcd"
    with pytest.raises(ToolError) as caught:
        native.run(machine, lambda step: None, waves=path, wave_cycles=5)
    assert str(caught.value) == f"{path}: cannot be written"


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    folder = tmp_path / "builds"
    monkeypatch.setattr(native_build, "build_cache", lambda: folder)
    return folder / "native"


def test_a_missing_compiler_is_named(machine, fresh_cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ToolError, match=r"^g\+\+ is missing: compiled simulation needs it; inst"):
        NativeRunner(machine)


def test_a_compiler_that_fails_leaves_nothing_behind(machine, fresh_cache, tmp_path, monkeypatch):
    fake = tmp_path / "c++"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit\n'
        "echo x.cpp: In function f: >&2\necho x.cpp:1: fatal error: no space >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("CXX", str(fake))
    with pytest.raises(ToolError) as caught:
        NativeRunner(machine)
    assert str(caught.value) == "c++ failed: x.cpp:1: fatal error: no space"
    assert list(fresh_cache.iterdir()) == []


def test_a_build_is_made_once(machine, fresh_cache, monkeypatch):
    compiled = []

    def compile_library(folder, *rest):
        compiled.append(folder)
        (folder / "library.so").touch()

    monkeypatch.setattr(native_build, "_compile", compile_library)
    assert native_build.build(machine, False) == native_build.build(machine, False)
    assert len(compiled) == 1
    assert [path.suffix for path in fresh_cache.iterdir()] == [".so"]


def test_a_build_with_waves_is_another(machine, fresh_cache, monkeypatch):
    flags = []
    monkeypatch.setattr(
        native_build,
        "_compile",
        lambda folder, *rest: (flags.append(rest), (folder / "library.so").touch()),
    )
    libraries = {native_build.build(machine, trace)[0] for trace in (False, True, False)}
    assert len(libraries) == len(flags) == 2
