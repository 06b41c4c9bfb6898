"""neardecode energy: what a token costs, from the events of a run and the activity of a window."""

import json as json_format
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.hdl import Shape

from neardecode.compute.command import ActivationBlock
from neardecode.config import Config, load
from neardecode.lib.flit import FlitLayout
from neardecode_synth.activity import Activity, activity
from neardecode_synth.block import Block
from neardecode_synth.cells import ENDS
from neardecode_synth.energy import energies
from neardecode_synth.scaling import Factors
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.area_blocks import DEPTHS
from neardecode_testbench.cli.blocks import make_block
from neardecode_testbench.cli.changes import config_of
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.libraries import (
    LibertyOption,
    NodeOption,
    ToOption,
    factors_of,
    library_of,
    node_of,
)
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.report.energies import energy_tables

__all__ = ["energy_of_run"]


@app.command()
def energy(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="What `decode --json` wrote.")],
    config: Annotated[
        str | None, typer.Option(metavar="PRESET|FILE", help="By default the one that RUN names.")
    ] = None,
    window: Annotated[
        list[Path] | None,
        typer.Option(
            "--activity",
            metavar="VCD",
            help="Waves of cycles of the run: the logic's energy from its activity; repeatable.",
        ),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="Where the chip is in the waves; by default it is found.")
    ] = None,
    liberty: LibertyOption = None,
    liberty_nm: NodeOption = None,
    to_nm: ToOption = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; by default one a core.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Give the energy of a token, by component, with its range.

    Memories, TSVs and links: bits that were read or moved, times published energies a bit. With
    --activity also the chip's logic: its cells in a library, each with its own count of changes.

    Example: `neardecode decode --config decoder-tiny --tokens 2 --json run.json`

    Example: `neardecode energy run.json --json energy.json`

    Example: `neardecode decode --config decoder-tiny --tokens 1 --waves run.vcd --wave-from 2000
    --wave-cycles 512 --json run.json && neardecode energy run.json --activity run.vcd`
    """
    check_writable(json)
    if not window and (scope or liberty or liberty_nm or to_nm):
        raise InputError("--scope, --liberty, --liberty-nm, --to-nm: only with --activity")
    quiet = json is not None and str(json) == "-"
    try:
        counts = json_format.loads(run.read_text())
        settings = _built(counts, load(config) if config else config_of(counts))
        results = energy_of_run(counts, settings)
    except (json_format.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{run}: is not what `decode --json` writes: {error}") from None
    except ValueError as error:
        raise InputError(f"{run}: {error}") from None
    if window:
        library = library_of(liberty)
        if library is None:
            raise InputError(
                "--activity needs cells: qflow-tech-osu018 is not installed, and no --liberty"
            )
        factors = factors_of(liberty, liberty_nm, to_nm)
        name = "chip" if settings.decoder is None else "token_chip"
        found = activity(
            Block(
                *(name, lambda: make_block(name, settings), settings.model_dump_json()),
                DEPTHS[name],
            ),
            *(library, window, jobs or os.cpu_count() or 1, scope),
            lambda what: None if quiet else console.print(f"mapping {what}", style="dim"),
        )
        _add_logic(
            results, found, counts["cycles"] / (counts["positions"] * _sequences(counts)), factors
        )
        results["activity"] = {
            "library": library.name,
            "library_nm": node_of(liberty, liberty_nm),
            "scaled_to_nm": to_nm,
            **_activity_results(found),
        }
    if not quiet:
        for shown in energy_tables(results):
            console.print(shown, highlight=False)
    write_json(json, results)


def energy_of_run(run: dict[str, Any], config: Config) -> dict[str, Any]:
    """The energy of a token of a run.

    Raises:
        ValueError: if nothing was counted.
        KeyError: if the run has no events.
    """
    config = _built(run, config)
    positions = run["positions"]
    tokens = positions * _sequences(run)
    flash, vaults = (_of_kind(run["events"], kind) for kind in ("flash", "vault"))
    if not flash:
        raise ValueError("has no events of a flash channel")
    read_and_written = sum(events["reads"] + events["writes"] for events in vaults)
    sensed_bits = sum(events["senses"] for events in flash) * 8 * config.flash.page_bytes
    vault_bits = 0 if config.stack is None else read_and_written * 8 * config.stack.beat_bytes
    bits = {
        "flash": sensed_bits,
        "dram": vault_bits,
        # A page crosses once, when it is sensed; what is read again comes out of a buffer below.
        "tsv": sensed_bits + vault_bits,
        "link": _link_bits(run, config),
    }
    results = {"positions": positions, "components": _components(bits, tokens)}
    results["energy_a_token"] = _sum(results["components"])
    return results


def _sequences(run: Mapping[str, Any]) -> int:
    """How many sequences have a token at each position."""
    return len(run.get("sequences", ())) or 1


def _built(run: Mapping[str, Any], config: Config) -> Config:
    """The configuration as it was built for the run's sequences."""
    return config.side_by_side(_sequences(run))


