"""The neardecode command."""

import io
import signal
import sys
import warnings
from typing import NoReturn

from amaranth.hdl import UnusedElaboratable

from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import KNOWN_ERRORS, one_line

__all__ = ["load_commands", "main"]

INTERRUPTED = 130
"""The exit status that Typer gives to an interrupt."""


def load_commands() -> None:
    """Imports the modules of all commands; each adds its own."""
    from neardecode_testbench.cli import (  # noqa: F401
        accuracy,
        area,
        bench,
        bench_allreduce,
        bench_attention,
        bench_ecc,
        bench_fabric,
        bench_flash,
        bench_link,
        bench_mac,
        bench_near,
        bench_softmax,
        bench_stack,
        config,
        decode,
        energy,
        experiment,
        explain,
        lint,
        model,
        project,
        report,
        sweep,
        verilog,
    )


def main() -> None:
    """Runs the command; an error that a user can mend is one line and exit status 1."""
    load_commands()
    for stream in (sys.stdout, sys.stderr):
        # A model may write what the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGINT, _interrupt)
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
    except KNOWN_ERRORS as error:
        sys.exit(f"neardecode: {one_line(error)}")
    except Exception as error:
        # A wrong use of the command line; Typer does not export the class.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        # Without arguments there is a help text, already printed, and no message.
        if message := " ".join(format_message().split()):
            print(f"neardecode: {message}", file=sys.stderr)
        sys.exit(2)
    if status == INTERRUPTED:
        print("neardecode: interrupted", file=sys.stderr)
    sys.exit(status)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    """Hardware that is half elaborated then is nobody's mistake."""
    warnings.simplefilter("ignore", UnusedElaboratable)
    raise KeyboardInterrupt
