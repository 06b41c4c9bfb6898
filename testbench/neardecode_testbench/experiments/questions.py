"""Questions about decode hardware, answered with figures of the model.

Each answer says what was run for it. Where it is a range, low and high are two ways of counting.
"""

from dataclasses import dataclass, replace
from math import ceil

from neardecode.config import PRESETS
from neardecode.config.guarantee import Envelope, latency_bound
from neardecode.config.topology import Topology
from neardecode_testbench.experiments.case import Case, projected
from neardecode_testbench.experiments.figure import Figure, FigureError
from neardecode_testbench.experiments.streams import PAGES, vault_rate
from neardecode_testbench.model.project import Projection
from neardecode_testbench.model.shapes import SHAPES

__all__ = ["Answer", "answers"]

TERABYTES_A_SECOND = 2.0
FABRIC_NODES = (4, 4)
FABRIC_BUFFER = 8
LONG = 32768
LONG_ENOUGH = (2048, 3200)
"""Contexts of which the longer takes as much more as the vault does: page buffers are full."""


@dataclass(frozen=True)
class Answer:
    """A question and what the model says to it.

    Attributes:
        question: It.
        answer: In a sentence.
        figures: What it rests on.
    """

    question: str
    answer: str
    figures: tuple[Figure, ...]


def answers(jobs: int = 1) -> list[Answer]:
    """All of them.

    Raises:
        FigureError: if a run gives no figure.
    """
    demo = Case(SHAPES["smollm2-135m"], PRESETS["decoder-demo"], context=512)
    half = demo.changed(flash={"channels": 2}, decoder={"lanes": 8})
    cases = {
        "half": half,
        "compute": half.changed(decoder={"lanes": 16}),
        "bandwidth": half.changed(flash={"channels": 4}),
        "one": demo.changed(decoder={"prefetch": 1}),
        "ahead": demo,
        "long": replace(demo, context=LONG_ENOUGH[0]),
        "longer": replace(demo, context=LONG_ENOUGH[1]),
    }
    runs: dict[str, Projection] = {}
    for name, run in zip(cases, projected(list(cases.values()), jobs), strict=True):
        if isinstance(run, str):
            raise FigureError(run)
        runs[name] = run
    return [
        _compute(runs),
        _kv(),
        _array(runs["long"], runs["longer"]),
        _tsvs(),
        _latency(runs),
        _hop(),
    ]


def _compute(runs: dict[str, Projection]) -> Answer:
    base = runs["half"]
    how = "neardecode project --context 512 --set flash.channels=2 --set decoder.lanes=8, beside"
    compute, bandwidth = (
        Figure(
            f"tokens a second with twice the {what}",
            runs[name].tokens_a_second / base.tokens_a_second,
            "times",
            f"{how} {key}",
        )
        for name, what, key in (
            ("compute", "vector lanes", "decoder.lanes=16"),
            ("bandwidth", "flash channels", "flash.channels=4"),
        )
    )
    cap = Figure(
        "tokens a second with endless arithmetic at the same bandwidth",
        base.cycles / base.bound.cycles,
        "times at most",
        "the same, bound over model",
    )
    verdict = "hardly" if compute.value - 1 < (bandwidth.value - 1) / 4 else "partly"
    return Answer(
        "Does more compute without bandwidth help token latency?",
        f"{verdict.capitalize()}: SmolLM2-135M gains {compute.value - 1:.1%} from twice the vector"
        f" lanes and {bandwidth.value - 1:.1%} from twice the channels, and no arithmetic"
        f" whatever can give more than {cap.value - 1:.1%}; a slice already takes a beat in every"
        " cycle in which its memory gives one.",
        (compute, bandwidth, cap),
    )


def _kv() -> Answer:
    case = Case(SHAPES["llama-2-70b"], PRESETS["hbf16"], chips=4, context=LONG)
    fitted, bound = case.fitted(), case.bound()
    assert fitted.config.stack is not None
    how = f"pages of MXINT8 rows, llama-2-70b, context {LONG:,}, 4 chips"
    read = bound.kv_bytes * case.chips
    kv_map, beat = fitted.program.kv_map, fitted.config.stack.beat_bytes
    rows = 2 * case.shape.layers * case.shape.kv_heads
    # A row is written with its share of a beat of scales, as a beat of its own.
    written = rows * kv_map.beats_a_row * beat
    figures = (
        Figure("read a token", read / 1e9, "GB", how),
        Figure("written a token", written / 1e3, "kB", how, written / 1e3, 2 * written / 1e3),
        Figure("read over written", read / written, "times", how),
    )
    return Answer(
        "How much of the KV cache of a 70B model is read and written a token?",
        f"At a context of {LONG:,}, Llama-2-70B reads {figures[0].text} and writes"
        f" {figures[1].text}, the larger with a beat of scales for every beat of elements.",
        figures,
    )


