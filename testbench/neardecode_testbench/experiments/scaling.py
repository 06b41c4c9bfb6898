"""One model on more and more chips, over the fabric's links and over a conventional switch.

The latency of a conventional network, one way between two chips: 1 us, 2 us, 5 us. Source: table
"GPU Interconnect Bandwidth Hierarchy" in "The NVIDIA interconnect stack" (Fridays with Faraday,
fridayswithfaraday.com/posts/gpu-hw-nvlink-nvswitch-interconnect): NVLink in a node 1 to 2 us,
InfiniBand between nodes 1 to 5 us; a secondary source, so a range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.outcome import Column, Outcome, runs_of
from neardecode_testbench.experiments.streams import chip_hop_ns
from neardecode_testbench.model.project import Projection

__all__ = ["SWITCH_NS", "Scaled", "scale", "scaling_experiment"]

SWITCH_NS = (1000.0, 2000.0, 5000.0)
"""Low, middle, high."""


@dataclass(frozen=True)
class Scaled:
    """A model on some chips.

    Attributes:
        case: It.
        run: Over the fabric's links.
        switched: Cycles of a token over a conventional network, low to high.
    """

    case: Case
    run: Projection
    switched: tuple[float, float, float]

    @property
    def exchange_share(self) -> float | None:
        """Of the token, what chips exchange."""
        return self.run.exchanges / self.run.cycles or None


def scale(cases: Sequence[Case], jobs: int) -> list[Scaled]:
    """Projects over the links of each case's configuration, and over those of a network.

    Raises:
        FigureError: if one cannot be run.
    """
    joined = [case for case in cases if case.chips > 1]
    over = [replace(case, hop_ns=hop) for case in joined for hop in SWITCH_NS]
    runs = runs_of([*cases, *over], jobs)
    switched = iter([run.cycles for run in runs[len(cases) :]])
    found = []
    for case, run in zip(cases, runs, strict=False):
        cycles = [next(switched) for _ in SWITCH_NS] if case.chips > 1 else [run.cycles] * 3
        found.append(Scaled(case, run, (cycles[0], cycles[1], cycles[2])))
    return found


def _more_than_chips(base: Scaled, many: Scaled, jobs: int) -> str:
    """Why more chips gain more than their number, shown by taking the cause away.

    While heads attend, banks sense on until their page buffers are full. Where it is senses that
    set the pace, what the buffers hold is time that is not lost; and more chips have more of them
    for the same layer.
    """
    held = []
    for one in (base, many):
        flash = one.run.fitted.config.flash
        matrices = [step.matrix for step in one.run.fitted.program.steps if step.layer == 0]
        pages = sum(matrix.pages for matrix in matrices if matrix is not None)
        held.append(2 * flash.banks / pages)
    config = base.case.config
    bus_ns = config.flash.banks * config.flash.page_beats / config.clock_ghz
    sense_ns = min(config.flash.sense_ns, bus_ns)
    alike = [one.case.changed(flash={"sense_ns": sense_ns}) for one in (base, many)]
    without = runs_of(alike, jobs)
    return (
        f"{base.case.shape.name} gains more than its number of chips because its pages are sensed"
        f" slower than they could be read (tR and banks): while heads attend, banks sense on until"
        f" their page buffers are full, which hold {held[0]:.1%} of a layer on"
        f" {base.case.chips} and {held[1]:.1%} on {many.case.chips}, so that"
        f" {base.run.bound_ratio:.1%} of the bound becomes {many.run.bound_ratio:.1%}. With a tR of"
        f" {sense_ns:,.0f} ns, which the buses can follow, it gains"
        f" {without[0].cycles / without[1].cycles:.2f} times."
    )


def _in_rtl(
    rows: list[dict[str, Any]], small: Sequence[Mapping[str, Any]], clock: float
) -> list[str]:
    """Adds what was simulated to the rows, in front; returns what is to be said of it."""
    first = small[0]
    blank = dict.fromkeys(rows[0])
    rows[:0] = [
        {
            **blank,
            "model": "random, small",
            "chips": one["chips"],
            "rtl": clock / one["rtl_cycles"],
            "tokens_a_second": clock / one["model_cycles"],
            "speedup": first["model_cycles"] / one["model_cycles"],
        }
        for one in small
    ]
    worst = max(abs(one["model_cycles"] / one["rtl_cycles"] - 1) for one in small)
    gains = ", ".join(
        f"{first['rtl_cycles'] / one['rtl_cycles']:.3f} times on {one['chips']}"
        for one in small[1:]
    )
    return [
        f"A small random model, context {first['context']}, a channel and a vault a chip, was"
        f" decoded in RTL too: {gains}; the model of a token is within {worst:.3%} of it. The"
        " others are beyond simulation and by the model alone."
    ]


def scaling_experiment(
    cases: Sequence[Case], jobs: int, small: Sequence[Mapping[str, Any]] = ()
) -> Outcome:
    """Tokens a second over chips.

    Args:
        cases: What is projected.
        jobs: Processes at a time.
        small: Rows of `overlap`, in RTL and by the model.

    Raises:
        FigureError: if a figure cannot be.
    """
    rows, notes = [], []
    first: dict[str, Scaled] = {}
    for one in scale(cases, jobs):
        name, clock = one.case.shape.name, one.run.fitted.config.clock_ghz * 1e9
        base = first.setdefault(name, one)
        low, middle, high = (clock / cycles for cycles in reversed(one.switched))
        alone = one.case.chips == 1
        rows.append(
            {
                "model": name,
                "chips": one.case.chips,
                "rtl": None,
                "tokens_a_second": one.run.tokens_a_second,
                "speedup": base.run.cycles / one.run.cycles,
                "exchange_share": one.exchange_share,
                "bound_share": one.run.bound_ratio,
                "switched": None if alone else middle,
                "switched_low": None if alone else low,
                "switched_high": None if alone else high,
                "fabric_gain": None if alone else one.run.tokens_a_second / middle,
            }
        )
        if not alone and one.case.chips == max(case.chips for case in cases):
            notes.append(
                f"{name} on {one.case.chips} chips: {rows[-1]['speedup']:.2f} times"
                f" {base.case.chips} chip{'s' if base.case.chips > 1 else ''}; over a conventional"
                f" network {base.run.cycles / one.switched[1]:.2f} times"
                f" ({base.run.cycles / one.switched[2]:.2f} to"
                f" {base.run.cycles / one.switched[0]:.2f})."
            )
            if rows[-1]["speedup"] > one.case.chips / base.case.chips:
                notes.append(_more_than_chips(base, one, jobs))
    if small:
        notes += _in_rtl(rows, small, cases[0].config.clock_ghz * 1e9)
    hop = chip_hop_ns(cases[0].config)
    notes.append(
        f"A hop takes {hop:g} ns in the fabric (fabric.chip_link_latency), and"
        f" {SWITCH_NS[1]:,.0f} ns ({SWITCH_NS[0]:,.0f} to {SWITCH_NS[2]:,.0f}) in a conventional"
        " network, each way; sums are made in the network in both."
    )
    return Outcome(
        f"Chips, context {cases[0].context:,}, one sequence",
        (
            Column("model", "model"),
            Column("chips", "chips", "d"),
            Column("rtl", "in RTL", ",.1f"),
            Column("tokens_a_second", "tokens a second", ",.1f"),
            Column("speedup", "speed-up", ".2f"),
            Column("exchange_share", "exchanges", ".2%"),
            Column("bound_share", "of the bound", ".2%"),
            Column("switched", "over a switch", ",.1f"),
            Column("switched_low", "low", ",.1f"),
            Column("switched_high", "high", ",.1f"),
            Column("fabric_gain", "fabric over switch", ".2f"),
        ),
        tuple(rows),
        tuple(notes),
    )
