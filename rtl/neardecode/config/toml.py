"""Configuration as TOML: read, written, and refused by name and position."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import ValidationError

from neardecode.config.models import Config
from neardecode.config.presets import PRESETS

__all__ = ["ConfigError", "dumps", "load", "loads"]


class ConfigError(ValueError):
    """A configuration that cannot be used, in one line that says where and why."""


def dumps(config: Config) -> str:
    """A configuration as TOML, every key written out; a part that is left out has no table."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))


def load(source: str | Path) -> Config:
    """A preset by its name, or a file by its path.

    Raises:
        ConfigError: if there is neither, or the file is not a valid configuration.
    """
    if isinstance(source, str) and source in PRESETS:
        return PRESETS[source]
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(PRESETS)
        raise ConfigError(f"{source}: neither a preset ({names}) nor a file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: cannot be read: {error}") from None
    return loads(text, name=str(source))


def loads(text: str, name: str = "configuration") -> Config:
    """A configuration out of TOML text; keys left out keep their defaults.

    Raises:
        ConfigError: naming the file, line, column, key, value and what was expected.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from None
    except (RecursionError, ValueError) as error:
        # Nested too deeply, or a number of thousands of digits.
        raise ConfigError(f"{name}: cannot be read: {error}") from None
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(key) for key in first["loc"]]
        # A rule between keys begins with the one that it refuses.
        refused = first["msg"].removeprefix("Value error, ").split()[0].split(".")
        line, column = _position(text, keys + refused if first["type"] == "value_error" else keys)
        raise ConfigError(f"{name}:{line}:{column}: {_complaint(first, keys, document)}") from None


def _complaint(error: Any, keys: Sequence[str], document: dict[str, Any]) -> str:
    key = ".".join(keys)
    if error["type"] == "extra_forbidden":
        known: Any = Config
        for part in keys[:-1]:
            annotation = known.model_fields[part].annotation
            known = next((kind for kind in get_args(annotation) if kind), annotation)
        return f"unknown key {key!r}; known here: {', '.join(known.model_fields)}"
    message = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    if not keys or isinstance(value, dict):
        return f"{key or 'configuration'}: {message}"
    return f"{key} = {value!r}: {message}"


def _position(text: str, keys: Sequence[str]) -> tuple[int, int]:
    """Line and column, from 1, of a key or of the nearest table that holds it."""
    best, best_depth = (1, 1), 0
    table: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[\[?\s*([^\[\]]+?)\s*\]", line):
            table = [part.strip(" \t\"'") for part in header[1].split(".")]
            path, column = table, header.start(1) + 1
        elif entry := re.match(r"\s*([A-Za-z0-9_\-.\"' \t]+?)\s*=", line):
            path = table + [part.strip(" \t\"'") for part in entry[1].split(".")]
            column = entry.start(1) + 1
        else:
            continue
        if path == list(keys[: len(path)]) and len(path) > best_depth:
            best, best_depth = (number, column), len(path)
    return best
