"""neardecode bench link: a protected link under errors, bursts, outages and dead lanes."""

import math
from typing import Annotated

import numpy as np
import typer
from pydantic import ValidationError
from rich.table import Table

from neardecode.config import Protection, Repair
from neardecode.lib.crc import CHECKED_BITS, DISTANCES
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.devices.link_bench import ProtectedLinkBench
from neardecode_testbench.devices.link_channel import CANDIDATES
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.link_campaign import LinkCampaign

MOST_BURST_CYCLES = (1 << 16) - 1
MOST_OUTAGE_CYCLES = (1 << 24) - 1
GROUPS = 4


@commands.command()
def link(
    errors: Annotated[float, typer.Option(metavar="RATE", help="Bit error rate.")] = 1e-4,
    bursts: Annotated[float, typer.Option(metavar="RATE", help="Bursts a cycle.")] = 1e-4,
    burst_cycles: Annotated[
        int, typer.Option(min=1, max=MOST_BURST_CYCLES, help="Cycles of a burst.")
    ] = 8,
    outages: Annotated[float, typer.Option(metavar="RATE", help="Outages a cycle.")] = 1e-5,
    outage_cycles: Annotated[
        int, typer.Option(min=1, max=MOST_OUTAGE_CYCLES, help="Cycles of an outage.")
    ] = 2000,
    dead_lanes: Annotated[
        int, typer.Option(min=0, max=GROUPS, help="Dead lanes each way, one a group at most.")
    ] = 1,
    flits: Annotated[int, typer.Option(min=1, help="Flits each way.")] = 100_000,
    payload_bits: Annotated[int, typer.Option(min=1, max=512, help="Bits of a flit.")] = 96,
    latency: Annotated[int, typer.Option(min=0, max=256, help="Cycles on the lanes.")] = 20,
    window: Annotated[int, typer.Option(help="Flits kept for replay.")] = 64,
    checksum_bits: Annotated[int, typer.Option(help="Bits of the checksum.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Of flits and faults.")] = 1,
    json: JsonOption = None,
) -> None:
    """Send flits both ways over a protected link while its lanes fail, and check every one.

    Fails if a flit is lost, comes twice, out of order or changed.

    Example: `neardecode bench link --errors 1e-4 --bursts 1e-4 --dead-lanes 2 --flits 1000000`
    """
    check_writable(json)
    quiet = json is not None and str(json) == "-"
    try:
        protection = Protection.model_validate(
            {
                "latency": latency,
                "window": window,
                "buffer_units": max(3, window),
                "checksum_bits": checksum_bits,
                "repair": Repair(groups=GROUPS, spares=1),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, first['loc'])) or 'link'}: {first['msg']}") from None
    design = Design(ProtectedLinkBench, (payload_bits, protection, seed))
    for name, rate in (("bursts", bursts), ("outages", outages)):
        _check_rate(name, rate, 0.5)
    _, ports = design.files()
    lanes = next(port.width for port in ports if port.name == "near_masks__payload")
    _check_rate("errors", errors, CANDIDATES / lanes)
    report = simulate(
        design,
        LinkCampaign(
            protection,
            payload_bits,
            lanes,
            flits,
            errors,
            bursts,
            burst_cycles,
            outages,
            outage_cycles,
            _dead_lanes(seed, dead_lanes, lanes),
            seed,
        ),
        "native",
    )
    rate = flits / report.cycles
    if not quiet:
        distance = DISTANCES[protection.checksum_bits]
        table = Table(
            title=f"{flits:,} flits each way, {lanes} lanes, latency {latency}"
            f" (CRC-{checksum_bits}: {distance - 1} flipped bits of up to {CHECKED_BITS} are seen)",
            title_justify="left",
        )
        table.add_column("")
        table.add_column("near to far", justify="right")
        table.add_column("far to near", justify="right")
        table.add_row("frames hit", *(f"{count:,}" for count in report.hits.values()))
        for cause in report.causes["near"]:
            cells = (f"{causes[cause]:,}" for causes in report.causes.values())
            table.add_row(f"cycles {cause.lower()}", *cells)
        console.print(table)
        counted = ", ".join(f"{name.lower()} {count:,}" for name, count in report.events.items())
        console.print(f"both ends: {counted}; test of the lanes {report.training_cycles:,} cycles")
        console.print(f"flits a cycle each way: {rate:.4f}")
        console.print(f"wrong flits: {report.wrong:,}, surplus flits: {report.surplus:,}")
    write_json(
        json,
        {
            "flits": flits,
            "lanes": lanes,
            "errors": errors,
            "bursts": bursts,
            "outages": outages,
            "dead_lanes": dead_lanes,
            "seed": seed,
            "cycles": report.cycles,
            "flits_a_cycle": rate,
            "wrong": report.wrong,
            "surplus": report.surplus,
            "hits": report.hits,
            "causes": report.causes,
            "events": report.events,
            "training_cycles": report.training_cycles,
            "failed": report.failed,
            "passed": report.passed,
        },
    )
    if not report.passed:
        raise typer.Exit(1)


def _check_rate(name: str, rate: float, most: float) -> None:
    if not (math.isfinite(rate) and 0 <= rate < most):
        raise InputError(f"--{name} must be from 0 to below {most:g}, not {rate:g}")


def _dead_lanes(seed: int, count: int, lanes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For each direction, lanes of different groups."""
    random = np.random.default_rng([seed, count])
    group = lanes // GROUPS

    def draw() -> tuple[int, ...]:
        groups = random.choice(GROUPS, count, replace=False)
        return tuple(int(of) * group + int(random.integers(group)) for of in groups)

    return draw(), draw()
