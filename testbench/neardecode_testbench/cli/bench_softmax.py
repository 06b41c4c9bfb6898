"""neardecode bench softmax: its error over real rows of scores, its cycles and its area."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from neardecode.config import load
from neardecode_synth.area import synthesise
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.blocks import make_block
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.reference.accuracy import shipped_text
from neardecode_testbench.reference.models import MODELS, locate
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.softmax_error import measure_rows, real_rows

RANDOM = "random"


@commands.command()
def softmax(
    rows: Annotated[
        list[int] | None, typer.Option(min=1, metavar="N", help="Scores of a row; repeatable.")
    ] = None,
    model: Annotated[
        str, typer.Option(help=f"One of: {', '.join([*MODELS, RANDOM])}.")
    ] = "smollm2-135m",
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any Llama-architecture GGUF file.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A text in UTF-8; default: the shipped one.")
    ] = None,
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "hbf16",
    backend: Annotated[str, typer.Option(help="native or amaranth.")] = "native",
    area: Annotated[
        bool, typer.Option(help="Count the gates of softmax and of the slice beside it.")
    ] = True,
    json: JsonOption = None,
) -> None:
    """Measure softmax over the scores of every head and layer of a model reading a text.

    The error of a row is the sum of the absolute errors of its probabilities against float64. The
    rows go through the RTL, every value and cycle checked. Without --rows: rows of 64 and of 512.

    Example: `neardecode bench softmax --rows 512 --json softmax.json`
    """
    check_writable(json)
    if backend not in ("native", "amaranth"):
        raise InputError(f"--backend must be native or amaranth, not {backend}")
    settings = load(config)
    lengths = sorted(set(rows or (64, 512)))
    if lengths[-1] > settings.vector.tokens:
        raise InputError(
            f"--rows {lengths[-1]}: the configuration's sums hold {settings.vector.tokens}"
        )
    random = model == RANDOM and gguf is None
    source = ModelSource(None if random else gguf or locate(model))
    words = shipped_text() if text is None else _read(text)
    tokens = source.tokenizer().encode(words)
    decoder = source.decoder()
    most = min(len(tokens), decoder.shape.context)
    if most < lengths[-1]:
        raise InputError(f"--rows {lengths[-1]}: text and context have {most} tokens")

    quiet = json is not None and str(json) == "-"
    with Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=quiet,
    ) as progress:
        task = progress.add_task("", total=lengths[-1])
        scores = real_rows(
            decoder, tokens, lengths, lambda done: progress.update(task, completed=done)
        )
    measures = {length: measure_rows(settings, scores[length], backend) for length in lengths}
    areas = {}
    if area:
        for name in ("softmax", "mac_slice"):
            result = synthesise(make_block(name, settings))
            areas[name] = {
                "low_ge": result.low_ge,
                "high_ge": result.high_ge,
                "sram_bits": result.sram_bits,
            }
        areas["share_low"] = areas["softmax"]["low_ge"] / areas["mac_slice"]["low_ge"]
        areas["share_high"] = areas["softmax"]["high_ge"] / areas["mac_slice"]["high_ge"]

    if not quiet:
        table = Table(title=f"Softmax, configuration {config}", title_justify="left")
        columns = ("scores a row", "rows", "largest error", "mean error", "cycles", "a score")
        for column in (*columns, "busy", "clamped"):
            table.add_column(column, justify="right")
        for one in measures.values():
            table.add_row(
                str(one.tokens),
                f"{one.rows:,}",
                f"{one.largest:.4%}",
                f"{one.mean:.4%}",
                f"{one.cycles:,}",
                f"{one.cycles / (one.rows * one.tokens):.3f}",
                f"{one.counts['BUSY'] / one.cycles:.1%}",
                f"{one.saturated:,}",
            )
        console.print(table)
        for name in ("softmax", "mac_slice") if areas else ():
            one = areas[name]
            console.print(
                f"{name}: {one['low_ge'] / 1000:,.1f} to {one['high_ge'] / 1000:,.1f} kGE,"
                f" {one['sram_bits']:,} bits of SRAM"
            )
        if areas:
            console.print(
                f"softmax is {areas['share_high']:.2%} to {areas['share_low']:.2%} of the slice"
            )
    write_json(
        json,
        {
            "config": config,
            "model": str(gguf or model),
            "rows": [
                {
                    "tokens": one.tokens,
                    "rows": one.rows,
                    "largest_error": one.largest,
                    "mean_error": one.mean,
                    "cycles": one.cycles,
                    "counts": one.counts,
                    "saturated": one.saturated,
                }
                for one in measures.values()
            ],
            "area": areas,
        },
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text in UTF-8") from None
