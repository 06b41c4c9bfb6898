"""neardecode energy: what a token costs, from the events of a run."""

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from neardecode.config import Config, load
from neardecode_synth.energy import PICOJOULES_A_BIT, energies
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json

__all__ = ["energy_of_run"]

JOULES_A_MICROJOULE = 1e-6


@app.command()
def energy(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="What `decode --json` wrote.")],
    config: Annotated[
        str | None, typer.Option(metavar="PRESET|FILE", help="By default the one that RUN names.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Give the energy of a token, by component, with its range.

    Example: `neardecode decode --config decoder-tiny --tokens 2 --json run.json`

    Example: `neardecode energy run.json --json energy.json`
    """
    check_writable(json)
    try:
        counts = json_format.loads(run.read_text())
        results = energy_of_run(counts, load(config or counts["config"]))
    except (json_format.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{run}: is not what `decode --json` writes: {error}") from None
    except ValueError as error:
        raise InputError(f"{run}: {error}") from None
    if json is None or str(json) != "-":
        table = Table(title="Energy of a token, microjoules", title_justify="left")
        for column in ("component", "Mbit", "pJ a bit", "low", "middle", "high"):
            table.add_column(column, justify="left" if column == "component" else "right")
        for name, one in results["components"].items():
            low, middle, high = PICOJOULES_A_BIT[name]
            table.add_row(
                name,
                f"{one['bits'] / 1e6:,.2f}",
                f"{low:.2f} {middle:.2f} {high:.2f}",
                *(f"{one[key] / JOULES_A_MICROJOULE:,.3f}" for key in ("low", "middle", "high")),
            )
        total = results["energy_a_token"]
        table.add_row(
            "all",
            "",
            "",
            *(f"{total[key] / JOULES_A_MICROJOULE:,.3f}" for key in ("low", "middle", "high")),
        )
        console.print(table)
    write_json(json, results)


def energy_of_run(run: dict[str, Any], config: Config) -> dict[str, Any]:
    """The energy of a token of a run.

    Raises:
        ValueError: if nothing was counted.
        KeyError: if the run has no events.
    """
    positions = run["positions"]
    flash = [events for name, events in run["events"].items() if name.startswith("flash")]
    vaults = [events for name, events in run["events"].items() if name.startswith("vault")]
    read_and_written = sum(events["reads"] + events["writes"] for events in vaults)
    sensed_bits = sum(events["senses"] for events in flash) * 8 * config.flash.page_bytes
    vault_bits = 0 if config.stack is None else read_and_written * 8 * config.stack.beat_bytes
    bits = {
        "flash": sensed_bits,
        "dram": vault_bits,
        # A page crosses once, when it is sensed; what is read again comes out of a buffer below.
        "tsv": sensed_bits + vault_bits,
    }
    parts = energies(bits)
    return {
        "positions": positions,
        "components": {
            part.component: {
                "bits": part.bits / positions,
                **{key: getattr(part, key) / positions for key in ("low", "middle", "high")},
            }
            for part in parts
        },
        "energy_a_token": {
            key: sum(getattr(part, key) for part in parts) / positions
            for key in ("low", "middle", "high")
        },
    }
