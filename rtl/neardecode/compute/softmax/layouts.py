"""What softmax is given and returns."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from neardecode.config import Compute as ComputeConfig
from neardecode.config import Vector as VectorConfig

__all__ = ["RESCALE_BITS", "Partial", "Rescale", "Score"]

RESCALE_BITS = 6
"""Bits of a shift to the right; larger ones are made 63, which empties every accumulator."""


class Score(data.StructLayout):
    """A score of a tile, in powers of two.

    Fields:
        value: A slice's accumulator.
        last: The tile's last score; the two flags below count with it only.
        opens: The tile is its row's first: what was before is forgotten.
        closes: The tile is its row's last here: the partial follows its probabilities.
    """

    def __init__(self, config: ComputeConfig):
        super().__init__(
            {
                "value": signed(config.accumulator_bits),
                "last": unsigned(1),
                "opens": unsigned(1),
                "closes": unsigned(1),
            }
        )


class Rescale(data.StructLayout):
    """What happens to a row's sums before a tile is added to them.

    Fields:
        shift: They move to the right by so many bits.
        opens: The row begins: they are cleared.
    """

    def __init__(self):
        super().__init__({"shift": unsigned(RESCALE_BITS), "opens": unsigned(1)})


class Partial(data.StructLayout):
    """What a part of a row comes to, beside its weighted sum.

    Fields:
        maximum: Its probabilities are relative to two to this power.
        total: Their sum, ``sum_fraction_bits`` of it fraction.
        saturated: A score was clamped.
    """

    def __init__(self, config: VectorConfig):
        super().__init__(
            {
                "maximum": signed(config.maximum_bits),
                "total": unsigned(config.sum_bits),
                "saturated": unsigned(1),
            }
        )