def _array(long: Projection, longer: Projection) -> Answer:
    beats = longer.bound.kv_cycles - long.bound.kv_cycles
    first, last = LONG_ENOUGH
    share = Figure(
        "beats a cycle that the array takes from its vault",
        beats / (longer.cycles - long.cycles),
        "share",
        f"neardecode project --context {last}, less the same with {first}",
    )
    dram = Figure(
        "beats a cycle that the vault itself can give",
        vault_rate(longer.fitted.config),
        "share",
        f"the model of a vault, {PAGES} pages in a row",
    )
    keeps = share.value >= 0.9 * dram.value
    return Answer(
        "Can a MAC array beside DRAM keep up with it?",
        f"{'Yes' if keeps else 'Not wholly'}: for every token of context more, attention of"
        f" SmolLM2-135M takes a beat in {share.text} of the cycles, and refresh and rows leave the"
        f" vault {dram.text}; the criterion is nine tenths of that.",
        (share, dram),
    )


def _tsvs() -> Answer:
    config = PRESETS["stack"]
    stack = config.stack
    assert stack is not None
    a_vault = stack.lanes + stack.command_tsvs
    peak = stack.beat_bytes * config.clock_ghz * 1e9
    rate = vault_rate(config)
    needed = TERABYTES_A_SECOND * 1e12
    vaults, least = ceil(needed / (peak * rate)), ceil(needed / peak)
    tsvs = Figure(
        f"signal TSVs for {TERABYTES_A_SECOND:g} TB/s",
        vaults * a_vault,
        "TSVs",
        f"{a_vault} a vault of 64 bytes a cycle at {config.clock_ghz:g} GHz, of which the model of"
        f" a vault streams {rate:.4f}",
        least * a_vault,
        vaults * a_vault,
    )
    return Answer(
        f"How many TSVs make {TERABYTES_A_SECOND:g} TB/s?",
        f"{tsvs.text}, without power and clock: {vaults} vaults; the lower figure counts neither"
        " refresh nor rows.",
        (tsvs,),
    )


def _latency(runs: dict[str, Projection]) -> Answer:
    ahead, one = runs["ahead"], runs["one"]
    config = ahead.fitted.config
    pages = ahead.bound.flash_cycles / config.flash.page_beats
    plain = config.sense_cycles + config.flash.page_beats
    ns = 1 / config.clock_ghz
    beats = config.flash.page_beats
    window = 0 if config.decoder is None else config.decoder.prefetch
    figures = tuple(
        Figure(name, cycles * ns, "ns a page", how)
        for name, cycles, how in (
            (
                "as the slice sees it, prefetched",
                beats + ahead.memory / pages,
                f"neardecode project --context 512, decoder.prefetch {window}: a page's beats and"
                " the cycles in which slices waited for flash, over the pages of a channel",
            ),
            (
                "as the slice sees it, one matrix at a time",
                beats + one.memory / pages,
                "the same with decoder.prefetch=1",
            ),
            ("tR and transfer", plain, "the configuration"),
        )
    )
    return Answer(
        "What is the effective latency of prefetched flash?",
        f"Sense and transfer take {figures[2].text}; prefetched, it costs the slice of SmolLM2-135M"
        f" {figures[0].text}, of which its beats are {beats * ns:g}, and with one matrix asked for"
        f" at a time {figures[1].text}.",
        figures,
    )


def _hop() -> Answer:
    topology, packet = Topology(FABRIC_NODES), 1
    numbers = {"buffer_flits": FABRIC_BUFFER, "link_latency": 1}
    alone = latency_bound(topology, Envelope(1, packet, 1 << 40), **numbers)
    window = 2 * alone + 1
    bound = latency_bound(topology, Envelope(1, packet, window), **numbers)
    nodes = range(topology.nodes)
    hops = max(topology.hops(a, b) for a in nodes for b in nodes)
    ns = 1 / PRESETS["hbf16"].clock_ghz
    figures = (
        Figure(
            "a token's flit across the mesh, any bulk load",
            bound * ns,
            "ns at most",
            f"bound that `neardecode bench fabric --guarantee` is held against, a flit every"
            f" {window} cycles an end",
        ),
        Figure("of it, a hop", bound / (hops + 1) * ns, "ns at most", f"over {hops + 1} hops"),
        Figure("a hop without load", 2 * ns, "ns", "router and link of one register"),
    )
    return Answer(
        "What is the worst hop under full load?",
        f"In a 4x4 mesh a token of one flit takes {figures[0].text}, {figures[1].text} a hop,"
        f" whatever bulk there is; without load a hop is {figures[2].text}.",
        figures,
    )
