"""neardecode bench fabric: latency and throughput of a network."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from neardecode.config.topology import Topology, refuse_cycle
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import (
    JsonOption,
    check_pictures,
    check_writable,
    console,
    write_json,
)
from neardecode_testbench.drive.design import write_atomically
from neardecode_testbench.drive.prove import ProofError
from neardecode_testbench.drive.traffic import FabricShape
from neardecode_testbench.report.curve import latency_curve
from neardecode_testbench.scenarios.fabric_load import (
    FabricLoad,
    Measure,
    Pattern,
    measure_guarantee,
    measure_load,
    soak,
    sweep,
    zero_load_latency,
)
from neardecode_testbench.scenarios.fabric_proofs import prove_routers

TopologyName = Literal["mesh", "line", "torus", "ring"]
SWEEP_STEPS = 20


@commands.command()
def fabric(
    topology: Annotated[TopologyName, typer.Option(help="How routers are joined.")] = "mesh",
    size: Annotated[str, typer.Option(metavar="XxY|N", help="Routers.")] = "4x4",
    pattern: Annotated[Pattern, typer.Option(help="Where packets go.")] = "uniform",
    vcs: Annotated[int, typer.Option(min=1, max=8, help="Virtual channels.")] = 2,
    depth: Annotated[int, typer.Option(min=1, max=64, help="Flits of a channel's buffer.")] = 8,
    packet: Annotated[int, typer.Option(min=1, max=1024, help="Flits of a packet.")] = 1,
    load: Annotated[
        float, typer.Option(min=0.0001, max=1, help="Flits that a node makes in a cycle.")
    ] = 0.3,
    link_latency: Annotated[int, typer.Option(min=0, max=16, help="Registers of a link.")] = 1,
    token_share: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Packets of the token class; else one class."),
    ] = None,
    hot_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Of hotspot: packets to the middle.")
    ] = 0.2,
    sweep_: Annotated[
        bool, typer.Option("--sweep", help="Instead of one load, twenty up to it.")
    ] = False,
    plot: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="With --sweep: draw the curve, .png or .svg; repeatable."
        ),
    ] = None,
    guarantee: Annotated[
        bool, typer.Option("--guarantee", help="Instead, hold the bound of tokens against bulk.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=2, help="Of --guarantee: runs.")] = 20,
    flits: Annotated[
        int, typer.Option(min=1, help="Of --guarantee: flits of tokens, in all runs together.")
    ] = 100_000,
    burst: Annotated[int, typer.Option(min=1, help="Of --guarantee: packets at once.")] = 1,
    window: Annotated[
        int | None, typer.Option(min=1, help="Of --guarantee: cycles between bursts.")
    ] = None,
    soak_: Annotated[
        int | None,
        typer.Option("--soak", min=1, metavar="N", help="Instead, N random flits, each checked."),
    ] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Instead, prove the network's routers.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of what is left to chance.")] = 1,
    json: JsonOption = None,
) -> None:
    """Measure latency and throughput of a network, every flit checked where it arrives.

    Example: `neardecode bench fabric --size 4x4 --pattern transpose --load 0.3 --json t.json`

    Example: `neardecode bench fabric --packet 5 --load 1 --sweep --plot curve.png --plot curve.svg`

    With `--guarantee` tokens within a declared burst share the network with bulk at full load,
    and the longest that one took is compared with the computed bound.

    Example: `neardecode bench fabric --guarantee --seeds 1000 --flits 10000000`

    Example: `neardecode bench fabric --topology torus --vcs 4 --soak 10000000`

    With `--prove` each kind of router that the network has is proved for all time: nothing lost,
    doubled, misled or out of order, no buffer too full, credits conserved, and how long tokens
    wait.

    Example: `neardecode bench fabric --topology line --size 3 --depth 4 --prove`
    """
    plots = plot or []
    check_writable(json, *plots)
    if plots and not sweep_:
        raise InputError("--plot draws the curve of --sweep, which was not asked for")
    check_pictures("--plot", plots)
    quiet = json is not None and str(json) == "-"
    try:
        shape = FabricShape(_topology(topology, size), depth, (vcs,), link_latency)
        refuse_cycle(shape.topology)
        lanes = shape.topology.lanes
        if token_share is not None or guarantee:
            shape = _two_classes(shape, vcs)
        elif vcs % lanes:
            raise ValueError(f"a {topology} needs an even number of virtual channels, not {vcs}")
        if guarantee:
            _guarantee(shape, burst, packet, seeds, flits, seed, window, quiet, json)
            return
        if prove:
            _prove(_two_classes(shape, vcs) if vcs >= 2 * lanes else shape, quiet, json)
            return
        if soak_ is not None:
            checked, cycles = soak(
                _two_classes(shape, vcs) if vcs >= 2 * lanes else shape, soak_, seed
            )
            if not quiet:
                console.print(f"{checked:,} flits in {cycles:,} cycles, each as it was sent")
            write_json(json, {"flits": checked, "cycles": cycles, "seed": seed})
            return
        given = FabricLoad(shape, pattern, load, packet, token_share, hot_share, seed)
        zero_load = zero_load_latency(given)
        loads = [load * step / SWEEP_STEPS for step in range(1, SWEEP_STEPS + 1)]
        runs = [replace(given, load=one) for one in loads] if sweep_ else [given]
        full = replace(given, load=1.0)
        # Built once, before threads ask for it.
        first = measure_load(runs[0])
        measured = [first, *sweep([*runs[1:], full])]
    except ValueError as error:
        raise InputError(str(error)) from None
    saturation = measured.pop()[0].accepted
    if plots:
        title = f"{topology} {size}, {pattern}, {vcs} x {depth} flits, packets of {packet}"
        means = [(m[0].offered, m[0].latency_mean) for m in measured]
        points = [(x, y) for x, y in means if y is not None]
        for file in plots:
            write_atomically(file, latency_curve(title, points, zero_load, file.suffix[1:]))
    if not quiet:
        _print(given, runs, measured, zero_load, saturation)
    results = {
        "topology": topology,
        "size": size,
        "pattern": pattern,
        "vcs": vcs,
        "depth": depth,
        "packet": packet,
        "load": load,
        "seed": seed,
        "zero_load_latency": zero_load,
        "saturation": saturation,
        **_numbers(measured[-1]),
    }
    if sweep_:
        results["sweep"] = [
            {"load": run.load, **_numbers(of_run)}
            for run, of_run in zip(runs, measured, strict=True)
        ]
    write_json(json, results)


def _topology(name: str, size: str) -> Topology:
    try:
        sizes = tuple(int(number) for number in size.split("x"))
    except ValueError:
        raise InputError(f"--size: {size!r} is not like 4x4 or 8") from None
    dimensions = 2 if name in ("mesh", "torus") else 1
    if len(sizes) != dimensions:
        raise InputError(f"--size: a {name} has {dimensions} numbers, not {size!r}")
    if max(sizes) > 16:
        raise InputError(f"--size: at most 16 routers in a row, not {max(sizes)}")
    return Topology(sizes, closed=name in ("torus", "ring"))


def _two_classes(shape: FabricShape, vcs: int) -> FabricShape:
    lanes = shape.topology.lanes
    if vcs < 2 * lanes or vcs % lanes:
        raise InputError(
            f"--vcs: tokens and bulk need a multiple of {lanes} virtual channels, at least"
            f" {2 * lanes}, not {vcs}"
        )
    return replace(shape, classes=(lanes, vcs - lanes))


def _guarantee(shape, burst, packet, seeds, flits, seed, window, quiet, json) -> None:
    result = measure_guarantee(shape, burst, packet, seeds, flits, seed, window)
    worst = max(result.worst, result.worst_adversarial)
    if not quiet:
        table = Table(
            title=f"Bursts of {burst} packets of {packet} flits every {result.window} cycles",
            title_justify="left",
        )
        for column in ("bound", "worst random", "worst to one corner", "share of the bound"):
            table.add_column(column, justify="right")
        table.add_row(
            *(f"{number:,}" for number in (result.bound, result.worst, result.worst_adversarial)),
            f"{worst / result.bound:.1%}",
        )
        console.print(table)
        console.print(
            f"{result.token_flits:,} token flits in {seeds} runs of {result.cycles:,} cycles,"
            f" beside {result.bulk_accepted:.2f} flits of bulk a node and cycle"
        )
    write_json(json, {**asdict(result), "seeds": seeds, "share": worst / result.bound})
    if worst > result.bound:
        raise InputError(f"a token took {worst} cycles, the bound is {result.bound}")
    if result.missing:
        raise InputError(f"{result.missing} flits of tokens took longer than {result.bound} cycles")


def _prove(shape: FabricShape, quiet: bool, json: Path | None) -> None:
    try:
        proofs = prove_routers(shape)
    except ProofError as error:
        raise InputError(str(error)) from None
    if not quiet:
        table = Table(title="Routers proved by k-induction", title_justify="left")
        for column in ("inputs", "outputs", "turns", "tokens' wait", "seconds"):
            table.add_column(column, justify="right")
        for proof in proofs:
            table.add_row(
                *(" ".join(map(str, ports)) for ports in (proof.inputs, proof.outputs)),
                str(proof.turns),
                "bounded" if proof.bounded_wait else "-",
                f"{proof.seconds:.1f}",
            )
        console.print(table)
    write_json(json, {"routers": [asdict(proof) for proof in proofs]})


def _numbers(measured: tuple[Measure, ...]) -> dict[str, object]:
    numbers = asdict(measured[0])
    numbers["cycles_a_second"] = measured[0].cycles / measured[0].seconds
    if len(measured) > 1:
        numbers["token"], numbers["bulk"] = map(asdict, measured[1:])
    return numbers


def _print(
    given: FabricLoad,
    runs: Sequence[FabricLoad],
    measured: Sequence[tuple[Measure, ...]],
    zero_load: float,
    saturation: float,
) -> None:
    table = Table(title=f"{given.pattern}, packets of {given.packet_flits}", title_justify="left")
    columns = ("load", "class", "offered", "accepted", "mean", "p50", "p99", "p99.9", "max", "hops")
    for column in columns:
        table.add_column(column, justify="right")
    for run, of_run in zip(runs, measured, strict=True):
        for name, one in zip(("all", "token", "bulk"), of_run, strict=False):
            latencies = (
                *(one.latency_mean, one.latency_p50, one.latency_p99),
                *(one.latency_p999, one.latency_max, one.hops_mean),
            )
            table.add_row(
                f"{run.load:.3f}",
                name,
                *(f"{flits:.4f}" for flits in (one.offered, one.accepted)),
                *("-" if number is None else f"{number:,.4g}" for number in latencies),
            )
    console.print(table)
    last = measured[-1][0]
    console.print(
        f"zero load {zero_load:.2f} cycles; accepted at full load {saturation:.4f};"
        f" {last.cycles / last.seconds:,.0f} cycles a second of a core"
    )
    if last.missing:
        console.print(
            f"{last.missing:,} packets had not arrived in the end: the network is saturated,"
            " and latencies are of the others"
        )
