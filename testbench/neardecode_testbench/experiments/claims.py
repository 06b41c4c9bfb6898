"""What is claimed of such memories, each claim run and judged.

Sources: X. Ma, D. Patterson, arXiv 2601.05047, whose abstract is what is quoted here; the project's
own brief, where it states a figure without one; of other work: H3 (SK hynix, IEEE Computer
Architecture Letters 2026), FlashAccel, "HBF Sucks!" and Duplex (arXiv 2409.01141), each as the
project's brief quotes it.
"""

from dataclasses import dataclass

from neardecode.config import PRESETS
from neardecode_testbench.experiments.ablation import Ablation
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.figure import Figure
from neardecode_testbench.experiments.memory_claims import (
    BRIEF,
    ELSEWHERE,
    OTHERS,
    memory_claims,
)
from neardecode_testbench.experiments.outcome import runs_of
from neardecode_testbench.experiments.scaling import SWITCH_NS, scale
from neardecode_testbench.experiments.verdict import Claim, judged, judged_between
from neardecode_testbench.model.project import Projection
from neardecode_testbench.model.shapes import SHAPES

__all__ = ["Models", "claims"]

NO_PREFETCH = (0.45, 0.65)
"""Around 55 %, by as much as a reading of it may differ."""
NEAR_FULL = 0.95


@dataclass(frozen=True)
class Models:
    """What is run.

    Attributes:
        context: Tokens of it.
        small, large, joined: Models by name: whose matrices are short; whose are long; that chips
            share.
        chips: How many.
    """

    context: int = 2048
    small: str = "smollm2-135m"
    large: str = "llama-2-7b"
    joined: str = "llama-2-13b"
    chips: int = 8


