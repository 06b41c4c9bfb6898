"""What crosses the lanes of a protected link in every cycle."""

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data
from amaranth.utils import exact_log2

from neardecode.config import Protection

__all__ = ["Delivered", "FrameBody", "Progress", "sequence_bits"]


def sequence_bits(window: int) -> int:
    """Bits of a sequence number: twice the window apart, old and new units are told apart."""
    return exact_log2(window) + 1


class Progress(data.StructLayout):
    """What an end has received: absolute numbers, so that a frame that is lost does no harm.

    Fields: ``expected``, the sequence number of the next unit; ``behind``, a later one was sent
    and this one is missing; ``released``, for each channel the units that left its buffer, modulo
    a power of two above its size.

    Parameters:
        protection: The link.
    """

    def __init__(self, protection: Protection):
        super().__init__(
            {
                "expected": sequence_bits(protection.window),
                "behind": 1,
                "released": data.ArrayLayout(
                    Shape.cast(range(protection.buffer_units + 1)), protection.channels
                ),
            }
        )


class FrameBody(data.StructLayout):
    """A frame without its checksum.

    Fields: ``filled``, it carries a unit; ``sequence``, that unit's number, or the number of the
    next unit; ``channel`` and ``unit``, zero where there is none; ``progress``, of the other
    direction.

    Parameters:
        shape: Shape of a unit.
        protection: The link.
    """

    def __init__(self, shape: ShapeLike, protection: Protection):
        super().__init__(
            {
                "filled": 1,
                "sequence": sequence_bits(protection.window),
                "channel": range(protection.channels),
                "unit": shape,
                "progress": Progress(protection),
            }
        )


class Delivered(data.StructLayout):
    """A unit at the far end, and whether it is a substitute.

    Parameters:
        shape: Shape of a unit.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"unit": shape, "substitute": 1})
