import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import PRESETS
from neardecode_testbench.devices.board import Board
from neardecode_testbench.drive import design, native_build
from neardecode_testbench.drive.design import Design, Port, digest, write_atomically


class Constant(wiring.Component):
    i: In(3)
    o: Out(8)

    def __init__(self, value=1):
        self._value = value
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self._value)
        return m


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "builds"
    monkeypatch.setattr(design, "build_cache", lambda: folder)
    monkeypatch.setattr(native_build, "build_cache", lambda: folder)
    return folder


@pytest.fixture
def conversions(monkeypatch):
    """Counts what is really converted."""
    names = []
    convert = design.to_verilog

    def count(component, name):
        names.append(name)
        return convert(component, name)

    monkeypatch.setattr(design, "to_verilog", count)
    return names


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert design.build_cache().is_relative_to(tmp_path)


def test_files_are_the_verilog_and_the_ports(cache):
    verilog, ports = Design(Constant).files()
    text = verilog.read_text()
    assert text.startswith("`timescale 1ns/1ps\n")
    assert "module dut(" in text
    assert ports == [Port("i", 3, True), Port("o", 8, False)]


def test_a_conversion_is_made_once(cache, conversions):
    first = Design(Constant, (3,)).files()
    assert Design(Constant, (3,)).files() == first
    assert conversions == ["dut"]


def test_another_argument_is_another_build(cache, conversions):
    folders = {Design(Constant, (value,)).files()[0].parent for value in (1, 2, 1)}
    assert len(folders) == len(conversions) == 2


def test_any_changed_key_of_a_configuration_is_another_build(cache, monkeypatch):
    monkeypatch.setattr(design, "to_verilog", lambda component, name: "")
    tiny = PRESETS["tiny"]
    other = tiny.model_copy(update={"fabric": tiny.fabric.model_copy(update={"link_latency": 2})})
    folders = {Design(Board, (config,)).files()[0] for config in (tiny, other)}
    assert len(folders) == 2


def test_another_component_is_another_build(cache):
    class Other(Constant):
        pass

    assert Design(Constant).files()[0] != Design(Other).files()[0]


def test_a_change_of_the_hardwares_source_is_another_build(cache, monkeypatch, tmp_path):
    first = Design(Constant).files()[0]
    source = tmp_path / "package"
    source.mkdir()
    (source / "block.py").write_text("a = 1\n")
    monkeypatch.setattr(design.neardecode, "__path__", [str(source)])

    def changed():
        design._sources.cache_clear()
        return Design(Constant).files()[0]

    try:
        seen = [first, changed()]
        (source / "block.py").write_text("a = 2\n")
        seen.append(changed())
        (source / "block.py").rename(source / "brick.py")
        seen.append(changed())
        assert len(set(seen)) == 4
        assert changed() == seen[-1]
    finally:
        monkeypatch.undo()
        design._sources.cache_clear()


def test_a_change_of_the_components_own_file_is_another_build(cache, monkeypatch, tmp_path):
    first = Design(Constant).files()[0]
    copy = tmp_path / "copy.py"
    copy.write_text(Path(__file__).read_text() + "\n")
    monkeypatch.setattr(design.inspect, "getsourcefile", lambda component: str(copy))
    assert Design(Constant).files()[0] != first


def test_a_conversion_that_fails_leaves_no_build(cache, monkeypatch, conversions):
    def fail(component, name):
        raise RuntimeError("Yosys failed")

    with monkeypatch.context() as patch:
        patch.setattr(design, "to_verilog", fail)
        with pytest.raises(RuntimeError):
            Design(Constant).files()
    assert not cache.exists() or not [path for path in cache.rglob("*") if path.is_file()]
    assert Design(Constant).files()[0].exists()


def test_builds_at_the_same_time_do_not_meet(cache, monkeypatch):
    converting, compiling = Barrier(2), Barrier(2)
    convert = design.to_verilog

    def convert_together(component, name):
        converting.wait(timeout=60)
        return convert(component, name)

    def compile_together(folder, *rest):
        (folder / "library.so").write_text("built")
        compiling.wait(timeout=60)

    monkeypatch.setattr(design, "to_verilog", convert_together)
    monkeypatch.setattr(native_build, "_compile", compile_together)
    with ThreadPoolExecutor(2) as pool:
        builds = [pool.submit(native_build.build, Design(Constant, (77,)), False) for _ in range(2)]
        (library, ports), other = (build.result() for build in builds)
    assert other == (library, ports)
    assert library.read_text() == "built"
    assert list((cache / "native").iterdir()) == [library]
    (folder,) = (cache / "verilog").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["dut.v", "ports.json"]


def test_a_digest_tells_where_parts_end():
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("ab", b"c") == digest("ab", "c")
    assert len(digest()) == 32


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.json"
    write_atomically(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_has_the_mode_of_the_users_mask(tmp_path):
    path, plain = tmp_path / "file", tmp_path / "plain"
    write_atomically(path, "new")
    plain.write_text("new")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_file_that_was_there_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_and_its_file_is_written(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(path)
    for text in ("new", "newer"):
        write_atomically(link, text)
        assert link.is_symlink()
        assert path.read_text() == text


def test_a_device_stays_a_device(tmp_path):
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_atomically(link, "gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["null"]


def test_a_pipe_is_written_to(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(path.read_text)
        write_atomically(path, "through")
        assert reading.result() == "through"
    assert path.is_fifo()


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("failing", ["write_bytes", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, before, failing):
    path = tmp_path / "file"
    if before is not None:
        path.write_text(before)
    write = Path.write_bytes

    def fill(self, data):
        write(self, data[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace(source, target):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        if failing == "replace":
            patch.setattr(design.os, "replace", replace)
        else:
            patch.setattr(Path, "write_bytes", fill)
        with pytest.raises(OSError, match=r"No space left|Input/output error") as caught:
            write_atomically(path, "new contents")
    assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["file"])
    assert before is None or path.read_text() == before


def test_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def interrupt(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(design.os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_ports_are_read_back_as_they_were(cache):
    _, fresh = Design(Constant).files()
    verilog, cached = Design(Constant).files()
    assert cached == fresh
    listing = json.loads((verilog.parent / "ports.json").read_text())
    assert listing[0] == {"name": "i", "width": 3, "is_input": True}
