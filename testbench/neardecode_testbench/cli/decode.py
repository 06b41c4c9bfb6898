"""neardecode decode: the main job."""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from neardecode.config import Config, load, merged
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.changes import SetOption, changed
from neardecode_testbench.cli.decode_tokens import (
    print_tokens,
    run_tokens,
    side_by_side,
    texts,
    token_results,
)
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.devices.board import Board
from neardecode_testbench.devices.token_board import TokenBoard, token_halves
from neardecode_testbench.drive.backends import BACKENDS, WAVE_CYCLES, prepare, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.toolchain import check_tools
from neardecode_testbench.reference.decoder import generate
from neardecode_testbench.reference.models import MODELS, locate
from neardecode_testbench.reference.scorers import IntegerScorer
from neardecode_testbench.report.tables import blocks_table
from neardecode_testbench.report.trace import write_trace
from neardecode_testbench.scenarios.attention import accumulator_format
from neardecode_testbench.scenarios.decode import DecodeRun, DecodeScenario
from neardecode_testbench.scenarios.model import ModelSource

RANDOM = "random"
PROMPT = "The capital of France is"


@app.command()
def decode(
    model: Annotated[
        str | None, typer.Option(help=f"One of: {', '.join([*MODELS, RANDOM])}.")
    ] = None,
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any Llama-architecture GGUF file.")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help=f"What to continue; again for more, side by side. Default: {PROMPT!r}."),
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Most tokens to generate.")] = 8,
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    changes: SetOption = None,
    chips: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Chips that share the model; default: the config's."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="What --chips share: heads, or context; default: heads if they divide."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help=f"One of: {', '.join(BACKENDS)}; default: the config's.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="Of a token decoder's native simulator; default: the config's, if cores suffice.",
        ),
    ] = None,
    stalls: Annotated[
        int | None, typer.Option(metavar="SEED", help="Stall the board's streams at random.")
    ] = None,
    waves: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Waveforms, .fst or .vcd.")
    ] = None,
    wave_cycles: Annotated[int, typer.Option(min=1, help="Cycles of them.")] = WAVE_CYCLES,
    wave_from: Annotated[
        int, typer.Option(min=0, help="Their first cycle; later than 0 on native.")
    ] = 0,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Chrome trace, for Perfetto.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Decode a prompt in RTL, every value compared as it appears.

    With a token decoder (decoder-demo, decoder-tiny) all of it runs in RTL; without one the
    attention scores do.

    Examples:

    `neardecode decode --prompt "Once upon a time" --tokens 16 --json out.json`

    `neardecode decode --config decoder-demo --tokens 4` (the whole model in RTL)

    `neardecode decode --config decoder-tiny --chips 2` (dealt to two chips)

    `neardecode decode --config decoder-tiny --prompt Hel --prompt Onc` (weights read once for both)

    `neardecode decode --config decoder-demo --set flash.channels=2 --chips 2` (two small chips)

    `neardecode decode --config tiny --backend amaranth` (no compiler needed)
    """
    settings = changed(load(config), changes or [])
    if split is not None and chips is None:
        raise InputError("--split: only with --chips")
    if settings.flash.host is not None or settings.flash.repair is not None:
        raise InputError(
            f"{config}: the channels of a chip only read: leave out flash.host, repair"
        )
    if backend is None:
        backend = settings.decode.backend
    if backend not in BACKENDS:
        raise InputError(f"--backend {backend}: no such backend; known: {', '.join(BACKENDS)}")
    if waves is not None and waves.suffix not in (".fst", ".vcd"):
        raise InputError(f"--waves {waves}: must end in .fst or .vcd")
    if wave_from and (backend != "native" or waves is None):
        raise InputError("--wave-from: only with --waves, on the native backend")
    check_writable(waves, trace, json)
    check_tools(backend)

    quiet = json is not None and str(json) == "-"
    source = _source(model, gguf, settings)
    with _status("loading the model", quiet):
        shape, tokenizer = source.shape(), source.tokenizer()
    if chips is not None:
        divide = shape.kv_heads % chips == 0
        settings = _joined(settings, chips, split or ("heads" if divide else "context"), config)
    prompts = prompt or [PROMPT]
    ids = [tokenizer.encode(text) for text in prompts]
    if not all(ids):
        raise InputError("--prompt holds no token")
    context = min(settings.decode.context, shape.context)
    longest = max(map(len, ids))
    if longest + tokens - 1 > context:
        raise InputError(
            f"the prompt's {longest} tokens and {tokens} to generate do not fit the context of"
            f" {context} tokens"
        )

    if settings.decoder is not None:
        settings = side_by_side(settings, len(prompts))
        for option, given in (("--stalls", stalls), ("--trace", trace)):
            if given is not None:
                raise InputError(f"{option}: not with a token decoder ({config})")
        # What is traced is one model.
        one_model = backend != "native" or waves is not None
        if one_model and threads == 2:
            raise InputError("--threads 2: only on the native backend, and without --waves")
        cores = os.cpu_count() or 1
        in_halves = not one_model and (threads or min(settings.decode.threads, cores)) > 1
        design = Design(TokenBoard, (settings,), token_halves(settings) if in_halves else ())
        with _status("building the simulator", quiet):
            prepare(design, backend, waves=waves)
        with _progress(longest + tokens - 1, "tokens", backend, quiet) as on_token:
            decoded = run_tokens(
                *(settings, design, source, ids, tokens, tokenizer.stops, context, backend),
                on_token=on_token,
                waves=waves,
                wave_cycles=wave_cycles,
                wave_from=wave_from,
            )
        results = {
            **texts(tokenizer, prompts, ids, decoded.tokens),
            "config": config,
            "set": changes or [],
            "model": str(gguf) if gguf else model or settings.decode.model,
            "backend": backend,
            "threads": 1 + in_halves,
            "chips": settings.chips,
            "seconds": round(decoded.seconds, 3),
            "seconds_a_token": decoded.seconds / len(decoded.steps) / len(prompts),
            **token_results(settings, decoded),
        }
        write_json(json, results)
        if not quiet:
            print_tokens(results)
        return

    if len(prompts) > 1:
        raise InputError(f"--prompt: one, without a token decoder ({config})")
    if threads is not None:
        raise InputError(f"--threads: only with a token decoder, not {config}")
    (prompt_ids,) = ids
    # The reference first, on its own: nothing of the hardware goes into it.
    scorer = IntegerScorer(
        shape, settings.compute.activation_bits, accumulator=accumulator_format(settings)
    )
    with _status("decoding by the reference", quiet):
        reference = generate(source.decoder(), scorer, prompt_ids, tokens, stops=tokenizer.stops)

    scenario = DecodeScenario(
        settings, source, prompt_ids, tokens, tokenizer.stops, context, stall_seed=stalls
    )
    design = Design(Board, (settings,))
    with _status("building the simulator", quiet):
        prepare(design, backend, waves=waves)
    begin = time.perf_counter()
    positions = longest + max(len(reference) - (len(reference) == tokens), 0)
    with _progress(positions * shape.layers, "layers", backend, quiet) as on_layer:
        run = simulate(
            design,
            replace(scenario, on_layer=on_layer),
            backend,
            waves=waves,
            wave_cycles=wave_cycles,
            wave_from=wave_from,
        )
    seconds = time.perf_counter() - begin

    results = _results(settings, run)
    results = {
        **texts(tokenizer, prompts, ids, [run.tokens]),
        "reference_tokens": reference,
        "config": config,
        "set": changes or [],
        "model": str(gguf) if gguf else model or settings.decode.model,
        "backend": backend,
        "seconds": round(seconds, 3),
        **results,
    }
    if trace is not None:
        write_trace(trace, settings, run.layers)
    write_json(json, results)
    if not quiet:
        _print(results)
    _judge(run, reference, shape.layers * shape.heads)


def _joined(settings: Config, chips: int, split: str, config: str) -> Config:
    shared = {} if settings.decoder is None else {"decoder": {"split": split}}
    try:
        return Config.model_validate(merged(settings.model_dump(), {"chips": chips, **shared}))
    except ValidationError as error:
        (first, *_) = error.errors()
        option = f"--split {split}" if "split" in first["loc"] else f"--chips {chips}"
        raise InputError(f"{option} ({config}): {first['msg']}") from None


def _source(model: str | None, gguf: Path | None, settings: Config) -> ModelSource:
    if model is not None and gguf is not None:
        raise InputError("--model and --gguf: give one of them")
    if gguf is not None:
        return ModelSource(gguf)
    name = model or settings.decode.model
    return ModelSource() if name == RANDOM else ModelSource(locate(name))


def _results(settings: Config, run: DecodeRun) -> dict[str, Any]:
    channels = settings.flash.channels
    busy = sum(run.blocks[f"flash{channel}"]["busy"] for channel in range(channels))
    return {
        "positions": run.positions,
        "values_compared": run.values_compared,
        "mismatches": run.mismatches,
        "saturations": run.saturations,
        "errors": run.errors,
        "cycles": run.cycles,
        "cycles_a_token": run.cycles / run.positions,
        "flash": {
            "utilisation": busy / (run.cycles * channels),
            "bound": settings.utilisation_bound,
        },
        "blocks": run.blocks,
        "events": run.events,
    }


def _judge(run: DecodeRun, reference: list[int], values_a_position: int) -> None:
    """Ends with an error where the hardware's run is not what it must be."""
    expected = values_a_position * run.positions * (run.positions + 1) // 2
    if run.mismatches:
        raise InputError(
            f"{run.mismatches} of {run.values_compared} scores differ from the reference, the"
            f" first at {run.first_mismatch}"
        )
    if run.errors:
        raise InputError(f"{run.errors} scores came from pages that could not be read")
    if run.values_compared != expected:
        raise InputError(f"{run.values_compared} scores were compared, not {expected}")
    if run.tokens != reference:
        raise InputError("the tokens differ from the reference's")


