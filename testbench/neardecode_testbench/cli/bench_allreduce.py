"""neardecode bench allreduce: sums over all nodes, in the network and at its ends."""

import enum
from typing import Annotated, Literal

import typer
from rich.table import Table

from neardecode.config.topology import Topology
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.scenarios.allreduce import (
    WIDTH,
    bounds,
    measure_ends,
    measure_network,
)


class AllReduce(enum.StrEnum):
    """Where and how sums are made."""

    NETWORK = "network"
    RING = "ring"
    DOUBLING = "doubling"


MESHES = {2: (2,), 4: (2, 2), 8: (4, 2), 16: (4, 4)}
WORD_BYTES = WIDTH // 8


@commands.command()
def allreduce(
    nodes: Annotated[
        list[int] | None, typer.Option("--nodes", help="2, 4, 8 or 16; may be repeated.")
    ] = None,
    size: Annotated[int, typer.Option("--bytes", min=WORD_BYTES, help="Of a vector.")] = 8192,
    algorithm: Annotated[
        list[AllReduce] | None,
        typer.Option("--algorithm", help="May be repeated; by default all."),
    ] = None,
    topology: Annotated[Literal["mesh", "ring"], typer.Option(help="How nodes are joined.")] = (
        "mesh"
    ),
    link_latency: Annotated[int, typer.Option(min=1, max=64, help="Registers of a link.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the vectors.")] = 1,
    json: JsonOption = None,
) -> None:
    """Add a vector of every node and give the sum to all, in cycles beside the least possible.

    In the network: a word is added on its way up a tree, and the sum comes down, words + diameter
    * hop at best. At the ends: in shares round a ring, or all of it to partners at doubling
    distances; 2 * words * (nodes - 1) / nodes + hop at best. Every result at every node is checked.

    Example: `neardecode bench allreduce --nodes 16 --bytes 8192 --algorithm network`
    """
    check_writable(json)
    quiet = json is not None and str(json) == "-"
    chosen = nodes or sorted(MESHES)
    for count in chosen:
        if count not in MESHES:
            raise InputError(f"--nodes must be 2, 4, 8 or 16, not {count}")
        if size % (WORD_BYTES * count):
            raise InputError(
                f"--bytes must be a multiple of {WORD_BYTES * count} for {count} nodes, not {size}"
            )
    words = size // WORD_BYTES
    rows = []
    for count in chosen:
        joined = (
            Topology((count,), closed=count > 2) if topology == "ring" else Topology(MESHES[count])
        )
        least = bounds(joined, words, link_latency)
        for name in dict.fromkeys(algorithm or AllReduce):
            if name is AllReduce.NETWORK:
                cycles = measure_network(joined, words, link_latency, seed, "native")
                bound = least.network
            else:
                cycles = measure_ends(joined, name.value, words, link_latency, seed, "native")
                bound = least.ends
            rows.append(
                {
                    "nodes": count,
                    "algorithm": name.value,
                    "cycles": cycles,
                    "bound": bound,
                    "ratio": bound / cycles,
                    "network_bound": least.network,
                }
            )
    if not quiet:
        table = Table(
            title=f"All-reduce of {size:,} bytes, {words:,} words of {WIDTH} bits, {topology},"
            f" {link_latency + 1} cycles a hop",
            title_justify="left",
        )
        for column in ("nodes", "algorithm", "cycles", "its bound", "bound / cycles"):
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(
                str(row["nodes"]),
                row["algorithm"],
                f"{row['cycles']:,}",
                f"{row['bound']:,}",
                f"{row['ratio']:.3f}",
            )
        console.print(table)
    write_json(
        json,
        {
            "bytes": size,
            "words": words,
            "topology": topology,
            "link_latency": link_latency,
            "seed": seed,
            "runs": rows,
        },
    )
