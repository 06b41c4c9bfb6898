"""Libraries of cells, and the node that they are of."""

from pathlib import Path
from typing import Annotated

import typer

from neardecode_synth.liberty import INSTALLED, INSTALLED_NM, Liberty
from neardecode_synth.scaling import NODES, Factors, scale
from neardecode_testbench.cli.errors import InputError

__all__ = ["LibertyOption", "NodeOption", "ToOption", "factors_of", "library_of", "node_of"]

LibertyOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=f"Library of cells; by default {INSTALLED} where it is installed."
    ),
]
NodeOption = Annotated[
    int | None, typer.Option(metavar="NM", help="The node of --liberty, to scale from.")
]
ToOption = Annotated[
    int | None,
    typer.Option(
        metavar="NM",
        help="Scale to another node, by published rules and as a range; one of "
        f"{', '.join(map(str, NODES))}.",
    ),
]


def library_of(path: Path | None) -> Liberty | None:
    """The library of a file, or the one that is installed, if any."""
    if path is None and not INSTALLED.exists():
        return None
    return Liberty.read(path or INSTALLED)


def node_of(path: Path | None, given: int | None) -> int | None:
    """The node of a library in nm: what was given, or that of the installed one."""
    if path is None and given is not None:
        raise InputError("--liberty-nm is the node of --liberty, which was not given")
    return INSTALLED_NM if path is None else given


def factors_of(path: Path | None, given: int | None, to_nm: int | None) -> Factors | None:
    """How a library's figures scale to the node that was asked for, if any was.

    Raises:
        InputError: if nobody said of which node the library is, or no rule knows one of them.
    """
    node = node_of(path, given)
    if to_nm is None:
        return None
    if node is None:
        raise InputError("--to-nm needs --liberty-nm, the node of --liberty")
    try:
        return scale(node, to_nm)
    except ValueError as error:
        raise InputError(f"--to-nm: {error}") from None
