"""neardecode model: get model files."""

from typing import Annotated

import typer

from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.output import JsonOption, console, write_json
from neardecode_testbench.reference.models import MODELS, fetch

commands = typer.Typer(help="Get model files.", no_args_is_help=True)
app.add_typer(commands, name="model")


@commands.command("fetch")
def fetch_model(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(MODELS)}.")] = "smollm2-135m",
    again: Annotated[bool, typer.Option("--again", help="Fetch even if a file is there.")] = False,
    json: JsonOption = None,
) -> None:
    """Fetch a model into the user's cache and check its SHA-256.

    Example: `neardecode model fetch smollm2-135m`
    """
    quiet = json is not None and str(json) == "-"
    if quiet:
        path = fetch(name, again=again)
    else:
        with console.status(f"{name}: looking") as status:
            path = fetch(name, again=again, progress=lambda line: status.update(f"{name}: {line}"))
        console.print(f"{name}: {path}", soft_wrap=True, highlight=False)
    write_json(json, {"name": name, "path": str(path), "bytes": path.stat().st_size})
