"""What the token decoder is told, and what it hears from the slices."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from neardecode.config import Config, descriptor_bits

__all__ = [
    "TOKEN_BITS",
    "ChannelResult",
    "ChipProgramWrite",
    "Descriptor",
    "ProgramWrite",
    "PromptToken",
]

TOKEN_BITS = 20
"""Bits of a token's id."""


class Descriptor(data.StructLayout):
    """A step of a program; `config.program` says what each field means."""

    def __init__(self, config: Config):
        super().__init__({name: unsigned(bits) for name, bits in descriptor_bits(config).items()})


class ProgramWrite(data.StructLayout):
    """A descriptor and where it goes.

    Fields:
        address: Its place in the program.
        descriptor: Its bits.
    """

    def __init__(self, config: Config):
        assert config.decoder is not None
        super().__init__(
            {
                "address": unsigned(ceil_log2(config.decoder.descriptors)),
                "descriptor": unsigned(Shape.cast(Descriptor(config)).width),
            }
        )


class ChipProgramWrite(data.StructLayout):
    """A descriptor, where it goes, and to which of several chips.

    Fields:
        address, descriptor: As `ProgramWrite`.
        chip: The chip's number.
    """

    def __init__(self, config: Config):
        members = {name: field.shape for name, field in ProgramWrite(config)}
        super().__init__({**members, "chip": unsigned(ceil_log2(config.chips))})


class PromptToken(data.StructLayout):
    """A token to read.

    Fields:
        token: Its id.
        first: A sequence begins with it, at position 0; of several all do with the first one's.
        last: The prompt's last: the decoder goes on by itself.

    Of several sequences each position takes a token of every one whose prompt has not ended, in
    their order.
    """

    def __init__(self):
        super().__init__({"token": unsigned(TOKEN_BITS), "first": 1, "last": 1})


class ChannelResult(data.StructLayout):
    """A row's result, and the channel it comes from.

    Fields:
        channel: Which.
        row: Of the channel's rows.
        values: The accumulators, a sequence each.
        saturated: A term of a sequence's was clamped.
        error: A page could not be read.
    """

    def __init__(self, config: Config):
        compute, decoder = config.compute, config.decoder
        assert decoder is not None
        super().__init__(
            {
                "channel": unsigned(ceil_log2(config.flash.channels)),
                "row": unsigned(compute.row_bits),
                "values": data.ArrayLayout(signed(compute.accumulator_bits), decoder.sequences),
                "saturated": unsigned(decoder.sequences),
                "error": 1,
            }
        )
