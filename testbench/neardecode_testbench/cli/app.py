"""The application that the commands are added to."""

import typer

__all__ = ["app"]

app = typer.Typer(
    help="A memory system for LLM decode, simulated cycle by cycle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
