"""Pictures of what commands wrote with --json, by name; each is drawn when it is asked for."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode_testbench.model.roofline import roofs
from neardecode_testbench.report.curve import latency_curve
from neardecode_testbench.report.roofline import roofline_picture
from neardecode_testbench.report.shares import shares_picture
from neardecode_testbench.report.timeline import timeline_picture

__all__ = ["Draw", "fabric_drawings", "projection_drawings", "run_drawings"]

Draw = Callable[[str], bytes]
"""Draws a picture in one of `curve.FORMATS`."""


def projection_drawings(run: Mapping[str, Any]) -> dict[str, Draw]:
    """Of what `neardecode project --json` wrote."""
    cycles = run["cycles_a_token"]
    causes = {"token": {cause: count / cycles for cause, count in run["causes"].items()}}
    line = run["roofline"]
    return {
        "roofline": lambda form: roofline_picture(line, form),
        "stalls": lambda form: shares_picture(causes, form),
    }


def run_drawings(run: Mapping[str, Any], config: Config) -> dict[str, Draw]:
    """Of what `neardecode decode --json` wrote."""
    cycles = run["cycles"]
    shares = {
        name: {
            "busy": block["busy"] / cycles,
            **{cause: count / cycles for cause, count in block["stalls"].items()},
        }
        for name, block in run["blocks"].items()
    }
    found: dict[str, Draw] = {"stalls": lambda form: shares_picture(shares, form)}
    if config.decoder is None:
        return found
    # A step is a token of every sequence.
    steps, bound = run["steps"], run["bound_a_token"] * _sequences(run)
    line = {**roofs(config), "points": _counted(run, config)}
    return {
        "roofline": lambda form: roofline_picture(line, form),
        **found,
        "timeline": lambda form: timeline_picture(steps, bound, form),
    }


def _counted(run: Mapping[str, Any], config: Config) -> dict[str, dict[str, float]]:
    """Operations a byte and a second, a chip's, by the counters of slices and memories."""
    assert config.decoder is not None
    seconds = run["cycles"] / (config.clock_ghz * 1e9)
    beat = config.flash.beat_bytes
    found = {}
    for name, memory, slices, blocks in (
        (
            "weights",
            "flash",
            "slice",
            config.weight_layouts[0].blocks_a_beat * _sequences(run),
        ),
        (
            "keys and values",
            "vault",
            "attention_slice",
            config.kv_layout.blocks_a_beat * config.decoder.group,
        ),
    ):
        moved, used = (_busy(run, kind) / run["chips"] for kind in (memory, slices))
        if moved and used:
            operations = 2 * used * blocks * BLOCK_ELEMENTS
            found[name] = {
                "operations_a_byte": operations / (moved * beat),
                "operations_a_second": operations / seconds,
            }
    return found


def _sequences(run: Mapping[str, Any]) -> int:
    """Texts that were decoded side by side."""
    return len(run.get("sequences", (run,)))


def _busy(run: Mapping[str, Any], kind: str) -> int:
    """Busy cycles of all blocks of a kind."""
    return sum(
        block["busy"]
        for name, block in run["blocks"].items()
        if re.fullmatch(rf"(chip\d+_)?{kind}\d+", name)
    )


def fabric_drawings(run: Mapping[str, Any]) -> dict[str, Draw]:
    """Of what `neardecode bench fabric --sweep --json` wrote."""
    points = [
        (point["offered"], point["latency_mean"])
        for point in run["sweep"]
        if point["latency_mean"] is not None
    ]
    title = f"{run['topology']} {run['size']}, {run['pattern']}, packets of {run['packet']}"
    zero_load = run["zero_load_latency"]
    return {"latency-load": lambda form: latency_curve(title, points, zero_load, form)}
