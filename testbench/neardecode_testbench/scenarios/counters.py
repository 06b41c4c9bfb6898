"""Reads a board's counters and checks that every cycle has an owner."""

from collections.abc import Sequence

from neardecode_testbench.drive.stimulus import Probe, Step

__all__ = ["CounterError", "read_counters", "split_counters"]


class CounterError(RuntimeError):
    """Counters whose causes do not add up to the cycles counted."""


def read_counters(step: Step, names: Sequence[str]) -> dict[str, int]:
    """Every counter by its name; counting stops, one counter is read a cycle."""
    counts = {}
    for address, name in enumerate(names):
        outcome = step(Probe({"counting": 0, "counter_address": address}, ["counter_value"]))
        counts[name] = outcome.outputs["counter_value"]
    return counts


def split_counters(
    counts: dict[str, int], cycles: int
) -> tuple[dict[str, dict], dict[str, dict[str, int]]]:
    """Cycle counters by block, as busy and stalls by cause, and event counters by block.

    Raises:
        CounterError: if a block's busy cycles and stalls are not together ``cycles``.
    """
    blocks: dict[str, dict] = {}
    events: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        if ":" in name:
            block, event = name.split(":")
            events.setdefault(block, {})[event] = count
            continue
        block, cause = name.split(".")
        entry = blocks.setdefault(block, {"busy": 0, "stalls": {}})
        if cause == "busy":
            entry["busy"] = count
        else:
            entry["stalls"][cause] = count
    for block, entry in blocks.items():
        total = entry["busy"] + sum(entry["stalls"].values())
        if total != cycles:
            raise CounterError(f"{block}: causes add up to {total} of {cycles} cycles")
    return blocks, events
