"""What a MAC slice is told, is given and returns.

One set of streams for weights and for the KV cache: a change of address, not of hardware.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum
from amaranth.utils import ceil_log2

from neardecode.config import BLOCK_ELEMENTS, TAG_BITS
from neardecode.config import Compute as ComputeConfig

__all__ = [
    "FORMAT_BITS",
    "SELECTION_BITS",
    "ActivationBlock",
    "Mode",
    "Probability",
    "SliceCommand",
    "SliceResult",
    "SliceSum",
]

FORMAT_BITS = 3
"""Bits of a `BlockFormat` in a command."""
SELECTION_BITS = 64
"""Pages of a run that one word of a selection says of whether they matter."""


class Mode(enum.Enum, shape=1):
    """How a slice combines elements and activations."""

    DOT = 0
    """Reduce across lanes: one result a row and vector."""
    ACCUMULATE = 1
    """Reduce across rows: one sum a lane and vector."""


class SliceCommand(data.StructLayout):
    """Combine rows of blocks, which start at a page, with activations.

    Fields:
        mode: A `Mode`; `Mode.ACCUMULATE` only where the configuration has ``head_elements``.
        format: The value of the rows' `BlockFormat`, one of the configuration's ``formats``; rows
            to accumulate are in MXINT8.
        base: The first page.
        rows: Rows, at least 1.
        blocks: Blocks a row: at least a beat of them, and in `Mode.ACCUMULATE` whole beats.
        appended: The last row has been written since it was read; sense its pages afresh.
        page_rows: 0, or the whole rows that every page holds: then no row straddles pages, and
            the ``selections`` say which pages are read. Only where the configuration has
            ``selection``.
        pages: 0, or the pages of rows from which beats of zeros were left out. Only where the
            configuration has ``skip_zeros``, in `Mode.DOT`, without ``page_rows``, ``appended``.
        keep: The sums go on from those of the last accumulating command.
        deliver: The sums are given out after the last row.
        rescale: Where sums are kept, each vector's are first shifted right by so many bits.
        tag: Returned with every result.
    """

    def __init__(self, config: ComputeConfig, address_bits: int):
        members = {
            "mode": Mode,
            "format": unsigned(FORMAT_BITS),
            "base": unsigned(address_bits),
            "rows": unsigned(config.row_bits + 1),
            "blocks": unsigned(ceil_log2(config.blocks_a_row + 1)),
            "appended": unsigned(1),
        }
        if config.selection:
            members["page_rows"] = unsigned(config.row_bits + 1)
        if config.skip_zeros:
            members["pages"] = unsigned(address_bits + 1)
        if config.head_elements:
            members |= {
                "keep": unsigned(1),
                "deliver": unsigned(1),
                "rescale": data.ArrayLayout(
                    unsigned(ceil_log2(config.accumulator_bits)), config.vectors
                ),
            }
        super().__init__({**members, "tag": unsigned(TAG_BITS)})


class ActivationBlock(data.StructLayout):
    """A block of an activation vector.

    Element ``q`` has the value ``q * 2^(exponent - 127 - (activation_bits - 2))``.

    Fields:
        elements: 32 signed integers.
        exponent: Their shared exponent, biased by 127.
        last: The vector's last block.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__(
            {
                "elements": data.ArrayLayout(signed(config.activation_bits), BLOCK_ELEMENTS),
                "exponent": unsigned(8),
                "last": unsigned(1),
            }
        )


class Probability(data.StructLayout):
    """The weight of one row in a sum: ``mantissa * 2^(exponent - 127 - (activation_bits - 1))``.

    Fields:
        mantissa: Unsigned; a softmax sets its top bit unless it is zero.
        exponent: Biased by 127.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__(
            {"mantissa": unsigned(config.activation_bits - 1), "exponent": unsigned(8)}
        )


class SliceResult(data.StructLayout):
    """The results of one row.

    Fields:
        values: A vector each: the accumulator, not rounded, with the configured fraction bits.
        row: The row, from 0 in each command.
        saturated: A vector each: a term was beyond its range and was clamped, or a scale was an
            infinity or a NaN.
        error: A page of the row could not be read.
        tag: The command's tag.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__(
            {
                "values": data.ArrayLayout(signed(config.accumulator_bits), config.vectors),
                "row": unsigned(config.row_bits),
                "saturated": unsigned(config.vectors),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class SliceSum(data.StructLayout):
    """The sums of one element over all rows.

    Fields:
        values: A vector each, not rounded, with the configured fraction bits.
        element: Which, from 0.
        saturated: A vector each: a term of any of its sums was clamped since they were begun.
        error: A page since then could not be read.
        tag: The delivering command's tag.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__(
            {
                "values": data.ArrayLayout(signed(config.accumulator_bits), config.vectors),
                "element": unsigned(ceil_log2(config.head_elements)),
                "saturated": unsigned(config.vectors),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )
