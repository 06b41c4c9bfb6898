"""Cycle counts of a few runs, committed, so that a change of any is seen and meant.

``python -m tests.baseline`` (``make baseline``) writes them anew.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from neardecode.config import PRESETS, Config
from neardecode_testbench.devices.board import Board
from neardecode_testbench.drive import native
from neardecode_testbench.drive.design import Design, write_atomically
from neardecode_testbench.drive.stimulus import Scenario
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.scenarios.decode import DecodeRun, DecodeScenario
from neardecode_testbench.scenarios.load import ScoreLoad
from neardecode_testbench.scenarios.model import ModelSource

PATH = Path(__file__).with_name("baseline.json")

TINY = PRESETS["tiny"]
CONFIGS = {
    "tiny": TINY,
    "demo": PRESETS["demo"],
    # Alone, with as many banks as a channel of the specification's Table 3.
    "one channel of 16 banks": TINY.model_copy(
        update={
            "flash": TINY.flash.model_copy(
                update={"channels": 1, "banks_a_die": 16, "sense_ns": 400.0}
            )
        }
    ),
}


def _decode(config: Config, stall_seed: int | None = None) -> dict[str, Any]:
    scenario = DecodeScenario(config, ModelSource(), list(b"near"), 6, stall_seed=stall_seed)
    run: DecodeRun = _play(config, scenario)
    assert run.mismatches == run.errors == 0
    return {"cycles": run.cycles, "blocks": run.blocks, "events": run.events}


def _load(config: Config) -> dict[str, Any]:
    shape, _ = random_model(1)
    return {
        f"{positions} keys": [
            _play(config, ScoreLoad(config, shape, positions, repeats)).cycles for repeats in (1, 2)
        ]
        for positions in (8, 64, 200)
    }


def _play(config: Config, scenario: Scenario) -> Any:
    return native.run(Design(Board, (config,)), scenario, waves=None, wave_cycles=0)


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "decode on tiny": lambda: _decode(TINY),
    "decode on tiny, stalled": lambda: _decode(TINY, stall_seed=1),
    "decode on one channel of 16 banks": lambda: _decode(CONFIGS["one channel of 16 banks"]),
    **{
        f"scores on {name}, once and twice": lambda config=config: _load(config)
        for name, config in CONFIGS.items()
    },
}
"""What is measured, by its name."""


def counts(tree: Any, name: str) -> Iterator[tuple[str, int]]:
    """Every count of a case with its full name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from counts(value, f"{name}: {key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree, 1):
            yield from counts(value, f"{name} [{index}]")
    else:
        yield name, tree


def differences(name: str, before: Any, now: Any) -> list[str]:
    """A line for each count that changed, came or went."""
    old, new = dict(counts(before, name)), dict(counts(now, name))
    return [
        f"{key}: {old.get(key, 'nothing')} -> {new.get(key, 'nothing')}"
        for key in [*old, *(key for key in new if key not in old)]
        if old.get(key) != new.get(key)
    ]


def committed() -> dict[str, Any]:
    """The counts of the file."""
    return json.loads(PATH.read_text())


def main() -> None:
    """Measures everything and writes the file."""
    before = committed() if PATH.exists() else {}
    now = {name: measure() for name, measure in CASES.items()}
    for name in [*now, *(name for name in before if name not in now)]:
        for line in differences(name, before.get(name, {}), now.get(name, {})):
            print(line)
    write_atomically(PATH, json.dumps(now, indent=2) + "\n")


if __name__ == "__main__":
    main()
