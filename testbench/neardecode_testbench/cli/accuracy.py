"""neardecode accuracy: the integer decoder against the float32 one."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from neardecode.config import Compute, load
from neardecode_testbench.cli.app import app
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.reference.accuracy import (
    SHIPPED_TEXT,
    Accuracy,
    measure_accuracy,
    shipped_text,
)
from neardecode_testbench.reference.continuations import compare_continuations, shipped_prompts
from neardecode_testbench.reference.decoder import Decoder
from neardecode_testbench.reference.gguf_model import GgufFile, read_shape, read_weights
from neardecode_testbench.reference.integer.decoder import IntegerDecoder
from neardecode_testbench.reference.integer.weights import read_integer_weights
from neardecode_testbench.reference.models import MODELS, locate
from neardecode_testbench.reference.tokenizer import GgufTokenizer

WINDOW = 1024


@app.command()
def accuracy(
    model: Annotated[
        str | None, typer.Option(help=f"One of: {', '.join(MODELS)}; default: the config's.")
    ] = None,
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any Llama-architecture GGUF file.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A text in UTF-8; default: the shipped one.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to predict.")] = 4096,
    window: Annotated[
        int | None,
        typer.Option(min=1, help=f"Most tokens of a sequence; default: {WINDOW}, or the context."),
    ] = None,
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "demo",
    activation_bits: Annotated[
        int | None, typer.Option(metavar="BITS", help="Of an activation; default: the config's.")
    ] = None,
    greedy: Annotated[
        int, typer.Option(min=0, metavar="N", help="Also continue five prompts by N tokens.")
    ] = 0,
    json: JsonOption = None,
) -> None:
    """Compare the exact integers of the hardware with float32, on a text.

    Each window of the text is a sequence of its own. Errors are one standard error.

    Examples:

    `neardecode accuracy --json accuracy.json`

    `neardecode accuracy --text novel.txt --tokens 8192 --activation-bits 10`

    `neardecode accuracy --tokens 512 --greedy 64` (how far both continue a prompt alike)
    """
    if model is not None and gguf is not None:
        raise InputError("--model and --gguf: give one of them")
    check_writable(json)
    settings = load(config)
    compute = settings.compute
    if activation_bits is not None:
        try:
            compute = Compute(**{**compute.model_dump(), "activation_bits": activation_bits})
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(f"--activation-bits {activation_bits}: {reason}") from None
    path = gguf or locate(model or settings.decode.model)
    words = _read(text)

    quiet = json is not None and str(json) == "-"
    file = GgufFile(path)
    shape = read_shape(file)
    weights = read_weights(file, shape)
    try:
        decoder = IntegerDecoder(shape, read_integer_weights(file, shape), compute, settings.vector)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    tokenizer = GgufTokenizer(file)
    ids = tokenizer.encode(words)
    if len(ids) <= tokens:
        raise InputError(
            f"{text or SHIPPED_TEXT}: has {len(ids)} tokens, too few to predict {tokens}:"
            " give a longer text or a smaller --tokens"
        )
    if window is None:
        window = min(WINDOW, shape.context)
    elif window > shape.context:
        raise InputError(f"--window {window}: the model's context is {shape.context}")

    prompts = {prompt: tokenizer.encode(prompt) for prompt in shipped_prompts()} if greedy else {}
    longest = max(map(len, prompts.values()), default=0)
    if longest + greedy - 1 > shape.context:
        raise InputError(
            f"--greedy {greedy}: a prompt of {longest} tokens and these do not fit the model's"
            f" context of {shape.context}"
        )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=quiet) as progress:
        task = progress.add_task("predicting", total=tokens)
        found = measure_accuracy(
            decoder,
            weights,
            ids[: tokens + 1],
            window,
            lambda done: progress.update(task, completed=done),
        )

        continuations = {}
        task = progress.add_task("continuing", total=len(prompts), visible=bool(prompts))
        for prompt, fed in prompts.items():
            real = Decoder(shape, weights)
            continuations[prompt] = compare_continuations(decoder, real, fed, greedy)
            progress.advance(task)

    results = {
        "model": str(path),
        "text": str(text or SHIPPED_TEXT),
        "window": window,
        "activation_bits": compute.activation_bits,
        **_results(found),
        "continuations": [
            {
                "prompt": prompt,
                "tokens": greedy,
                "same": continuation.same,
                "before_difference": continuation.before_difference,
            }
            for prompt, continuation in continuations.items()
        ],
    }
    write_json(json, results)
    if not quiet:
        _print(results)


def _read(path: Path | None) -> str:
    if path is None:
        return shipped_text()
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 at byte {error.start}") from None


def _results(found: Accuracy) -> dict[str, Any]:
    saturations = {name: count for name, count in sorted(found.saturations.items()) if count}
    return {
        "tokens": found.predictions,
        "perplexity_float32": found.float_perplexity,
        "perplexity_integer": found.integer_perplexity,
        "perplexity_ratio": found.ratio,
        "perplexity_ratio_error": found.ratio_error,
        "argmax_agreement": found.agreement,
        "argmax_agreement_error": found.agreement_error,
        "saturations": sum(saturations.values()),
        "saturations_by_step": saturations,
    }


def _print(results: dict[str, Any]) -> None:
    table = Table(
        title=f"{results['tokens']} tokens of {Path(results['text']).name},"
        f" activations of {results['activation_bits']} bits",
        title_justify="left",
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("standard error", justify="right")
    table.add_row("perplexity, float32", f"{results['perplexity_float32']:.3f}", "")
    table.add_row("perplexity, integer", f"{results['perplexity_integer']:.3f}", "")
    table.add_row(
        "ratio of both",
        f"{results['perplexity_ratio']:.5f}",
        f"{results['perplexity_ratio_error']:.5f}",
    )
    table.add_row(
        "equal argmax",
        f"{results['argmax_agreement']:.2%}",
        f"{results['argmax_agreement_error']:.2%}",
    )
    console.print(table)
    steps = ", ".join(f"{name} {count:,}" for name, count in results["saturations_by_step"].items())
    console.print(
        f"[bold red]{results['saturations']:,} values saturated[/bold red]: {steps}"
        if steps
        else "no value saturated"
    )
    if results["continuations"]:
        console.print(_continuations_table(results["continuations"]))


def _continuations_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        title="Greedy continuations: float32's tokens that the integer decoder finds likeliest too",
        title_justify="left",
    )
    table.add_column("prompt", overflow="ellipsis", no_wrap=True, max_width=44)
    table.add_column("same", justify="right")
    table.add_column("until one differs", justify="right")
    for row in rows:
        total = row["tokens"]
        prompt = escape(row["prompt"].replace("\n", " "))
        table.add_row(prompt, f"{row['same']}/{total}", f"{row['before_difference']}/{total}")
    return table
