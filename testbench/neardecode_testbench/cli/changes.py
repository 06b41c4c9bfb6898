"""Changes of a configuration's keys on the command line."""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from neardecode.config import Config, ConfigError, load, merged, with_changes
from neardecode_testbench.cli.errors import InputError

__all__ = ["SetOption", "changed", "config_of"]

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="In its place, as TOML; may be repeated."),
]
"""Changes of the configuration that a command has loaded."""


def changed(config: Config, changes: list[str]) -> Config:
    """A configuration with some of its keys in place of its own.

    Args:
        config: What is changed.
        changes: Each a line of TOML.

    Raises:
        InputError: if a change is no TOML, or its key or value is refused.
    """
    given: dict[str, Any] = {}
    for change in changes:
        try:
            given = merged(given, tomllib.loads(change))
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"--set {change}: not TOML: {error}") from None
    try:
        return with_changes(config, given)
    except ConfigError as error:
        raise InputError(f"--set {error}") from None


def config_of(run: Mapping[str, Any]) -> Config:
    """The configuration of a run, from what its command wrote as JSON.

    Raises:
        ConfigError: if it is a file that is there no more, or another than it was.
        InputError: as `changed`.
    """
    return changed(load(run["config"]), list(run.get("set", ())))
