"""The neardecode command."""

import sys

from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import KNOWN_ERRORS, one_line

__all__ = ["main"]


def main() -> None:
    """Runs the command; an error that a user can mend is one line and exit status 1."""
    # Each module adds its commands.
    from neardecode_testbench.cli import bench, config, decode, model, verilog  # noqa: F401

    try:
        app()
    except KNOWN_ERRORS as error:
        sys.exit(f"neardecode: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit("neardecode: interrupted")
