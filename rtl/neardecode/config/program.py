"""The program of a token: descriptors, which the compiler writes and the sequencer runs.

A program runs once a token, from its first descriptor to `Operation.NEXT`. Compiler and hardware
are written apart and meet in this table only.

| operation | does | fields |
| --- | --- | --- |
| EMBED | row of a table, by token, to the residual stream | page, stride, count, times |
| TURNS | row of a table of sines and cosines, by position | page, stride, count |
| NORM | residual stream to activations | page, beat, count, fraction_bits, epsilon |
| MATRIX | activations to results | page, rows, extra, blocks, times, format, target, first |
| KEYS | results, turned, to rows of the KV cache | page, stride, between, first, count |
| VALUES | results to rows of the KV cache | page, stride, between, first, count |
| ATTEND | heads begin to attend to the rows so far | page, stride, count |
| QUERIES | results, turned, to the heads, which give activations | between, first, count |
| GATE | results, pairs of gate and up, to activations | first, count |
| EXCHANGE | partial results of all chips to words, sums, a token | target, gathers, first, count |
| NEXT | the next token | |

Of several sequences a matrix is multiplied by the activations of all; TURNS serves all, as they are
at one position; every other descriptor is done for a sequence after the other, and an ATTEND with
the QUERIES behind it.
"""

from enum import IntEnum

from neardecode.config.models import Config

__all__ = ["Operation", "Target", "descriptor_bits", "table_row_beats"]


class Operation(IntEnum):
    """What a descriptor does."""

    EMBED = 0
    TURNS = 1
    NORM = 2
    MATRIX = 3
    KEYS = 4
    VALUES = 5
    ATTEND = 6
    QUERIES = 7
    GATE = 8
    NEXT = 9
    EXCHANGE = 10


class Target(IntEnum):
    """Where the results of a matrix go."""

    WORDS = 0
    """They are kept as words."""
    RESIDUAL = 1
    """They are added to the residual stream."""
    TOKEN = 2
    """The number of the largest is the next token."""
    PARTIAL = 3
    """They are kept as they are, for an exchange between chips."""


def descriptor_bits(config: Config) -> dict[str, int]:
    """Bits of each field of a descriptor, from the lowest on.

    Fields:
        operation: An `Operation`.
        page: First page of a matrix in every channel, of a table in the first vault, or of the
            keys of the first KV head of a layer in every vault; of its values for VALUES.
        beat: Of a table, its first beat in that page.
        stride: Of a table, beats a row; of the KV cache, pages from keys to values and from them to
            the next head's keys.
        between: Pages from a sequence's keys or values to the next sequence's; only of several.
        first: First transfer of ``lanes`` results.
        count: Transfers; for ATTEND the KV heads, for an EXCHANGE of tokens the chips.
        block: The first block of activations that a matrix multiplies with.
        gathers: Transfers of an exchange are dealt to the chips in turn, not added up.
        rows, extra: Rows of a matrix in every channel, and how many channels have one more. Row i
            lies in channel ``i % channels``.
        blocks: Blocks a row.
        times: How often the activations are sent, so that they are whole beats; for EMBED 2 where
            words are of 32 bits, those of a transfer by their lower halves, then the upper ones.
        format: The value of the rows' `BlockFormat`.
        target: A `Target`.
        fraction_bits: Of a norm's weights.
        epsilon: A norm's.
    """
    flash, decoder, compute = config.flash, config.decoder, config.compute
    assert decoder is not None
    pages = max(flash.pages, 0 if config.stack is None else config.stack.pages)
    transfers = decoder.transfers
    return {
        "operation": 4,
        "page": _bits(pages),
        "beat": _bits(flash.page_beats),
        "stride": 16,
        **({"between": _bits(pages)} if decoder.sequences > 1 else {}),
        "first": _bits(transfers),
        "count": _bits(2 * transfers + 1),
        "rows": compute.row_bits + 1,
        "extra": _bits(flash.channels),
        "blocks": _bits(compute.blocks_a_row + 1),
        "block": _bits(decoder.activation_blocks),
        "gathers": 1,
        "format": 3,
        "times": 4,
        "target": 2,
        "fraction_bits": 5,
        "epsilon": config.vector.word_bits,
    }


def _bits(values: int) -> int:
    """Bits that tell so many values apart."""
    return (values - 1).bit_length()


def table_row_beats(config: Config, elements: int) -> int:
    """Beats of a row of a table, of 16-bit integers."""
    return -(-elements * 2 // config.flash.beat_bytes)
