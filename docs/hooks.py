"""Pages of the site that are not written here: each README where it lies, and the commands."""

import os
import subprocess
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.testing import CliRunner

from neardecode_testbench.cli import load_commands
from neardecode_testbench.cli.app import app

__all__ = ["commands_page", "on_files"]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("README.md", "rtl", "synth", "testbench")
WIDTH = 96


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds every README at its own path, where its links lead to what they name."""
    for path in _documents():
        files.append(File.generated(config, str(path), abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def _documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    known = listed.stdout.split() if listed.returncode == 0 else []
    found = known or [str(path.relative_to(ROOT)) for path in sorted(ROOT.rglob("*.md"))]
    return [Path(each) for each in found if Path(each).parts[0] in SOURCES]


def commands_page() -> str:
    """What every command says of itself."""
    load_commands()
    command = typer.main.get_command(app)
    parts = ["# Commands\n\nWhat each command prints with `--help`.\n"]
    for words in _commands(command, ()):
        shown = " ".join(("neardecode", *words))
        parts.append(f"## {shown}\n\n```text\n{_help(words)}\n```\n")
    return "\n".join(parts)


def _commands(command: Any, words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All commands that do something, by their words."""
    if (under := getattr(command, "commands", None)) is None:
        return [words]
    return [
        found for name, each in sorted(under.items()) for found in _commands(each, (*words, name))
    ]


def _help(words: tuple[str, ...]) -> str:
    saved = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        result = CliRunner().invoke(app, [*words, "--help"], prog_name="neardecode", color=False)
    finally:
        if saved is None:
            os.environ.pop("COLUMNS")
        else:
            os.environ["COLUMNS"] = saved
    if result.exit_code:
        raise RuntimeError(f"neardecode {' '.join(words)} --help: {result.output}")
    lines = [line.rstrip() for line in result.output.splitlines()]
    return "\n".join(lines).strip("\n")
