"""What `neardecode area` says of blocks in JSON."""

from collections.abc import Callable, Sequence
from typing import Any

from neardecode_synth.area import Area, measure
from neardecode_synth.liberty import Liberty
from neardecode_synth.memories import NODE_NM
from neardecode_synth.yosys import SynthesisError
from neardecode_testbench.cli.area_blocks import Size, measured

__all__ = ["block_results", "complain"]


def block_results(
    sizes: Sequence[Size],
    library: Liberty | None,
    jobs: int,
    started: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Name and parameters of each block with its figures, or with ``error``, why it has none.

    Args:
        sizes: The blocks.
        library: Cells to map to beside gates.
        jobs: Processes at a time.
        started: Told of each block or unit that is begun.
    """
    found = measure([measured(size) for size in sizes], library, jobs, started)
    return [
        {
            "name": size.block,
            "parameters": size.parameters,
            **({"error": str(one)} if isinstance(one, SynthesisError) else _numbers(one)),
        }
        for size, one in zip(sizes, found, strict=True)
    ]


def complain(sizes: Sequence[Size], results: Sequence[dict[str, Any]]) -> None:
    """Tells of the blocks that have no figures.

    Raises:
        SynthesisError: if there is one.
    """
    failed = [
        f"{size.title}: {one['error']}"
        for size, one in zip(sizes, results, strict=True)
        if "error" in one
    ]
    if failed:
        of_all = f"{len(failed)} of {len(sizes)} failed: " if len(sizes) > 1 else ""
        raise SynthesisError(of_all + "; ".join(failed))


def _numbers(one: Area) -> dict[str, Any]:
    sram = [(count, macro.area_um2, macro.gates) for macro, count in one.macros.items()]
    known = [(count, um2, gates) for count, um2, gates in sram if um2 and gates]
    numbers: dict[str, Any] = {
        **({} if one.buffer_bits is None else {"buffer_bits": one.buffer_bits}),
        "kge": one.low_ge / 1000,
        "kge_high": one.high_ge / 1000,
        "logic_kge": one.sum(lambda gates: gates.logic_ge) / 1000,
        "flip_flops": int(one.sum(lambda gates: gates.flip_flops)),
        "enabled_flip_flops": int(one.sum(lambda gates: gates.enabled_flip_flops)),
        "sram_bits": int(one.sum(lambda gates: gates.sram_bits)),
        "macros": [
            {**vars(macro), "bits": macro.bits, "count": count}
            for macro, count in one.macros.items()
        ],
    }
    if sram and len(known) == len(sram):
        numbers[f"sram_um2_at_{NODE_NM}_nm"] = [
            sum(count * um2[end] for count, um2, _ in known) for end in (0, 1)
        ]
        numbers["sram_kge"] = [
            sum(count * gates[end] for count, _, gates in known) / 1000 for end in (0, 1)
        ]
    if (um2 := one.total(lambda part: part.area_um2)) is not None:
        numbers["area_um2"] = um2
        numbers["library_kge"] = one.total(lambda part: part.library_kge)
    if (slowest := one.slowest) is not None and slowest.path is not None:
        numbers["fmax_mhz"] = slowest.path["fmax_mhz"]
        numbers["longest_path"] = {"unit": slowest.name, **slowest.path}
    if one.fpga is not None:
        numbers["luts"] = one.fpga.luts
        for key in ("flip_flops", "dsps", "brams"):
            numbers[f"ecp5_{key}"] = getattr(one.fpga, key)
    if one.placed is not None:
        numbers["ecp5_device"] = one.placed["device"]
        numbers["ecp5_fmax_mhz"] = one.placed["fmax_mhz"]
        numbers["ecp5_longest_path"] = one.placed["path"]
        numbers.setdefault("fmax_mhz", one.placed["fmax_mhz"])
    if len(one.parts) > 1:
        numbers["parts"] = [
            {
                "name": part.name,
                "count": part.count,
                "kge": part.gates.low_ge / 1000,
                "kge_high": part.gates.high_ge / 1000,
                "sram_bits": part.gates.sram_bits,
                **({} if part.path is None else {"fmax_mhz": part.path["fmax_mhz"]}),
            }
            for part in one.parts
        ]
    return numbers
