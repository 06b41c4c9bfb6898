"""Near memory off: the same memories, and every beat of them crosses the stacks' edges.

The model of a token knows slices beside their memories alone. What pins add is computed: a stack's
beats take at least their bytes over its pins. In between, the walk's own time is lengthened by what
pins are slower than the memory behind them; at most, nothing of the crossing is hidden.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from neardecode_synth.energy import energies
from neardecode_testbench.experiments.baseline import ENDS, vectors_bytes
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.near_overlap import crossed_cycles
from neardecode_testbench.experiments.outcome import Column, Outcome, runs_of
from neardecode_testbench.model.project import Projection

__all__ = ["Ablation", "ablate", "ablation_experiment"]


class Ablation:
    """A token with near memory on, and with it off.

    Attributes:
        run: With it on.
        cycles: With it off: low, middle, high.
        bytes_on: Over the edges with it on: least, most.
        bytes_off: Over the edges with it off, weights, keys and values alone.
    """

    def __init__(self, run: Projection):
        config, bound = run.fitted.config, run.bound
        bytes_a_cycle = config.off_stack.bandwidth_gbs / config.clock_ghz
        weights, kv = (count / bytes_a_cycle for count in (bound.flash_bytes, bound.kv_bytes))
        flash = max(bound.flash_cycles, bound.sense_cycles)
        self.run = run
        self.cycles = (
            max(bound.cycles, weights, kv),
            crossed_cycles(crossed_cycles(run.cycles, flash, weights), bound.kv_cycles, kv),
            run.cycles + weights + kv,
        )
        self.bytes_on = vectors_bytes(run)
        self.bytes_off = float(bound.flash_bytes + bound.kv_bytes)


def ablate(cases: list[Case], jobs: int) -> list[Ablation]:
    """Each case with near memory on and off.

    Raises:
        FigureError: if one cannot be run.
    """
    return [Ablation(run) for run in runs_of(cases, jobs)]


def ablation_experiment(
    cases: list[Case], jobs: int, ports: Sequence[Mapping[str, Any]] = ()
) -> Outcome:
    """Tokens, bytes and energy with near memory on and off.

    Args:
        cases: What is projected.
        jobs: Processes at a time.
        ports: Rows of `near_overlap`, in RTL and by the rule that the others follow.

    Raises:
        FigureError: if a figure cannot be.
    """
    rows, notes = [], []
    for case, found in zip(cases, ablate(cases, jobs), strict=True):
        run = found.run
        clock = run.fitted.config.clock_ghz * 1e9
        least, most = found.bytes_on
        on = energies({**run.bits, "link": 8 * most})
        off = energies({**run.bits, "link": 8 * (most + found.bytes_off)})
        low, middle, high = (clock / cycles for cycles in reversed(found.cycles))
        rows += [
            {
                "model": case.shape.name,
                "context": case.context,
                "near_memory": "on",
                "rtl": None,
                "cycles": float(run.cycles),
                "tokens_a_second": run.tokens_a_second,
                "tokens_low": run.tokens_a_second,
                "tokens_high": run.tokens_a_second,
                "edge_mb": most / 1e6,
                **_joules(on),
            },
            {
                "model": case.shape.name,
                "context": case.context,
                "near_memory": "off",
                "rtl": None,
                "cycles": found.cycles[1],
                "tokens_a_second": middle,
                "tokens_low": low,
                "tokens_high": high,
                "edge_mb": (most + found.bytes_off) / 1e6,
                **_joules(off),
            },
        ]
        kept = most / (most + found.bytes_off)
        notes.append(
            f"{case.shape.name}, context {case.context:,}: near memory gives"
            f" {run.tokens_a_second / middle:.2f} times the tokens a second"
            f" ({run.tokens_a_second / high:.2f} to {run.tokens_a_second / low:.2f}) and takes"
            f" {1 - kept:.2%} of the bytes off the edges,"
            f" {1 - least / (least + found.bytes_off):.2%} where an activation crosses once for all"
            " channels."
        )
    if ports:
        notes += _in_rtl(rows, ports)
    pins = cases[0].config.off_stack
    notes.append(
        f"Pins of a stack: {pins.pins} of {pins.pin_gbit_s:g} Gb/s, {pins.bandwidth_gbs:,.1f} GB/s"
        " (JEDEC JESD238's for HBM3), one stack of flash and one of DRAM a chip. Off, low, middle"
        " and high: nothing hidden; what pins are slower; the bound alone. `neardecode bench near`"
        " measures the same on a port in RTL."
    )
    return Outcome(
        "Near memory on and off, one sequence",
        (
            Column("model", "model"),
            Column("context", "context", ",d"),
            Column("near_memory", "near"),
            Column("rtl", "RTL cycles", ",d"),
            Column("cycles", "cycles", ",.0f"),
            Column("tokens_a_second", "tokens a second", ",.1f"),
            Column("tokens_low", "low", ",.1f"),
            Column("tokens_high", "high", ",.1f"),
            Column("edge_mb", "edge MB", ",.2f"),
            Column("joules", "J a token", ".3f"),
        ),
        tuple(rows),
        tuple(notes),
    )


def _in_rtl(rows: list[dict[str, Any]], ports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Adds what was simulated to the rows, in front; returns what is to be said of it."""
    blank = dict.fromkeys(rows[0])
    rows[:0] = [
        {
            **blank,
            "model": one["work"],
            "near_memory": one["near_memory"],
            "rtl": one["rtl_cycles"],
            "cycles": float(one["model_cycles"]),
        }
        for one in ports
    ]
    worst = max(abs(one["model_cycles"] / one["rtl_cycles"] - 1) for one in ports)
    pairs = zip(ports[::2], ports[1::2], strict=True)
    gains = ", ".join(
        f"{off['rtl_cycles'] / on['rtl_cycles']:.2f} times on {on['work']}" for on, off in pairs
    )
    return [
        f"A port was simulated with its share of the pins, every value compared: near memory gives"
        f" {gains}. Its memory's bound, and off the rule of the middle column, are within"
        f" {worst:.2%} of it."
    ]


def _joules(parts) -> dict[str, float]:
    low, middle, high = (sum(getattr(part, end) for part in parts) for end in ENDS)
    return {"joules": middle, "joules_low": low, "joules_high": high}
