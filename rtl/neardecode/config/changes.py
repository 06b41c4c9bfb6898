"""A configuration with some of its keys in place of its own."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from neardecode.config.models import Config
from neardecode.config.toml import ConfigError

__all__ = ["merged", "with_changes"]


def with_changes(config: Config, changes: Mapping[str, Any]) -> Config:
    """A configuration with some of its keys in place of its own, by section.

    Raises:
        ConfigError: if it does not fit together.
    """
    try:
        return Config.model_validate(merged(config.model_dump(), changes))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None


def merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with keys of tables within tables in place of their own."""
    result = dict(tables)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            value = merged(old, value)
        result[key] = value
    return result
