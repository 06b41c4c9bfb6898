"""Claims about single memories and links: closed form, and the model of a vault."""

from math import ceil

from neardecode.config import PRESETS, Config, Protection
from neardecode.config.guarantee import Envelope, latency_bound
from neardecode.config.topology import Topology
from neardecode_testbench.experiments.figure import Figure
from neardecode_testbench.experiments.streams import chip_hop_ns, vault_rate
from neardecode_testbench.experiments.verdict import Claim, judged, judged_between

__all__ = ["BRIEF", "ELSEWHERE", "OTHERS", "memory_claims"]

PAPER = "Ma and Patterson, arXiv 2601.05047"
BRIEF = "the project's own brief"
OTHERS = "as the project's own brief quotes it"
ELSEWHERE = "not in its abstract"
SENSE_NS = (1000.0, 4000.0, 20_000.0)
"""tR as published: KVNAND and FlashAccel 4 us, H3 20 us, and the range of HBF from 1 us on."""
HBM_GB = (16.0, 24.0, 36.0)
"""A stack of HBM3 eight high, and of HBM3E eight and twelve high."""
HBM2_GBS = (256.0, 307.2)
"""JEDEC JESD235's 1024 pins at 2 and at 2.4 Gb/s."""
TERABYTE = 1e12
ROUTER_CYCLES = 2
HOP_NS = 800.0


def memory_claims() -> list[Claim]:
    """Those of flash, stack and links."""
    return [_capacity(), _bandwidth(), _inside(), _over_hbm2(), _hop(), _kv_in_flash(), _pitch()]


def _capacity() -> Claim:
    flash = PRESETS["hbf16"].flash
    size = flash.channels * flash.pages * flash.page_bytes / 1e9
    least, middle, most = HBM_GB
    ratio = Figure(
        "capacity of a cube of HBF over a stack of HBM",
        size / middle,
        "times",
        f"preset hbf16, OCP HBF v0.7.0: {size:,.0f} GB; HBM of {least:g}, {middle:g}, {most:g} GB",
        size / most,
        size / least,
    )
    return Claim(
        "capacity",
        "Flash gives ten times HBM's capacity",
        PAPER,
        "abstract",
        "ten times or more",
        judged([ratio], lambda times: times >= 10, "the height of the HBM stack"),
        (ratio,),
        "The configuration's geometry is the specification's.",
    )


def _flash_tbs(config: Config, sense_ns: float) -> float:
    flash = config.flash
    sensed = config.cycles(sense_ns)
    share = min(1.0, flash.banks * flash.page_beats / sensed)
    return share * config.bandwidth_gbs / 1000


def _bandwidth() -> Claim:
    config = PRESETS["hbf16"]
    fast, middle, slow = (_flash_tbs(config, sense) for sense in SENSE_NS)
    rate = Figure(
        "what banks and tR permit",
        middle,
        "TB/s",
        f"min(1, banks x page / tR) of 16 channels, tR {SENSE_NS[1] / 1000:g} us"
        f" ({SENSE_NS[0] / 1000:g} to {SENSE_NS[2] / 1000:g}); `bench flash` measures it in RTL",
        slow,
        fast,
    )
    limit = config.flash.banks * config.flash.page_bytes * config.flash.channels / TERABYTE * 1e6
    return Claim(
        "bandwidth",
        "Flash reads at more than 1 TB/s",
        f"{BRIEF}; the paper's abstract says HBM-like bandwidth",
        ELSEWHERE,
        "more than 1 TB/s",
        judged([rate], lambda tbs: tbs > 1, f"tR: up to {limit:.2f} us with 64 banks a channel"),
        (rate,),
        "A channel is full only with banks x page / tR of at least its bus.",
    )


def _inside() -> Claim:
    rates = []
    for name in ("stack", "stack-3tbs"):
        config = PRESETS[name]
        assert config.stack is not None
        stack = config.stack
        peak = stack.vaults * stack.beat_bytes * config.clock_ghz / 1000
        rates.append(
            Figure(
                f"inside the stack, preset {name}, {stack.tsvs:,} signal TSVs",
                peak * vault_rate(config),
                "TB/s",
                f"the model of a vault, a stream of pages, times {stack.vaults} vaults",
            )
        )
    stack, config = PRESETS["stack"].stack, PRESETS["stack"]
    assert stack is not None
    vaults = ceil(2000 / (stack.beat_bytes * config.clock_ghz * vault_rate(config)))
    tsvs = vaults * (stack.lanes + stack.command_tsvs)
    return Claim(
        "inside",
        "2 TB/s inside the stack",
        BRIEF,
        ELSEWHERE,
        "2 TB/s or more with every preset",
        judged(rates, lambda tbs: tbs >= 2, f"TSVs: it takes {tsvs:,} in {vaults} vaults"),
        tuple(rates),
        "Bandwidth inside is vaults times their TSVs.",
    )


