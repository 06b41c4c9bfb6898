"""Changes of a configuration's keys on the command line."""

import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from neardecode.config import Config
from neardecode_testbench.cli.errors import InputError

__all__ = ["changed"]


def changed(config: Config, changes: list[str]) -> Config:
    """A configuration with some of its keys in place of its own.

    Args:
        config: What is changed.
        changes: Each a line of TOML.

    Raises:
        InputError: if a change is no TOML, or its key or value is refused.
    """
    tables = config.model_dump(exclude_none=True)
    for change in changes:
        try:
            _merge(tables, tomllib.loads(change))
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"--set {change}: not TOML: {error}") from None
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise InputError(f"--set {key}: {first['msg'].removeprefix('Value error, ')}") from None


def _merge(tables: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Puts keys into tables within tables."""
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(tables.get(key), dict):
            _merge(tables[key], value)
        else:
            tables[key] = value
