"""What a MAC slice is told, is given and returns.

One set of streams for weights and for K: a change of address, not of hardware.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum
from amaranth.utils import ceil_log2

from neardecode.config import BLOCK_ELEMENTS, TAG_BITS
from neardecode.config import Compute as ComputeConfig

__all__ = ["ActivationBlock", "Mode", "SliceCommand", "SliceResult"]


class Mode(enum.Enum, shape=1):
    """How a slice combines elements and activations."""

    DOT = 0
    """Reduce across lanes: one result a row."""


class SliceCommand(data.StructLayout):
    """Multiply rows of blocks, which start at a page, by one activation vector.

    Fields:
        mode: A `Mode`.
        base: The first page.
        rows: Rows, at least 1.
        blocks: Blocks a row, whole beats of them.
        appended: The last row has been written since it was read; sense its pages afresh.
        tag: Returned with every result.
    """

    def __init__(self, config: ComputeConfig, address_bits: int):
        super().__init__(
            {
                "mode": Mode,
                "base": unsigned(address_bits),
                "rows": unsigned(ceil_log2(config.rows + 1)),
                "blocks": unsigned(ceil_log2(config.blocks_a_row + 1)),
                "appended": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


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


class SliceResult(data.StructLayout):
    """The result of one row.

    Fields:
        value: The accumulator, not rounded, with the configured fraction bits.
        row: The row, from 0 in each command.
        saturated: A block's term was beyond its range and was clamped.
        error: A page of the row could not be read.
        tag: The command's tag.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__(
            {
                "value": signed(config.accumulator_bits),
                "row": unsigned(ceil_log2(config.rows)),
                "saturated": unsigned(1),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )
