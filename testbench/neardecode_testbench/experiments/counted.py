"""What limits a run in RTL, by its counters alone: of decode, and of the benches of blocks."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neardecode_testbench.experiments.figure import SHARE_LIMIT, FigureError

__all__ = ["AT_BOUND", "COUNTED_MEANING", "Counted", "Finding", "counted_of"]

COUNTED_MEANING = {
    "heat": "the throttle takes cycles away, or refresh runs at twice the rate",
    "TSV repair": "TSVs are tested, or have more bad ones than spares",
    "TSV bandwidth": "a beat crosses a vault's TSVs",
    "row activation": "rows are opened and closed (tRC, tRRD, tFAW)",
    "refresh": "banks are refreshed",
    "irregular sparsity": "pages that matter fall on few banks, or what is read is not needed",
    "fabric congestion": "flits wait for room further on",
    "fabric time-out": "units are sent again, given up for overdue, or wait for an acknowledgement",
    "fabric": "words are on their way between chips",
    "tR and banks": "no bank has a page ready",
    "flash buses": "beats cross the core-die bus",
    "arithmetic": "elements are multiplied, a beat a cycle",
    "scales": "beats of scales are taken, which multiply nothing",
    "activations": "a beat waits for its activations",
    "attention": "tiles of keys and values are scored and summed",
    "vector unit": "norms, rotation and gate, while no weight can move",
    "results": "a result waits for its reader",
    "slow clock": "the slice's slower clock stands still",
}
"""What each limit is."""

BY_CAUSE = {
    ("flash", "sense"): "tR and banks",
    ("flash", "heat"): "heat",
    ("flash", "busy"): "flash buses",
    ("slice", "busy"): "arithmetic",
    ("slice", "scales"): "scales",
    ("slice", "heat"): "heat",
    ("slice", "activation"): "activations",
    ("slice", "results"): "results",
    ("slice", "clock"): "slow clock",
    ("slice", "tail"): "irregular sparsity",
    ("attention", "pace"): "heat",
    ("vault", "lanes"): "TSV repair",
    ("vault", "busy"): "TSV bandwidth",
    ("vault", "refresh"): "refresh",
    ("vault", "conflict"): "row activation",
    ("vault", "activate"): "row activation",
    ("link", "credit"): "fabric congestion",
    ("router", "credit"): "fabric congestion",
    ("decoder", "exchange"): "fabric",
    ("decoder", "attention"): "attention",
    ("decoder", "vector"): "vector unit",
    ("protected", "replay"): "fabric time-out",
    ("protected", "window"): "fabric time-out",
    ("protected", "training"): "TSV repair",
    ("protected", "credit"): "fabric congestion",
}
"""The limit that a block's cycles of a cause are counted under."""
AT_BOUND = 0.99
"""From this share of its bound on a number counts as being at it."""
HOT_SHARE = 0.5
"""From this share of hot cycles on, refresh is the heat's."""


@dataclass(frozen=True)
class Finding:
    """Cycles that a limit has.

    Attributes:
        limit: A key of `COUNTED_MEANING`.
        cycles: Of the run; for a kind of block that there are several of, their mean.
        how: Which counters.
    """

    limit: str
    cycles: float
    how: str


@dataclass(frozen=True)
class Counted:
    """A run by its counters.

    Attributes:
        kind: Which command wrote it.
        cycles: Of the run.
        findings: The largest first; those of different blocks may be of the same cycles.
        ratio: Of what was reached to its bound, where the run has one.
        bound: What the bound is.
    """

    kind: str
    cycles: float
    findings: tuple[Finding, ...]
    ratio: float | None
    bound: str

    @property
    def limit(self) -> str:
        """The name of the largest finding."""
        return self.findings[0].limit


def counted_of(results: Mapping[str, Any]) -> Counted:
    """A run, from what its command wrote as JSON.

    Raises:
        FigureError: if it is of no command that is known, counted nothing, or is above its bound.
        KeyError: if it is not complete.
    """
    for keys, read in _KINDS:
        if all(key in results for key in keys):
            kind, cycles, findings, ratio, bound = read(results)
            break
    else:
        raise FigureError("is of no command that is explained: project, decode, or a bench")
    if cycles <= 0:
        raise FigureError("no cycle was counted")
    if ratio is not None and ratio > SHARE_LIMIT:
        raise FigureError(f"reached {ratio:.4f} of its bound, which cannot be exceeded")
    merged: dict[str, Finding] = {}
    for one in findings:
        if one.cycles > SHARE_LIMIT * cycles:
            raise FigureError(f"{one.limit}: {one.cycles:,.0f} of {cycles:,.0f} cycles")
        before = merged.get(one.limit)
        if one.cycles > 0 and (before is None or one.cycles > before.cycles):
            merged[one.limit] = one
    if not merged:
        raise FigureError("no counter says where a cycle went")
    ordered = sorted(merged.values(), key=lambda finding: -finding.cycles)
    return Counted(kind, cycles, tuple(ordered), ratio, bound)


_Read = tuple[str, float, list[Finding], float | None, str]


def _named(kind: str, causes: Mapping[str, float], blocks: int = 1) -> list[Finding]:
    """The findings of one kind of block."""
    return [
        Finding(limit, count / blocks, f"{kind}.{cause}")
        for cause, count in causes.items()
        if (limit := BY_CAUSE.get((kind, cause)))
    ]


def _decode(results: Mapping[str, Any]) -> _Read:
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    count: dict[str, int] = defaultdict(int)
    for name, block in results["blocks"].items():
        kind = re.sub(r"^chip\d+_|\d+$", "", name)
        count[kind] += 1
        for cause, cycles in {"busy": block["busy"], **block["stalls"]}.items():
            sums[kind][cause] += cycles
    findings = [one for kind, causes in sums.items() for one in _named(kind, causes, count[kind])]
    hot = [events["throttled"] for events in results["events"].values() if "throttled" in events]
    if hot:
        findings.append(Finding("heat", max(hot), "vault: throttled"))
    flash = results["flash"]
    ratio = results.get("ratio", flash["utilisation"] / flash["bound"])
    bound = "a token's bound" if "ratio" in results else "what banks and tR permit"
    return "decode", results["cycles"], findings, ratio, bound


def _stack(results: Mapping[str, Any]) -> _Read:
    causes, events = dict(results["causes"]), results["events"]
    cycles = sum(causes.values())
    heat = events["throttled"]
    if events["hot"] >= HOT_SHARE * cycles:
        heat += causes.pop("refresh")
    findings = [*_named("vault", causes), Finding("heat", heat, "vault: throttled, hot")]
    if heat:
        # A beat that crosses is no loss: where it is hot, what the heat takes is the limit.
        findings = [one for one in findings if one.limit != "TSV bandwidth"]
    return "bench stack", cycles, findings, results["ratio"], "what the DRAM's timings permit"


def _mac(results: Mapping[str, Any]) -> _Read:
    causes = {**results["stalls"], **results["beats_by_kind"]}
    cycles = sum(causes.values())
    findings = _named("slice", causes)
    elements = causes["busy"]
    left_out = results.get("left_out", 0)
    zero = results["zero_blocks"] - left_out
    if zero:
        share = zero / (results["blocks"] - left_out)
        findings.append(Finding("irregular sparsity", elements * share, "blocks that are all zero"))
    if results["pattern"] != "dense":
        # Nothing else than where its pages lie differs from a dense run.
        lost = results["window"] - results["beats"] + causes["tail"] - causes["heat"]
        findings.append(
            Finding("irregular sparsity", lost, "beats not taken within the window, slice.tail")
        )
    stalls = [one for one in findings if one.limit not in ("arithmetic", "scales")]
    if results["utilisation"] < AT_BOUND or zero:
        # What multiplies is no loss, and what does not is.
        findings = [one for one in stalls if one.cycles > 0] or findings
    return "bench mac", cycles, findings, results["utilisation"], "the beats that its memory gives"


def _flash(results: Mapping[str, Any]) -> _Read:
    cycles = results["total_cycles"]
    findings = _named("flash", {"busy": results["busy"], **results["stalls"]})
    if results["pattern"] == "random":
        # A stream in order would have taken its bound's time.
        lost = cycles * max(0.0, 1 - results["ratio"])
        findings.append(Finding("irregular sparsity", lost, "cycles beyond the bound of all banks"))
        findings = [
            Finding(one.limit, one.cycles - lost, one.how) if one.limit == "tR and banks" else one
            for one in findings
        ]
    return "bench flash", cycles, findings, results["ratio"], "what banks and tR permit"


def _fabric(results: Mapping[str, Any]) -> _Read:
    latency, least = results["latency_mean"], results["zero_load_latency"]
    if latency is None:
        raise FigureError("no packet arrived")
    findings = [
        Finding("fabric congestion", latency - least, "mean latency less that at zero load"),
        Finding("fabric", least, "latency at zero load"),
    ]
    return "bench fabric", latency, findings, least / latency, "the latency at zero load"


def _link(results: Mapping[str, Any]) -> _Read:
    ends = list(results["causes"].values())
    cycles = results["cycles"]
    names = {cause.lower() for end in ends for cause in end}
    causes = {name: max(end.get(name, end.get(name.upper(), 0)) for end in ends) for name in names}
    overdue = {name.lower(): count for name, count in results["events"].items()}
    findings = _named("protected", causes)
    lost = causes.get("replay", 0) + causes.get("window", 0)
    if lost:
        told = ", ".join(f"{overdue[n]:,} {n}" for n in ("errors", "replays", "timeouts"))
        findings.append(Finding("fabric time-out", lost, f"link.replay, window; {told}"))
    return "bench link", cycles, findings, results["flits_a_cycle"], "a flit a cycle"


_KINDS: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], _Read]], ...] = (
    (("blocks", "events", "positions"), _decode),
    (("causes", "vaults", "read_share"), _stack),
    (("beats_by_kind", "lane_occupancy"), _mac),
    (("total_cycles", "tr_us"), _flash),
    (("zero_load_latency", "saturation"), _fabric),
    (("flits_a_cycle", "training_cycles"), _link),
)
"""Commands by keys that only they write."""
