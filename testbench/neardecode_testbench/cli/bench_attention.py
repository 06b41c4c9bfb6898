"""neardecode bench attention: a layer's attention beside its memory, bit for bit."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.table import Table

from neardecode.config import MOST_TILES_AHEAD, BlockFormat, Config, Host, load
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
from neardecode_testbench.scenarios.attention_context import decoder_context
from neardecode_testbench.scenarios.attention_layer import AttentionLayer, measure_attention
from neardecode_testbench.scenarios.attention_measure import AttentionMeasure
from neardecode_testbench.scenarios.attention_reference import (
    RULES,
    TileChoice,
    TileRule,
    choose_tiles,
)
from neardecode_testbench.scenarios.attention_tiers import (
    Endurance,
    TieredLayer,
    measure_tiers,
)
from neardecode_testbench.scenarios.blocks.edge import CheckError

RANDOM = "random"
HEAT_TIME_US = 5.0
"""Time constant of a run that heats: the node then settles within it."""
LEAST_ROWS = 1024
"""Pages of a vault's bank while it is measured, where more are not needed."""
EVICTED_AT_A_TIME = 64
"""Pages under way to flash, so that their blocks are erased at the same time."""
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
    select: Annotated[
        TileRule | None,
        typer.Option(help=f"Read a part of the pages only: {', '.join(RULES)}."),
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the pages, with --select.")
    ] = 0.25,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often the layer is attended to, in vaults.")
    ] = 1,
    heat: Annotated[
        float | None,
        typer.Option(metavar="C", help="Let the vaults heat, from this ambient temperature."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of pages that are drawn.")] = 1,
    backend: Annotated[Backend, typer.Option(help=f"One of: {', '.join(BACKENDS)}.")] = "native",
    json: JsonOption = None,
) -> None:
    """Attend to the keys and values of a layer beside the memory that holds them.

    The exact integer decoder reads the shipped text; its keys and values of one layer are written
    to the memory row by row, then the newest token's queries meet all of them. Every partial, sum
    and word is compared with the integer reference: a difference is an error.

    Example: `neardecode bench attention --tokens 512 --vaults 4 --json attention.json`

    With `--kv flash` the pages are evicted to a flash channel through its AXI port and attended to
    there; with `--kv tiered` all but the newest are. Where the configuration has no port, its 64
    units erase and program that many pages at a time. `kv.tiles_ahead` is at least what hides a
    sense, as far as it goes.

    Example: `neardecode bench attention --kv tiered --hot-pages 3`

    With `--select` pages that do not matter are neither sensed nor read: `random` draws those that
    are, `window` takes the first and the newest, `top` those whose keys could score highest. The
    newest page is always read.

    Example: `neardecode bench attention --select top --share 0.25`

    With `--heat` what a vault does heats it: above 85 C it refreshes twice as often, above its
    threshold the slice below it is slowed. The time constant is shortened to 5 us, so that the node
    settles within some rounds.

    Example: `neardecode bench attention --heat 80 --rounds 12`
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
    settings = _made(settings, kv, hot_pages, heat, 2 * shape.kv_heads * tokens * shape.head_size)
    if settings.kv.placement != "stack" and (vaults, turn, rounds, heat) != (1, 1, 1, None):
        raise InputError("--vaults, --turn, --rounds, --heat: only where all is in vaults")
    try:
        # Selected pages are tiles of their own.
        settings = settings.attending(
            shape.group, shape.head_size, *([1] if select is not None else [])
        )
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    decoder.compute, decoder.vector = settings.compute, settings.vector
    context = decoder_context(decoder, ids[:tokens], layer)
    placement = settings.kv.placement
    endurance: Endurance | None = None

    def choose(members: Sequence[NDArray[np.int64]]) -> TileChoice | None:
        if select is None:
            return None
        return choose_tiles(settings, members, context, select, share, seed)

    try:
        if placement == "stack":
            scenario = AttentionLayer(
                settings,
                ContextSplit(vaults, turn),
                context,
                rounds=rounds,
                heat=settings.stack_heat if heat is not None else None,
            )
            scenario.choice = choose(scenario.members)
            measured = measure_attention(scenario, backend)
        else:
            tiers = TieredLayer(settings, context)
            tiers.parts.choice = choose(tiers.parts.members)
            measured, endurance = measure_tiers(tiers, backend)
    except CheckError as error:
        raise InputError(f"not as the integer reference: {error}") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    if not (0 < measured.utilisation <= 1 and 0 < measured.lane_occupancy <= 1):
        raise InputError(f"measured a utilisation of {measured.utilisation}, which cannot be")
    quiet = json is not None and str(json) == "-"
    if not quiet:
        title = f"{gguf or model}, layer {layer}, {tokens} tokens, {placement}, {vaults} vaults"
        _print(title, settings, measured, endurance)
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
            "select": select,
            "share": share if select is not None else 1.0,
            "bytes": measured.beats * settings.flash.beat_bytes,
            "pages": measured.beats // settings.flash.page_beats,
            "hot_pages": settings.kv.hot_pages if placement == "tiered" else None,
            "endurance": None if endurance is None else vars(endurance),
            **vars(measured),
            "heat": None if measured.heat is None else vars(measured.heat),
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
    settings: Config, kv: str | None, hot_pages: int | None, heat: float | None, elements: int
) -> Config:
    """The configuration with what the options say, its memories no larger than is needed."""
    tables = settings.model_dump()
    if kv is not None:
        tables["kv"]["placement"] = kv
    if hot_pages is not None:
        if tables["kv"]["placement"] != "tiered":
            raise InputError("--hot-pages: only where --kv is tiered")
        tables["kv"]["hot_pages"] = hot_pages
    stack, flash = tables["stack"], tables["flash"]
    if heat is not None:
        stack["heat"] = (stack["heat"] or {}) | {
            "ambient_c": heat,
            "time_constant_us": HEAT_TIME_US,
        }
    # Regions are whole pages: the room of twice their elements holds any number of them.
    pages = 2 * elements // flash["page_bytes"] + 1
    least = max(LEAST_ROWS, _power_of_two(pages / stack["banks_a_group"]))
    stack["pages_a_bank"] = min(stack["pages_a_bank"], least)
    if tables["kv"]["placement"] != "stack":
        # What evicts pages writes them as a host does.
        host = flash["host"] = flash["host"] or Host(units=EVICTED_AT_A_TIME).model_dump()
        # What is asked for ahead lasts for a sense.
        sense = settings.sense_cycles // settings.flash.page_beats
        tables["kv"]["tiles_ahead"] = min(MOST_TILES_AHEAD, max(tables["kv"]["tiles_ahead"], sense))
        banks = flash["dies"] * flash["banks_a_die"]
        least = max(host["zones"] * host["pages_a_block"], _power_of_two(pages / banks))
        flash["pages_a_bank"] = min(flash["pages_a_bank"], least)
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _power_of_two(count: float) -> int:
    """The smallest that is at least so many."""
    return 1 << (ceil(count) - 1).bit_length()


def _print(
    title: str, settings: Config, measured: AttentionMeasure, endurance: Endurance | None
) -> None:
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
        ("bytes read", f"{measured.beats * settings.flash.beat_bytes:,}"),
        ("pages read", f"{measured.beats // settings.flash.page_beats:,}"),
        ("longest window", f"{measured.window:,}"),
        ("utilisation", f"{measured.utilisation:.4f}"),
        ("lane occupancy", f"{measured.lane_occupancy:.2%}"),
        ("units", named(measured.causes)),
        ("slices", named(measured.slice_causes)),
        ("memories", named(measured.memory_causes)),
    ):
        table.add_row(what, figure)
    if (heat := measured.heat) is not None:
        lost = measured.slice_causes["HEAT"]
        slowed = (
            f"slowed in {lost:,} cycles, at the end {heat.throttle} of 16"
            if lost
            else "never slowed"
        )
        table.add_row("hottest vault", f"{heat.temperature_c:.1f} C at the end")
        table.add_row("slices", slowed)
        table.add_row("refresh at twice the rate", f"{heat.hot_cycles:,} cycles")
    if endurance is not None:
        table.add_row("bytes written to flash", f"{endurance.pages * settings.flash.page_bytes:,}")
        table.add_row("pages written to flash", f"{endurance.pages:,}")
        table.add_row("blocks erased", f"{endurance.erases:,}")
        table.add_row("cycles of evicting", f"{endurance.cycles:,}")
    console.print(table)