def _print(results: dict[str, Any]) -> None:
    console.print()
    console.print(
        f"{escape(results['prompt'])}[bold]{escape(results['text'])}[/bold]", highlight=False
    )
    console.print()
    console.print(blocks_table(results["blocks"], results["cycles"]))
    flash = results["flash"]
    saturated = f", {results['saturations']} saturated" if results["saturations"] else ""
    for line in (
        f"cycles a token        {results['cycles_a_token']:,.1f} (attention scores only)",
        f"channel utilisation   {flash['utilisation']:.2%}, bound {flash['bound']:.2%}",
        f"values compared       {results['values_compared']:,}, mismatches"
        f" {results['mismatches']:,}{saturated}",
        f"simulation            {results['seconds']:.1f} s on {results['backend']},"
        f" {results['cycles'] / results['seconds'] / 1000:,.0f} thousand cycles a second",
    ):
        console.print(line, highlight=False)


def _status(text: str, quiet: bool) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if quiet else console.status(text)


@contextlib.contextmanager
def _progress(total: int, unit: str, backend: str, quiet: bool) -> Iterator[partial]:
    """A bar over layers or tokens; yields what a scenario calls after each.

    The scenario may run in another process, so it notes its progress in a file.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder) / "layers"
        if not quiet:
            progress = stack.enter_context(
                Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TextColumn(unit),
                    TimeElapsedColumn(),
                    console=console,
                )
            )
            task = progress.add_task(f"decoding in RTL ({backend})", total=total)
            ended = threading.Event()

            def poll() -> None:
                while not ended.wait(0.1):
                    with contextlib.suppress(OSError):
                        progress.update(task, completed=file.stat().st_size)

            thread = threading.Thread(target=poll, daemon=True)
            thread.start()
            stack.callback(lambda: progress.update(task, completed=file.stat().st_size))
            stack.callback(thread.join)
            stack.callback(ended.set)
        file.touch()
        yield partial(_note, file)


def _note(file: Path, done: int) -> None:
    """The file's size is the number of them done."""
    with file.open("ab") as handle:
        handle.truncate(done)
