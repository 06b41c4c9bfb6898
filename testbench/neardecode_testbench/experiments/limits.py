"""What limits a token of a projection, by running the model without one limit after another."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from neardecode.config import ConfigError
from neardecode_testbench.experiments.case import Case, projected
from neardecode_testbench.experiments.counted import AT_BOUND
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.model.exchange import hop_cycles
from neardecode_testbench.model.project import Projection

__all__ = ["MEANING", "Change", "Cost", "Limits", "limits_of"]

WORTH = 0.02
"""Share of a token's cycles from which on changes against a cost are tried."""
WIDEST_WINDOW = 64
LEAST_SENSE_CYCLES = 3
MOST = {"banks_a_die": 64, "channels": 16, "vaults": 64, "lanes": 32}


@dataclass(frozen=True)
class Cost:
    """Cycles of a token that go when one limit is taken away, those before it being gone.

    Attributes:
        limit: Its name, a key of `MEANING`.
        cycles: How many.
        how: What was run for it.
    """

    limit: str
    cycles: float
    how: str


@dataclass(frozen=True)
class Change:
    """A step that one could take, and what it buys by a run of the model with it.

    Attributes:
        what: Which.
        against: The limit that it is meant for.
        gain: Tokens a second more, as a share; None where it cannot be run.
        why_not: Where it cannot be run, why.
    """

    what: str
    against: str
    gain: float | None
    why_not: str = ""


@dataclass(frozen=True)
class Limits:
    """Why a token takes as long as it does.

    Attributes:
        projection: It, as the model has it.
        costs: Together its cycles, the largest first.
        changes: What changes against them buy, the best first.
    """

    projection: Projection
    costs: tuple[Cost, ...]
    changes: tuple[Change, ...]

    @property
    def limit(self) -> str:
        """The name of the largest cost."""
        return self.costs[0].limit

    @property
    def at_bound(self) -> bool:
        """Whether the token is as fast as its memories permit."""
        return self.projection.bound_ratio >= AT_BOUND


MEANING = {
    "prefetch window": "weights are asked for too late, so that tR is waited for",
    "fabric": "words are on their way between chips",
    "TSV bandwidth": "keys and values cross the TSVs of their vaults",
    "attention": "tiles of keys and values are begun, scored and summed",
    "tR and banks": "banks sense pages more slowly than the channels' buses move them",
    "vector unit": "norms, rotation, gate and activations, while no weight can move",
    "flash buses": "weights cross the channels' buses, a beat a cycle",
}
"""What each limit is."""


def limits_of(case: Case, jobs: int = 1) -> Limits:
    """Takes limits away one after another, and tries what lies within reach.

    The window first, since it costs least; then what chips exchange, keys and values, and the time
    to sense. What is left is the buses' time and what cannot be hidden behind it. Each cost is what
    its own step takes away, so that they add up to the token.

    Raises:
        ConfigError, FigureError: if the case cannot be projected.
    """
    # With all that the model needs, so that single keys can be changed.
    case = replace(case, config=case.fitted().config)
    wide = _windowed(case, WIDEST_WINDOW)
    alone = replace(wide, context=1)
    sensed = LEAST_SENSE_CYCLES / case.config.clock_ghz
    quick = alone.changed(flash={"sense_ns": sensed})
    runs = projected([case, wide, alone, quick], jobs)
    for run in runs:
        if isinstance(run, str):
            raise FigureError(run)
    base, windowed, short, unsensed = (run for run in runs if isinstance(run, Projection))
    window = max(base.cycles - windowed.cycles, 0.0)
    steady = min(base.cycles, windowed.cycles) - base.exchanges
    rows = steady - (short.cycles - short.exchanges)
    crossing = min(rows, base.bound.kv_cycles - short.bound.kv_cycles)
    buses = unsensed.bound.flash_cycles
    found = (
        Cost("prefetch window", window, f"decoder.prefetch = {WIDEST_WINDOW}"),
        Cost("fabric", base.exchanges, "exchanges left out"),
        Cost("TSV bandwidth", crossing, "keys and values at a beat a cycle and vault"),
        Cost("attention", rows - crossing, "context of one token, less the above"),
        Cost("tR and banks", short.cycles - unsensed.cycles, f"flash.sense_ns = {sensed:g}"),
        Cost("vector unit", unsensed.cycles - unsensed.exchanges - buses, "all but the buses"),
        Cost("flash buses", buses, "weights at a beat a cycle and channel"),
    )
    costs = tuple(sorted((cost for cost in found if cost.cycles), key=lambda cost: -cost.cycles))
    return Limits(base, costs, _changes(case, base, costs, jobs))


def _windowed(case: Case, window: int) -> Case:
    """The same with another prefetch window, and slices that hold as many commands."""
    ahead = max(window, case.config.compute.commands_ahead)
    return case.changed(decoder={"prefetch": window}, compute={"commands_ahead": ahead})


def _changes(
    case: Case, base: Projection, costs: tuple[Cost, ...], jobs: int
) -> tuple[Change, ...]:
    """Twice as much of what each cost that matters is made of."""
    config = case.config
    flash, decoder, stack = config.flash, config.decoder, config.stack
    assert decoder is not None
    assert stack is not None
    hop = hop_cycles(config, case.hop_ns) / config.clock_ghz
    window = min(2 * decoder.prefetch, WIDEST_WINDOW)

    def key(section: str, name: str, now: int) -> tuple[str, Callable[[], Case]]:
        more = min(2 * now, MOST[name])
        return f"{section}.{name} {now} -> {more}", lambda: case.changed(**{section: {name: more}})

    tries: dict[str, list[tuple[str, Callable[[], Case]]]] = {
        "prefetch window": [
            (f"decoder.prefetch {decoder.prefetch} -> {window}", lambda: _windowed(case, window)),
        ],
        "fabric": [
            (f"a hop of {hop:g} -> {hop / 2:g} ns", lambda: replace(case, hop_ns=hop / 2)),
        ],
        "TSV bandwidth": [key("stack", "vaults", stack.vaults)],
        "attention": [key("stack", "vaults", stack.vaults)],
        "tR and banks": [
            key("flash", "banks_a_die", flash.banks_a_die),
            (
                f"flash.sense_ns {flash.sense_ns:g} -> {flash.sense_ns / 2:g}",
                lambda: case.changed(flash={"sense_ns": flash.sense_ns / 2}),
            ),
        ],
        "vector unit": [key("decoder", "lanes", decoder.lanes)],
        "flash buses": [key("flash", "channels", flash.channels)],
    }
    wanted: dict[str, tuple[str, Callable[[], Case]]] = {}
    for cost in costs:
        if cost.cycles >= WORTH * base.cycles:
            for what, make in tries[cost.limit]:
                wanted.setdefault(what, (cost.limit, make))
    found: list[Change] = []
    cases: list[tuple[str, str, Case]] = []
    for what, (against, make) in wanted.items():
        before, _, after = what.rpartition(" -> ")
        if before.endswith(f" {after}"):
            found.append(Change(what, against, None, "it is as large as it can be"))
            continue
        try:
            cases.append((what, against, make()))
        except ConfigError as error:
            found.append(Change(what, against, None, str(error)))
    for (what, against, _), run in zip(
        cases, projected([case for _, _, case in cases], jobs), strict=True
    ):
        if isinstance(run, str):
            found.append(Change(what, against, None, run))
        else:
            found.append(Change(what, against, base.cycles / run.cycles - 1))
    return tuple(sorted(found, key=lambda change: -(change.gain if change.gain else -1)))