def _over_hbm2() -> Claim:
    config = PRESETS["stack"]
    assert config.stack is not None
    inside = config.stack.vaults * config.stack.beat_bytes * config.clock_ghz * vault_rate(config)
    least, most = HBM2_GBS
    ratio = Figure(
        "bandwidth inside over HBM2's",
        inside / (least * most) ** 0.5,
        "times",
        f"preset stack, {inside:,.1f} GB/s; HBM2 of {least:g} to {most:g} GB/s (JESD235)",
        inside / most,
        inside / least,
    )
    return Claim(
        "hbm2",
        "2.5 times the bandwidth of HBM2",
        BRIEF,
        ELSEWHERE,
        "2.5 times or more",
        judged([ratio], lambda times: times >= 2.5, "the speed of HBM2's pins"),
        (ratio,),
        "The preset's eight vaults are those of an HBM3-like stack.",
    )


def _hop() -> Claim:
    config = PRESETS["hbf16"]
    ns, router = 1 / config.clock_ghz, ROUTER_CYCLES / config.clock_ghz
    mesh, numbers = Topology((4, 4)), {"buffer_flits": 8, "link_latency": 1}
    alone = latency_bound(mesh, Envelope(1, 1, 1 << 40), **numbers)
    worst = latency_bound(mesh, Envelope(1, 1, 2 * alone + 1), **numbers) * ns
    logic = Protection().unit_latency - Protection().latency
    within = Figure(
        "a hop without its cable",
        router + logic * ns,
        "ns",
        "a router; with a protected link's ends; and across a 4x4 mesh under any bulk load, the"
        " bound that `bench fabric --guarantee` is held against, with the ends",
        router,
        worst + logic * ns,
    )
    cable = chip_hop_ns(config)
    link = Figure("fabric.chip_link_latency", cable, "ns", "the configuration")
    verdict = judged([within], lambda ns: ns <= HOP_NS, "load")
    if verdict == "reproduced":
        verdict = f"depends on the cable: at most {HOP_NS - worst - logic * ns:.0f} ns under load"
    return Claim(
        "hop",
        "0.8 us a hop",
        BRIEF,
        ELSEWHERE,
        "0.8 us at most, with the cable",
        verdict,
        (within, link),
        "The cable's latency is a parameter of ours and no measurement, so that it decides.",
    )


def _kv_in_flash() -> Claim:
    flash, stacks = PRESETS["hbf16"], (PRESETS["stack"], PRESETS["stack-3tbs"])
    inside = []
    for config in stacks:
        assert config.stack is not None
        gbs = config.stack.vaults * config.stack.beat_bytes * config.clock_ghz
        inside.append(gbs * vault_rate(config) / 1000)
    slower, faster = sorted(inside)
    ratio = Figure(
        "time to read the KV cache, flash over stack",
        (slower * faster) ** 0.5 / _flash_tbs(flash, SENSE_NS[1]),
        "times",
        f"stacks of {slower:.2f} to {faster:.2f} TB/s by the model of a vault; tR"
        f" {SENSE_NS[0] / 1000:g} to {SENSE_NS[2] / 1000:g} us",
        slower / _flash_tbs(flash, SENSE_NS[0]),
        faster / _flash_tbs(flash, SENSE_NS[2]),
    )
    return Claim(
        "kv in flash",
        "A KV cache in HBF is two to five times worse",
        f'"HBF Sucks!", {OTHERS}',
        "no",
        "two to five times as long",
        judged_between([ratio], 2, 5, "tR and the stack's TSVs"),
        (ratio,),
        "Reads alone: programming pages and wear, which flash has and DRAM has not, are not in it.",
    )


def _pitch() -> Claim:
    wide, fine = PRESETS["stack"].stack, PRESETS["stack-3tbs"].stack
    assert wide is not None
    assert fine is not None
    areas = [stack.tsvs * pitch**2 / 1e6 for stack, pitch in ((wide, 50), (fine, 22))]
    times = Figure(
        "TSVs in the same area, 22 against 50 um",
        (50 / 22) ** 2,
        "times",
        "pitch squared",
    )
    built = Figure(
        "bandwidth inside, preset stack-3tbs over preset stack",
        fine.vaults
        * vault_rate(PRESETS["stack-3tbs"])
        / wide.vaults
        / vault_rate(PRESETS["stack"]),
        "times",
        f"model of a vault; their signal TSVs take {areas[1]:.2f} mm2 at 22 um and {areas[0]:.2f}"
        " mm2 at 50 um",
    )
    verdict = judged([times, built], lambda number: number >= 4, "rounding")
    if verdict == "reproduced" and areas[1] > areas[0]:
        verdict = "depends on the area for TSVs"
    return Claim(
        "pitch",
        "A TSV pitch of 22 instead of 50 um gives four times the bandwidth",
        f"Duplex (arXiv 2409.01141), {OTHERS}",
        "no",
        "four times or more, in no more area",
        verdict,
        (times, built),
        "Signal TSVs alone; power and clock are not counted.",
    )
