"""neardecode bench ecc: what a BCH decoder corrects in a cycle, and what it costs."""

from typing import Annotated

import typer
from rich.table import Table

from neardecode.config import Ecc
from neardecode.flash.read.correction import SEARCHED_BITS
from neardecode.lib.bch import BchCode, BchDecoder, BchEncoder
from neardecode_synth.area import synthesise
from neardecode_testbench.cli.bench import commands
from neardecode_testbench.cli.output import JsonOption, check_writable, console, write_json
from neardecode_testbench.scenarios.blocks.bch import measure

RATES = (0.0, 1e-4, 1e-3)
BEAT_BYTES = 64


@commands.command()
def ecc(
    correctable: Annotated[
        int, typer.Option(min=4, max=64, metavar="T", help="Errors corrected in a codeword.")
    ] = 64,
    codeword_bytes: Annotated[int, typer.Option(min=128, help="Data of a codeword.")] = 1024,
    engines: Annotated[int, typer.Option(min=1, help="Codewords corrected at a time.")] = 4,
    codewords: Annotated[int, typer.Option(min=1, help="Codewords for each rate.")] = 200,
    area: Annotated[
        bool, typer.Option("--area", help="Count gates too; minutes where T is large.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of data and errors.")] = 1,
    json: JsonOption = None,
) -> None:
    """Measure a BCH decoder at raw bit error rates of 0, 1e-4 and 1e-3, every value checked.

    The bound is that of its input, its output and its engines for the codewords that were drawn.

    Example: `neardecode bench ecc --correctable 64 --engines 4`
    """
    check_writable(json)
    quiet = json is not None and str(json) == "-"
    # Validated as a configuration would be.
    settings = Ecc(correctable=correctable, codeword_bytes=codeword_bytes, engines=engines)
    code = BchCode(settings.codeword_bytes, settings.correctable, BEAT_BYTES)
    measures = {
        rate: measure(code, engines, rate, codewords, seed, "native", chien_parallel=SEARCHED_BITS)
        for rate in RATES
    }
    areas = {}
    if area:
        slots = 4 * engines + 4
        for name, component in (
            ("encoder", BchEncoder(code)),
            (
                "decoder",
                BchDecoder(code, engines=engines, chien_parallel=SEARCHED_BITS, slots=slots),
            ),
        ):
            result = synthesise(component)
            areas[name] = {
                "kge": result.low_ge / 1000,
                "kge_high": result.high_ge / 1000,
                "sram_bits": result.sram_bits,
            }
    if not quiet:
        table = Table(
            title=f"BCH({code.n}, {code.k}, {code.t}), {engines} engines", title_justify="left"
        )
        columns = ("bit error rate", "beats a cycle", "bound", "ratio", "wrong", "corrected bits")
        for column in (*columns, "uncorrectable"):
            table.add_column(column, justify="right")
        for rate, one in measures.items():
            table.add_row(
                f"{rate:g}",
                f"{one.beats_a_cycle:.3f}",
                f"{one.bound:.3f}",
                f"{one.ratio:.3f}",
                f"{one.wrong} of {codewords}",
                f"{one.corrected:,}",
                str(one.uncorrectable),
            )
        console.print(table)
        for name, one in areas.items():
            console.print(
                f"{name}: {one['kge']:,.1f} to {one['kge_high']:,.1f} kGE,"
                f" {one['sram_bits']:,} bits of SRAM"
            )
    write_json(
        json,
        {
            "n": code.n,
            "k": code.k,
            "correctable": correctable,
            "engines": engines,
            "codewords": codewords,
            "rates": [
                {
                    "bit_error_rate": rate,
                    "beats_a_cycle": one.beats_a_cycle,
                    "bound": one.bound,
                    "ratio": one.ratio,
                    "wrong": one.wrong,
                    "corrected": one.corrected,
                    "uncorrectable": one.uncorrectable,
                }
                for rate, one in measures.items()
            ],
            "areas": areas,
        },
    )