def _link_bits(run: Mapping[str, Any], config: Config) -> int:
    """Bits between the stacks of flash, with their slices, and the chip.

    Results in flits, and the activations that every slice is sent. Of a run whose vectors the host
    gives, results alone. What chips send each other is not counted.
    """
    ends = config.flash.channels + 1
    flit = FlitLayout.for_payload(config.fabric.payload_bits, ends, ends)
    flits = sum(block["busy"] for block in _of_kind(run["blocks"], "link"))
    blocks = run.get("activation_blocks_a_token", 0) * run["positions"] * config.flash.channels
    return flits * flit.size + blocks * Shape.cast(ActivationBlock(config.compute)).width


def _of_kind(blocks: Mapping[str, Any], kind: str) -> list[Any]:
    """Those of all chips."""
    return [one for name, one in blocks.items() if re.fullmatch(rf"(chip\d+_)?{kind}\d+", name)]


def _components(bits: Mapping[str, float], tokens: int) -> dict[str, dict[str, float]]:
    return {
        part.component: {
            "bits": part.bits / tokens,
            **{key: getattr(part, key) / tokens for key in ENDS},
        }
        for part in energies(bits)
    }


def _sum(components: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {key: sum(part[key] for part in components.values()) for key in ENDS}


def _add_logic(
    results: dict[str, Any], found: Activity, cycles: float, factors: Factors | None
) -> None:
    """The chip's cells, its clock and its memories over the cycles of a token."""
    low_factor, high_factor = (1.0, 1.0) if factors is None else factors.energy
    components = results["components"]
    for kind in ("logic", "flip_flops", "clock"):
        low, middle, high = found.picojoules_a_cycle(kind) * cycles * 1e-12
        components[kind] = {
            "low": float(low * low_factor),
            "middle": float(middle * (low_factor * high_factor) ** 0.5),
            "high": float(high * high_factor),
        }
    if found.memory_bits_a_cycle:
        components |= _components({"sram": found.memory_bits_a_cycle * cycles}, 1)
    results["energy_a_token"] = _sum(components)


def _activity_results(found: Activity) -> dict[str, Any]:
    return {
        "cell_energies": found.has_cell_energies,
        "cycles": found.cycles,
        "registers_compared": found.registers,
        "units": [
            {
                "name": unit.name,
                "instances": unit.instances,
                "toggles_a_cycle": unit.toggles / found.cycles,
                "memory_bits_a_cycle": unit.memory_bits / found.cycles,
                "nets_without_values": len(unit.unseen),
                "picojoules_a_cycle": {
                    kind: dict(zip(ENDS, map(float, energy / found.cycles), strict=True))
                    for kind, energy in unit.picojoules.items()
                },
            }
            for unit in found.units
        ],
    }
