"""Where a command's results go: JSON for machines, tables for people."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.drive.design import write_atomically
from neardecode_testbench.report.curve import FORMATS

__all__ = ["JsonOption", "check_pictures", "check_writable", "console", "write_json"]

console = Console(stderr=False)

JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the results as JSON; `-` prints them."),
]


def write_json(path: Path | None, results: dict[str, Any]) -> None:
    """Writes results as JSON, whole or not at all."""
    if path is None:
        return
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(path, text)


def check_writable(*paths: Path | None) -> None:
    """Refuses, before a long run, files that could not be written after it.

    Raises:
        InputError: naming the file.
    """
    for path in paths:
        if path is None or str(path) == "-":
            continue
        folder = path.absolute().parent
        if not folder.is_dir():
            raise InputError(f"{path}: its folder does not exist")
        if path.is_dir():
            raise InputError(f"{path}: is a folder")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise InputError(f"{path}: cannot be written")


def check_pictures(option: str, files: Sequence[Path]) -> None:
    """Refuses pictures of a kind that is not drawn.

    Raises:
        InputError: naming the option and the file.
    """
    for file in files:
        if file.suffix[1:] not in FORMATS:
            raise InputError(f"{option}: {file} does not end in .{' or .'.join(FORMATS)}")
