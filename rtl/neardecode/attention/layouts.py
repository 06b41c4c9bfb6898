"""What attention is told and what it returns."""

from amaranth.hdl import unsigned
from amaranth.lib import data

from neardecode.compute.softmax.layouts import Partial
from neardecode.config import TAG_BITS, Config

__all__ = ["AttentionCommand", "AttentionPartial", "TileStep"]


class AttentionCommand(data.StructLayout):
    """Attend to the rows of one KV head.

    Fields:
        keys: The first page of the keys.
        values: The first page of the values.
        rows: Tokens, at least 1; the first is at the beginning of both pages.
        appended: Rows were written since their pages were read: the last tile is sensed afresh.
        selected: A selection says which tiles are read, beside the last one.
        tag: Returned with the partials and sums.
    """

    def __init__(self, config: Config, address_bits: int):
        super().__init__(
            {
                "keys": unsigned(address_bits),
                "values": unsigned(address_bits),
                "rows": unsigned(config.compute.row_bits + 1),
                "appended": unsigned(1),
                "selected": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class AttentionPartial(data.StructLayout):
    """What a command's rows come to, beside their weighted sums.

    Fields:
        vectors: A `Partial` each.
        clamped: A vector each: a term of one of its scores was beyond its range.
        error: A page of keys could not be read.
        tag: The command's.
    """

    def __init__(self, config: Config):
        count = config.compute.vectors
        super().__init__(
            {
                "vectors": data.ArrayLayout(Partial(config.vector), count),
                "clamped": unsigned(count),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class TileStep(data.StructLayout):
    """A tile of keys to score, or one of values to weigh.

    Fields:
        value: Of values.
        page: Its first page.
        rows: Its rows.
        opens, closes: It is its command's first, its last.
        tag: The command's.
    """

    def __init__(self, config: Config, address_bits: int):
        super().__init__(
            {
                "value": unsigned(1),
                "page": unsigned(address_bits),
                "rows": unsigned(config.compute.row_bits + 1),
                "opens": unsigned(1),
                "closes": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )
