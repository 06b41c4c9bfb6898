"""A layer's attention as payloads: what its streams are given, and what they must give.

The newest token's queries meet the keys and values of all tokens so far, which lie in parts as a
`ContextSplit` deals them. Keys and values come in as a decoder gives them, row by row.
"""

from dataclasses import dataclass

from amaranth.utils import exact_log2

from neardecode.attention.append import RowPlace
from neardecode.attention.layouts import AttentionCommand, AttentionPartial
from neardecode.attention.merge import AttentionWords
from neardecode.compute.command import SELECTION_BITS, ActivationBlock, SliceSum
from neardecode.config import Config, KvMap
from neardecode.vector.quantiser import ScaledBlock
from neardecode_testbench.drive.stimulus import Sink
from neardecode_testbench.reference.integer.attention import KV_BITS, ContextSplit
from neardecode_testbench.scenarios.attention_context import LayerContext
from neardecode_testbench.scenarios.attention_reference import TileChoice, attend
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["LayerStreams"]


@dataclass
class LayerStreams:
    """A context in parts, and the streams of units, appenders and merge.

    Attributes:
        config: Of `Config.attending`, with a stack.
        split: How the tokens are dealt to vaults.
        context: What to append and attend to.
        layer: Which layer's region it is.
        rounds: How often it is attended to, one command behind the other.
        choice: Which tiles are read; None for all.
        clamps: Terms may be clamped.

    Raises:
        ValueError: if it does not fit a vault.
    """

    config: Config
    split: ContextSplit
    context: LayerContext
    layer: int = 0
    rounds: int = 1
    choice: TileChoice | None = None
    clamps: bool = False

    def __post_init__(self) -> None:
        config, split = self.config, self.split
        stack = config.stack
        assert stack is not None
        self.address_bits = exact_log2(stack.pages)
        tokens = self.context.keys.positions
        self.members = [split.members(part, tokens) for part in range(split.parts)]
        self.kv_map = KvMap(
            config.kv_layout,
            config.compute.head_elements,
            self.context.keys.kv_heads,
            len(self.members[0]),
        )
        last = self.kv_map.base(self.layer + 1, 0, False)
        if last > stack.pages:
            raise ValueError(f"{last} pages of keys and values do not fit {stack.pages} of a vault")

    @property
    def used(self) -> int:
        """Parts that hold tokens."""
        return sum(len(members) > 0 for members in self.members)

    def appends(self) -> list[tuple[str, list[int]]]:
        """Every row, token by token, head by head, the key first."""
        place = Packer(RowPlace(self.config, self.address_bits)).pack
        block = Packer(ScaledBlock(KV_BITS)).pack
        found = []
        caches = (self.context.keys, self.context.values)
        heads = [[cache.head(head) for cache in caches] for head in range(caches[0].kv_heads)]
        for part, members in enumerate(self.members):
            places, blocks = [], []
            for row, token in enumerate(members):
                for head, pair in enumerate(heads):
                    for value, vectors in enumerate(pair):
                        page, beat = self.kv_map.place(self.layer, head, bool(value), row)
                        places.append(place({"page": page, "beat": beat}))
                        blocks += [
                            block({"elements": elements, "exponent": exponent})
                            for elements, exponent in zip(
                                vectors.elements[token], vectors.exponents[token], strict=True
                            )
                        ]
            found += [(f"places__{part}", places), (f"blocks__{part}", blocks)]
        return found

    def asks(self) -> list[tuple[str, list[int]]]:
        """Commands and queries of every part that holds tokens."""
        command = Packer(AttentionCommand(self.config, self.address_bits)).pack
        block = Packer(ActivationBlock(self.config.compute)).pack
        queries, group = self.context.queries[0], self.context.group
        kv_heads = range(self.context.keys.kv_heads)
        blocks = [
            block(
                {
                    "elements": queries.elements[head, index],
                    "exponent": queries.exponents[head, index],
                    "last": index == queries.blocks - 1,
                }
            )
            for head in range(self.context.heads)
            for index in range(queries.blocks)
        ]
        assert len(blocks) == group * len(kv_heads) * queries.blocks
        found = []
        for part in range(self.used):
            commands = [
                command(
                    {
                        "keys": self.kv_map.base(self.layer, head, False),
                        "values": self.kv_map.base(self.layer, head, True),
                        "rows": len(self.members[part]),
                        "selected": int(self.choice is not None),
                        "tag": head,
                    }
                )
                for head in kv_heads
            ]
            found += [
                (f"commands__{part}", commands * self.rounds),
                (f"queries__{part}", blocks * self.rounds),
                (f"selections__{part}", self.selections(part) * self.rounds),
            ]
        return found

    def selections(self, part: int) -> list[int]:
        """The words that say which tiles of a part are read, head by head."""
        if self.choice is None:
            return []
        tiles = -(-len(self.members[part]) // self.config.vector.tile_rows)
        words = []
        for head in range(self.context.keys.kv_heads):
            bits = sum(1 << tile for tile in self.choice[part, head])
            words += [
                bits >> first & (1 << SELECTION_BITS) - 1
                for first in range(0, tiles, SELECTION_BITS)
            ]
        return words

    def expected(self) -> tuple[list[Sink], int]:
        """What every stream shall give, and how many values that is."""
        config, context = self.config, self.context
        found = attend(config, self.members[: self.used], context, self.choice, self.clamps)
        partial = Packer(AttentionPartial(config)).pack
        sum_ = Packer(SliceSum(config.compute)).pack
        word = Packer(AttentionWords(config)).pack
        size, group = config.compute.head_elements, context.group
        sinks: list[Sink] = []
        groups = [slice(head * group, (head + 1) * group) for head in range(context.keys.kv_heads)]
        for part in range(self.used):
            partials, sums = [], []
            for head, heads in enumerate(groups):
                fields = {"tag": head}
                for vector, query in enumerate(range(heads.start, heads.stop)):
                    fields[f"vectors.{vector}.maximum"] = found.maximums[0, query, part]
                    fields[f"vectors.{vector}.total"] = found.totals[0, query, part]
                partials.append(partial(fields))
                sums += [
                    sum_(
                        {
                            "values": found.weighted[0, heads, part, element],
                            "element": element,
                            "tag": head,
                        }
                    )
                    for element in range(size)
                ]
            for name, given in (("partials", partials), ("sums", sums)):
                given = given * self.rounds
                sinks.append(Sink(f"{name}__{part}", len(given), given))
        words = [
            word({"values": found.words[0, heads, element], "last": element == size - 1})
            for heads in groups
            for element in range(size)
        ] * self.rounds
        sinks.append(Sink("words", len(words), words))
        values = self.rounds * context.heads * (self.used * (2 + size) + size)
        return sinks, values
