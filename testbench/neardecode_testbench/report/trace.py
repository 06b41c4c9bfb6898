"""A decode as a Chrome trace, which Perfetto opens."""

import json
from collections.abc import Sequence
from pathlib import Path

from neardecode.config import Config
from neardecode_testbench.drive.design import write_atomically
from neardecode_testbench.scenarios.attention import LayerRun

__all__ = ["write_trace"]


def write_trace(path: Path, config: Config, layers: Sequence[LayerRun]) -> None:
    """Writes one row for the board, and for each channel one for its slice and one for its pages.

    Times are microseconds of the configured clock, as the format asks; each event carries its
    cycles.

    Args:
        path: The file to write.
        config: The board's configuration.
        layers: What ran.
    """
    microsecond = config.clock_ghz * 1000
    page_cycles = config.flash.page_beats
    host = config.flash.channels
    events: list[dict] = [_name(host, "board", None), _name(host, "layers", 0)]
    for channel in range(config.flash.channels):
        events += [
            _name(channel, f"channel {channel}", None),
            _name(channel, "slice: scores", 0),
            _name(channel, "core-die bus: pages", 1),
        ]

    def span(name: str, process: int, thread: int, start: int, end: int, **details) -> dict:
        return {
            "name": name,
            "ph": "X",
            "pid": process,
            "tid": thread,
            "ts": start / microsecond,
            "dur": (end - start) / microsecond,
            "args": {"first_cycle": start, "cycles": end - start, **details},
        }

    for run in layers:
        end = run.start + run.cycles
        events.append(span(f"token {run.position} layer {run.layer}", host, 0, run.start, end))
        for head, channel, taken, first, last in run.commands:
            events.append(
                span(
                    f"head {head}", channel, 0, first, last + 1,
                    layer=run.layer, position=run.position, command_cycle=taken,
                )
            )  # fmt: skip
        for channel, pages in enumerate(run.pages):
            for cycle, address in pages:
                page = address // page_cycles
                events.append(span(f"page {page}", channel, 1, cycle, cycle + page_cycles))
    write_atomically(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))


def _name(process: int, name: str, thread: int | None) -> dict:
    kind = "process_name" if thread is None else "thread_name"
    return {"name": kind, "ph": "M", "pid": process, "tid": thread or 0, "args": {"name": name}}
