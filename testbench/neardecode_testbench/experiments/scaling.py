"""One model on more and more chips, over the fabric's links and over a conventional switch.

The latency of a conventional network, one way between two chips: 1 us, 2 us, 5 us. Source: table
"GPU Interconnect Bandwidth Hierarchy" in "The NVIDIA interconnect stack" (Fridays with Faraday,
fridayswithfaraday.com/posts/gpu-hw-nvlink-nvswitch-interconnect): NVLink in a node 1 to 2 us,
InfiniBand between nodes 1 to 5 us; a secondary source, so a range.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def scaling_experiment(cases: Sequence[Case], jobs: int) -> Outcome:
    """Tokens a second over chips.

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
                notes.append(
                    f"{name} gains more than its number of chips: they reach"
                    f" {one.run.bound_ratio:.1%} of their bound, and"
                    f" {base.run.bound_ratio:.1%} is reached without them."
                )
    hop = chip_hop_ns(cases[0].config)
    notes.append(
        f"A hop takes {hop:g} ns in the fabric (fabric.chip_link_latency), and"
        f" {SWITCH_NS[1]:,.0f} ns ({SWITCH_NS[0]:,.0f} to {SWITCH_NS[2]:,.0f}) in a conventional"
        " network, each way; sums are made in the network in both. By the model; the RTL of joined"
        " chips is `neardecode decode --config decoder-tiny --chips 2`."
    )
    return Outcome(
        f"Chips, context {cases[0].context:,}, one sequence",
        (
            Column("model", "model"),
            Column("chips", "chips", "d"),
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
