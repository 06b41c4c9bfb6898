import subprocess
import sys

import pytest
import typer

from neardecode_testbench.cli.app import app

COMMANDS = [
    ("decode",),
    ("energy",),
    ("experiment", "ablation"),
    ("experiment", "baseline"),
    ("experiment", "claims"),
    ("experiment", "scaling"),
    ("experiment", "yield"),
    ("explain",),
    ("lint",),
    ("project",),
    ("report",),
    ("sweep",),
    ("verilog",),
    ("accuracy",),
    ("area",),
    ("config", "show"),
    ("config", "check"),
    ("model", "fetch"),
    ("bench", "allreduce"),
    ("bench", "attention"),
    ("bench", "ecc"),
    ("bench", "fabric"),
    ("bench", "flash"),
    ("bench", "link"),
    ("bench", "mac"),
    ("bench", "native"),
    ("bench", "near"),
    ("bench", "softmax"),
    ("bench", "stack"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_an_example(neardecode, command):
    result = neardecode(*command, "--help")
    assert (result.status, result.err) == (0, "")
    text = " ".join(result.out.split())
    assert "Example" in text
    assert f"neardecode {' '.join(command)}" in text.partition("Example")[2]


@pytest.mark.parametrize("group", [(), ("config",), ("model",), ("bench",), ("experiment",)])
def test_help_of_a_group_names_its_commands(neardecode, group):
    asked = neardecode(*group, "--help")
    assert asked.status == 0
    for command in COMMANDS:
        if command[: len(group)] == group:
            assert command[len(group)] in asked.out
    bare = neardecode(*group)
    assert bare.status == 2
    assert "Commands" in bare.out + bare.err


def leaves(command, path=()):
    """Every command that does something, by its words."""
    if not hasattr(command, "commands"):
        return {path}
    return {
        leaf for name, inner in command.commands.items() for leaf in leaves(inner, (*path, name))
    }


def test_every_command_is_in_these_tests(neardecode):
    neardecode("--help")
    assert leaves(typer.main.get_command(app)) == set(COMMANDS)


def test_the_package_can_be_run():
    result = subprocess.run(
        [sys.executable, "-m", "neardecode_testbench.cli", "config", "check", "hbf16"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    assert result.stdout.startswith("hbf16: valid; ")
