"""A conventional accelerator: HBM beside a chip with all arithmetic, against near memory.

The accelerator is given all that cannot be doubted: its arithmetic, its network and its software
take no time and no energy, so that it is as fast as its pins. Their share that is filled is ranged:
Ramulator 2.1's HBM3 stream with all-bank refresh, 91.2 % (measured by the project); the model of a
vault with all-bank refresh; all of it.
"""

from math import ceil

from neardecode.config import PRESETS, with_changes
from neardecode_synth.energy import PICOJOULES_A_BIT, energies
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.outcome import Column, Outcome, runs_of
from neardecode_testbench.experiments.streams import vault_rate
from neardecode_testbench.model.project import Projection

__all__ = ["baseline_experiment", "vectors_bytes"]

LEAST_FILLED = 0.912
ENDS = ("low", "middle", "high")


def vectors_bytes(run: Projection) -> tuple[float, float]:
    """Bytes that cross the edges of a chip's memories with arithmetic beside them, a token.

    Activations in, results out; least where an activation crosses once for all channels, most
    where each channel has its own.
    """
    config, program = run.fitted.config, run.fitted.program
    block = 32 * config.compute.activation_bits + 8
    sent = results = 0
    for step in program.steps:
        if step.matrix is not None:
            matrix = step.matrix
            sent += matrix.blocks * matrix.times * block
            results += (
                matrix.rows * config.flash.channels + matrix.extra
            ) * config.compute.result_bits
    shape = run.fitted.shape
    heads = shape.layers * shape.heads * shape.head_size
    rows = 2 * shape.layers * shape.kv_heads * shape.head_size
    attention = heads * (config.compute.activation_bits + config.compute.accumulator_bits)
    beside = results + attention + 8 * rows
    return (sent + beside) / 8, (sent * config.flash.channels + beside) / 8


def baseline_experiment(case: Case, jobs: int) -> Outcome:
    """The model on stacks of HBM with a central array, and on the configuration.

    Raises:
        FigureError: if a figure cannot be.
    """
    (run,) = runs_of([case], jobs)
    fitted, bound = run.fitted, run.bound
    hbm = PRESETS["stack"]
    assert hbm.stack is not None
    pins = hbm.off_stack.bandwidth_gbs * 1e9
    weights, kv = bound.flash_bytes, bound.kv_bytes
    capacity = hbm.stack.vaults * hbm.stack.pages * hbm.stack.page_bytes
    stacks = ceil((weights + kv) / capacity)
    filled = (
        LEAST_FILLED,
        vault_rate(with_changes(hbm, {"stack": {"refresh": "all-bank"}})),
        1.0,
    )
    seconds = [(weights + kv) / (stacks * pins * share) for share in reversed(filled)]
    bits = 8.0 * (weights + kv)
    parts = energies({"dram": bits, "tsv": bits, "link": bits})
    joules = [sum(getattr(part, end) for part in parts) for end in ENDS]
    near_seconds = run.cycles / (fitted.config.clock_ghz * 1e9)
    least, most = vectors_bytes(run)
    near = [
        sum(getattr(part, end) for part in energies({**run.bits, "link": 8 * moved}))
        for end, moved in zip(ENDS, (least, (least * most) ** 0.5, most), strict=True)
    ]
    rows = [
        _row(
            f"{stacks} HBM3 stack{'s' * (stacks > 1)}, central array",
            seconds,
            joules,
            kv,
            weights + kv,
        ),
        _row("near memory: flash and stack", [near_seconds] * 3, near, kv, least),
    ]
    sensed = [8 * weights * pj * 1e-12 for pj in PICOJOULES_A_BIT["flash"]]
    rows[1] |= {
        f"flash_watts{name}": joules_of / near_seconds
        for name, joules_of in zip(("_low", "", "_high"), sensed, strict=True)
    }
    even = (joules[1] - near[1] + sensed[1]) / (8 * weights) * 1e12
    ratio = rows[1]["tokens_a_second"] / rows[0]["tokens_a_second"]
    traffic = (weights + kv) / most
    name = ", ".join(fitted.config.compute.formats)
    return Outcome(
        f"{case.shape.name}, context {case.context:,}, weights in {name}, one sequence",
        (
            Column("what", "what"),
            Column("latency_ms", "ms a token", ".3f"),
            Column("latency_ms_low", "low", ".3f"),
            Column("latency_ms_high", "high", ".3f"),
            Column("tokens_a_second", "tokens a second", ",.1f"),
            Column("kv_gbs", "KV, GB/s", ",.1f"),
            Column("edge_mb", "MB over edges", ",.2f"),
            Column("joules", "J a token", ".3f"),
            Column("watts", "W", ",.1f"),
            Column("watts_low", "low", ",.1f"),
            Column("watts_high", "high", ",.1f"),
            Column("flash_watts", "flash, W", ",.1f"),
            Column("flash_watts_low", "low", ",.1f"),
            Column("flash_watts_high", "high", ",.1f"),
        ),
        tuple(rows),
        (
            f"The near-memory design gives {ratio:.2f} times the tokens a second of HBM that is as"
            f" fast as its pins; at least {traffic:,.0f} times fewer bytes cross its"
            " edges.",
            f"Pins: {pins / 1e9:,.1f} GB/s a stack, filled to {filled[0]:.1%}, {filled[1]:.1%} or"
            f" all; a stack holds {capacity / 1e9:.2f} GB, and there are as many as hold the model:"
            " with twice as many it would be twice as fast. Its arithmetic, network and software"
            " cost nothing here, so a real one is slower and hotter.",
            "Power is of memories and links alone, with published energies a bit: neardecode energy"
            " names them. Of near memory's"
            f" {rows[1]['watts']:,.0f} W all but {(near[1] - sensed[1]) / near_seconds:,.1f} W is"
            " flash, at what a page of planar single-level NAND takes: "
            + ", ".join(f"{pj:,.0f}" for pj in PICOJOULES_A_BIT["flash"])
            + " pJ a bit from its data sheets' currents (Numonyx NAND01G-B2B, Intel"
            " JS29F02G08AANB3). Nobody has published one for HBF, so these watts say what is"
            f" known, not what HBF will take: at {even:,.2f} pJ a bit a token takes as much as from"
            " HBM.",
            f"Near memory: neardecode project, {run.bound_ratio:.4f} of its bound, which is set by"
            f" {bound.limit}.",
        ),
    )


def _row(what: str, seconds, joules, kv: float, edge: float) -> dict:
    low, middle, high = seconds
    return {
        "what": what,
        "latency_ms": 1e3 * middle,
        "latency_ms_low": 1e3 * low,
        "latency_ms_high": 1e3 * high,
        "tokens_a_second": 1 / middle,
        "kv_gbs": kv / middle / 1e9,
        "edge_mb": edge / 1e6,
        "joules": joules[1],
        "watts": joules[1] / middle,
        "watts_low": joules[0] / high,
        "watts_high": joules[2] / low,
        "flash_watts": None,
        "flash_watts_low": None,
        "flash_watts_high": None,
    }