def claims(models: Models, jobs: int) -> list[Claim]:
    """All of them, judged.

    Raises:
        FigureError: if one cannot be run.
    """
    demo = Case(SHAPES[models.small], PRESETS["decoder-demo"], context=256)
    wide = Case(SHAPES[models.small], PRESETS["hbf16"], context=256)
    large = Case(SHAPES[models.large], PRESETS["hbf16"], context=models.context)
    wide, large = (Case(c.shape, c.fitted().config, context=c.context) for c in (wide, large))
    dies = demo.config.flash
    once = {"prefetch": 1}
    cases = {
        "demo": demo,
        "demo, half": demo.changed(flash={"banks_a_die": dies.banks_a_die // 2}),
        "demo, four": demo.changed(flash={"banks_a_die": 4 * dies.banks_a_die}),
        "demo, once": demo.changed(decoder=once),
        "wide": wide,
        "wide, once": wide.changed(decoder=once),
        "large": large,
        "large, once": large.changed(decoder=once),
    }
    runs = dict(zip(cases, runs_of(list(cases.values()), jobs), strict=True))
    return [
        *memory_claims(),
        _traffic(runs["large"], large),
        _chips(models, jobs),
        _buffer(runs),
        _prefetch(runs),
    ]


def _traffic(run: Projection, case: Case) -> Claim:
    found = Ablation(run)
    least, most = found.bytes_on
    saved = Figure(
        "bytes off the edges",
        1 - most / (most + found.bytes_off),
        "share",
        f"experiment ablation, {case.shape.name}, context {case.context:,}",
        1 - most / (most + found.bytes_off),
        1 - least / (least + found.bytes_off),
    )
    speed = Figure(
        "tokens a second, on over off",
        found.cycles[1] / run.cycles,
        "times",
        "the same",
        found.cycles[0] / run.cycles,
        found.cycles[2] / run.cycles,
    )
    return Claim(
        "traffic",
        "Near-memory compute takes 40 % off the off-chip traffic",
        BRIEF,
        ELSEWHERE,
        "at least 40 % fewer bytes over the stacks' edges",
        judged([saved], lambda share: share >= 0.4, "how activations are sent"),
        (saved, speed),
        "Of a decode with one sequence nearly all traffic is weights, keys and values, which stay"
        " in their memories.",
    )


def _chips(models: Models, jobs: int) -> Claim:
    case = Case(SHAPES[models.joined], PRESETS["hbf16"], context=models.context)
    joined = Case(case.shape, case.config, models.chips, models.context)
    one, many = scale([case, joined], jobs)
    low, middle, high = many.switched
    how = f"experiment scaling, {models.joined}, context {models.context:,}"
    speedup = Figure(
        f"{models.chips} chips over one", one.run.cycles / many.run.cycles, "times", how
    )
    gain = Figure(
        f"{models.chips} chips, fabric over a conventional network",
        middle / many.run.cycles,
        "times",
        f"{how}; a hop of {SWITCH_NS[0]:,.0f}, {SWITCH_NS[1]:,.0f} or {SWITCH_NS[2]:,.0f} ns there",
        low / many.run.cycles,
        high / many.run.cycles,
    )
    return Claim(
        "chips",
        "Multi-chip decode five times faster",
        BRIEF,
        ELSEWHERE,
        "five times or more, over one chip and over a conventional network",
        judged(
            [speedup, gain],
            lambda times: times >= 5,
            "what it is compared with, and how slow a conventional network is",
        ),
        (speedup, gain),
        "The brief does not say over what; both readings are judged.",
    )


def _buffer(runs: dict[str, Projection]) -> Claim:
    demo = runs["demo"].fitted.config
    flash = demo.flash
    bandwidth = demo.bandwidth_gbs * 1e9
    needed = bandwidth * flash.sense_ns * 1e-9
    has = 2 * flash.channels * flash.banks * flash.page_bytes
    most = runs["demo, four"].tokens_a_second
    how = (
        "neardecode project --context 256, banks a die as they are, {} of them; four times as many"
    )
    full = Figure(
        f"tokens a second with {has / needed:.2f} x bandwidth x latency of page buffers",
        runs["demo"].tokens_a_second / most,
        "share",
        how.format("all"),
    )
    half = Figure(
        f"tokens a second with {has / needed / 2:.2f} x bandwidth x latency",
        runs["demo, half"].tokens_a_second / most,
        "share",
        how.format("half"),
    )
    enough, too_little = full.value >= NEAR_FULL, half.value < NEAR_FULL
    verdict = "reproduced" if enough and too_little else "not reproduced"
    if enough and not too_little:
        verdict = "depends on how steadily weights are read"
    return Claim(
        "buffer",
        "HBF needs a buffer of 2 x bandwidth x latency",
        f"H3, {OTHERS}",
        "no",
        f"with it at least {NEAR_FULL:.0%} of what four times as much gives, with half of it less",
        verdict,
        (full, half),
        "Each bank has two page buffers and senses one page at a time, so half of the buffers here"
        " is half of the banks too.",
    )


def _prefetch(runs: dict[str, Projection]) -> Claim:
    losses = [
        1 - runs[f"{name}, once"].tokens_a_second / runs[name].tokens_a_second
        for name in ("demo", "wide", "large")
    ]
    names = ("decoder-demo", "hbf16", "hbf16")
    figures = tuple(
        Figure(
            f"tokens a second lost, {runs[name].fitted.shape.name} on {config}",
            loss,
            "share",
            "neardecode project with decoder.prefetch 1 against its default",
        )
        for name, config, loss in zip(("demo", "wide", "large"), names, losses, strict=True)
    )
    low, high = NO_PREFETCH
    return Claim(
        "prefetch",
        "Without prefetch 55 % are lost",
        f"FlashAccel, {OTHERS}",
        "no",
        f"{low:.0%} to {high:.0%} lost",
        judged_between(figures, low, high, "how long matrices are beside tR"),
        figures,
        "With a window of one, pages of the matrix in work are still asked for ahead of each other,"
        " and only the next matrix waits.",
    )
