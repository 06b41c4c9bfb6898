"""Decoding wholly in hardware: what is run, what is printed, when it is an error."""

import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from rich.markup import escape

from neardecode.config import Config
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import console
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.reference.fits import CompileError
from neardecode_testbench.reference.tokenizer import Tokenizer
from neardecode_testbench.report.tables import blocks_table
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.token_decode import TokenDecode, TokenRun

__all__ = ["print_tokens", "run_tokens", "side_by_side", "texts", "token_results"]

RATIO_LIMIT = 1.0001


def side_by_side(settings: Config, sequences: int) -> Config:
    """As `Config.side_by_side`.

    Raises:
        InputError: if it cannot be built for as many.
    """
    try:
        return settings.side_by_side(sequences)
    except ValidationError as error:
        (first, *_) = error.errors()
        raise InputError(f"--prompt: {sequences} side by side: {first['msg']}") from None


def texts(
    tokenizer: Tokenizer, prompts: list[str], ids: list[list[int]], found: list[list[int]]
) -> dict[str, Any]:
    """What was asked and found: of the first prompt, and where there are more, of each."""
    each = [
        {
            "prompt": prompt,
            "text": tokenizer.decode([*given, *tokens])[len(tokenizer.decode(given)) :],
            "tokens": tokens,
        }
        for prompt, given, tokens in zip(prompts, ids, found, strict=True)
    ]
    return {**each[0], **({"sequences": each} if len(each) > 1 else {})}


def run_tokens(
    settings: Config,
    design: Design,
    source: ModelSource,
    ids: list[list[int]],
    count: int,
    stops: frozenset[int],
    context: int,
    backend: Backend,
    *,
    on_token: Callable[[int], None] | None,
    **waves: Any,
) -> TokenRun:
    """Decodes, and refuses a run that is not what it must be.

    Raises:
        InputError: in one line.
    """
    scenario = TokenDecode(settings, source, ids, count, stops, context, on_token=on_token)
    try:
        run = simulate(design, scenario, backend, **waves)
    except CompileError as error:
        raise InputError(str(error)) from None
    if run.mismatches:
        raise InputError(
            f"{run.mismatches} of {run.values_compared} values differ from the reference, the"
            f" first at {run.first_mismatch}"
        )
    for flag, meaning in (
        ("error", "a page could not be read"),
        ("violated", "a timing of the DRAM was broken"),
    ):
        if run.flags[flag]:
            raise InputError(meaning)
    if run.bound * len(run.steps) > RATIO_LIMIT * run.cycles:
        raise InputError(f"{run.cycles} cycles are below the bound of {run.bound:.0f} a token")
    return run


def token_results(settings: Config, run: TokenRun) -> dict[str, Any]:
    """The run for machines."""
    channels, cycles = settings.chips * settings.flash.channels, run.cycles
    busy, macs = (
        sum(
            block["busy"]
            for name, block in run.blocks.items()
            if re.fullmatch(rf"(chip\d+_)?{kind}\d+", name)
        )
        for kind in ("flash", "slice")
    )
    sequences = len(run.tokens)
    a_token = cycles / len(run.steps) / sequences
    return {
        "host_arithmetic": False,
        "positions": len(run.steps),
        "values_compared": run.values_compared,
        "mismatches": run.mismatches,
        "saturated": bool(run.flags["saturated"]),
        "cycles": cycles,
        "cycles_a_token": a_token,
        "bound_a_token": run.bound / sequences,
        "activation_blocks_a_token": run.activation_blocks,
        "ratio": run.bound / sequences / a_token,
        "flash": {
            "utilisation": busy / (cycles * channels),
            "bound": settings.utilisation_bound,
        },
        "mac_utilisation": macs / (cycles * channels),
        "steps": [vars(step) for step in run.steps],
        "blocks": run.blocks,
        "events": run.events,
    }


def print_tokens(results: dict[str, Any]) -> None:
    """The run for eyes."""
    console.print()
    for each in results.get("sequences", [results]):
        console.print(
            f"{escape(each['prompt'])}[bold]{escape(each['text'])}[/bold]", highlight=False
        )
    console.print()
    console.print(blocks_table(results["blocks"], results["cycles"]))
    flash = results["flash"]
    for line in (
        f"cycles a token        {results['cycles_a_token']:,.0f}, bound"
        f" {results['bound_a_token']:,.0f}, ratio {results['ratio']:.4f}",
        f"channel utilisation   {flash['utilisation']:.2%}, bound {flash['bound']:.2%}",
        f"MAC utilisation       {results['mac_utilisation']:.2%}",
        f"values compared       {results['values_compared']:,}, mismatches"
        f" {results['mismatches']:,}",
        f"simulation            {results['seconds']:.1f} s on {results['backend']},"
        f" {results['seconds_a_token']:.2f} s a token,"
        f" {results['cycles'] / results['seconds'] / 1000:,.0f} thousand cycles a second",
    ):
        console.print(line, highlight=False)
