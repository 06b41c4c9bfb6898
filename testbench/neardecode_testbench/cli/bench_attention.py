"""neardecode bench attention: a layer's attention beside its memory, bit for bit."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.table import Table

from neardecode.config import BlockFormat, Config, Host, load
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.errors import InputError
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.drive.backends import BACKENDS, Backend
from neardecode_testbench.reference.accuracy import shipped_text
from neardecode_testbench.reference.gguf_model import GgufFile, read_shape
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.reference.integer.decoder import IntegerDecoder
from neardecode_testbench.reference.integer.weights import integer_weights, read_integer_weights
from neardecode_testbench.reference.models import MODELS, locate
from neardecode_testbench.reference.random_model import random_model
from neardecode_testbench.reference.tokenizer import ByteTokenizer, GgufTokenizer
from neardecode_testbench.scenarios.attention_layer import (
    AttentionLayer,
    AttentionMeasure,
    attention_config,
    decoder_context,
    measure_attention,
)
from neardecode_testbench.scenarios.attention_tiers import (
    Endurance,
    TieredLayer,
    measure_tiers,
)
from neardecode_testbench.scenarios.blocks.edge import CheckError

RANDOM = "random"
Placement = Literal["stack", "flash", "tiered"]


@commands.command()
def attention(
    tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Keys and values.")] = 512,
    vaults: Annotated[
        int, typer.Option(min=1, max=64, help="Vaults that the tokens are dealt to.")
    ] = 1,
    turn: Annotated[
        int, typer.Option(min=1, metavar="N", help="Tokens in a row that one vault holds.")
    ] = 1,
    layer: Annotated[int, typer.Option(min=0, help="Of the model.")] = 0,
    model: Annotated[
        str, typer.Option(help=f"One of: {', '.join([*MODELS, RANDOM])}.")
    ] = "smollm2-135m",
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any Llama-architecture GGUF file.")
    ] = None,
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="Configuration.")] = "stack",
    kv: Annotated[
        Placement | None, typer.Option(help="stack, flash or tiered; default: the config's.")
    ] = None,
    hot_pages: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Newest pages that stay in the vault, tiered; or the config's."
        ),
    ] = None,
    backend: Annotated[Backend, typer.Option(help=f"One of: {', '.join(BACKENDS)}.")] = "native",
    json: JsonOption = None,
) -> None:
    """Attend to the keys and values of a layer beside the memory that holds them.

    The exact integer decoder reads the shipped text; its keys and values of one layer are written
    to the memory row by row, then the newest token's queries meet all of them. Every partial, sum
    and word is compared with the integer reference: a difference is an error.

    Example: `neardecode bench attention --tokens 512 --vaults 4 --json attention.json`

    With `--kv flash` the pages are evicted to a flash channel through its AXI port and attended to
    there; with `--kv tiered` all but the newest are.

    Example: `neardecode bench attention --kv tiered --hot-pages 3`
    """
    check_writable(json)
    settings = load(config)
    if settings.stack is None:
        raise InputError(f"--config {config}: has no stack")
    decoder, ids = _decoder(None if model == RANDOM and gguf is None else gguf or locate(model))
    shape = decoder.shape
    if layer >= shape.layers:
        raise InputError(f"--layer {layer}: the model has {shape.layers} layers")
    if min(len(ids), shape.context) < tokens:
        raise InputError(f"--tokens {tokens}: text and context have {min(len(ids), shape.context)}")
    if vaults > settings.stack.vaults:
        raise InputError(f"--vaults {vaults}: the configuration has {settings.stack.vaults}")
    settings = _made(settings, kv, hot_pages, shape.group, shape.head_size)
    if settings.kv.placement != "stack" and (vaults, turn) != (1, 1):
        raise InputError("--vaults, --turn: with flash there is one vault and one channel")
    decoder.compute, decoder.vector = settings.compute, settings.vector
    context = decoder_context(decoder, ids[:tokens], layer)
    placement = settings.kv.placement
    endurance: Endurance | None = None
    try:
        if placement == "stack":
            measured = measure_attention(
                AttentionLayer(settings, ContextSplit(vaults, turn), context), backend
            )
        else:
            measured, endurance = measure_tiers(TieredLayer(settings, context), backend)
    except CheckError as error:
        raise InputError(f"not as the integer reference: {error}") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    if not (0 < measured.utilisation <= 1 and 0 < measured.lane_occupancy <= 1):
        raise InputError(f"measured a utilisation of {measured.utilisation}, which cannot be")
    quiet = json is not None and str(json) == "-"
    if not quiet:
        title = f"{gguf or model}, layer {layer}, {tokens} tokens, {placement}, {vaults} vaults"
        _print(title, measured, endurance)
    write_json(
        json,
        {
            "config": config,
            "model": str(gguf or model),
            "layer": layer,
            "tokens": tokens,
            "vaults": vaults,
            "turn": turn,
            "tile_rows": settings.vector.tile_rows,
            "differences": 0,
            "kv": placement,
            "hot_pages": settings.kv.hot_pages if placement == "tiered" else None,
            "endurance": None if endurance is None else vars(endurance),
            **vars(measured),
        },
    )


def _decoder(path: Path | None) -> tuple[IntegerDecoder, list[int]]:
    """A model's integer decoder, and the shipped text as its tokens."""
    if path is None:
        shape, weights = random_model(1, context=4096)
        return IntegerDecoder(
            shape, integer_weights(weights, BlockFormat.Q8_0)
        ), ByteTokenizer().encode(shipped_text())
    file = GgufFile(path)
    shape = read_shape(file)
    ids = GgufTokenizer(file).encode(shipped_text())
    try:
        return IntegerDecoder(shape, read_integer_weights(file, shape)), ids
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _made(
    settings: Config, kv: str | None, hot_pages: int | None, group: int, head_size: int
) -> Config:
    """The configuration with what the options say."""
    tables = settings.model_dump()
    if kv is not None:
        tables["kv"]["placement"] = kv
    if hot_pages is not None:
        if tables["kv"]["placement"] != "tiered":
            raise InputError("--hot-pages: only where --kv is tiered")
        tables["kv"]["hot_pages"] = hot_pages
    if tables["kv"]["placement"] != "stack" and settings.flash.host is None:
        # What evicts pages writes them as a host does.
        tables["flash"]["host"] = Host().model_dump()
    try:
        return attention_config(Config.model_validate(tables), group, head_size)
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _print(title: str, measured: AttentionMeasure, endurance: Endurance | None) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")

    def named(causes: dict[str, int]) -> str:
        return "  ".join(
            f"{cause.lower()} {count:,}"
            for cause, count in sorted(causes.items(), key=lambda item: -item[1])
            if count
        )

    for what, figure in (
        ("values compared", f"{measured.values:,}"),
        ("differences", "0"),
        ("cycles to the last word", f"{measured.cycles:,}"),
        ("cycles of appending", f"{measured.appending:,}"),
        ("beats taken", f"{measured.beats:,}"),
        ("longest window", f"{measured.window:,}"),
        ("utilisation", f"{measured.utilisation:.4f}"),
        ("lane occupancy", f"{measured.lane_occupancy:.2%}"),
        ("units", named(measured.causes)),
        ("slices", named(measured.slice_causes)),
        ("memories", named(measured.memory_causes)),
    ):
        table.add_row(what, figure)
    if endurance is not None:
        table.add_row("pages written to flash", f"{endurance.pages:,}")
        table.add_row("blocks erased", f"{endurance.erases:,}")
        table.add_row("cycles of evicting", f"{endurance.cycles:,}")
    console.print(table)
