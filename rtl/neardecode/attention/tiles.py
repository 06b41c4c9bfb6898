"""The order in which tiles of keys and values are read, and the requests for their pages."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.attention.layouts import AttentionCommand, TileStep
from neardecode.compute.command import SELECTION_BITS
from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageRequest
from neardecode.lib.population import ones

__all__ = ["TileSequence", "tile_pages"]

PAGES_A_REQUEST = 255


def tile_pages(config: Config) -> int:
    """Pages of a tile of keys, which holds them whole.

    Raises:
        ValueError: if ``vector.tile_rows`` rows are not whole pages, or too many of them, or the
            slices have no sums.
    """
    layout, compute = config.kv_layout, config.compute
    if not compute.head_elements:
        raise ValueError("compute.head_elements must be a head's size, not 0")
    blocks = config.vector.tile_rows * compute.head_elements // BLOCK_ELEMENTS
    if blocks % layout.blocks or blocks // layout.blocks > PAGES_A_REQUEST:
        raise ValueError(
            f"vector.tile_rows must be rows of 1 to {PAGES_A_REQUEST} whole pages, each of"
            f" {layout.blocks} blocks, not {config.vector.tile_rows}"
        )
    return blocks // layout.blocks


class TileSequence(wiring.Component):
    """Keys and values of commands in turn, a tile each: those of a tile of keys one tile later.

    While a tile of keys streams by, softmax looks for the largest score of the tile before it, so
    the values of that one can follow without a pause. The last tile's values come behind the first
    keys of the next command where there is one by then.

    The pages of a step are asked for in the cycle in which it is decided on, up to ``ahead`` steps
    before it leaves: what is read does not depend on what was read before. A tile that a selection
    leaves out is passed over in a cycle, neither asked for nor counted; the last one, which holds
    the newest rows, is always read. Latency: one cycle from a command to its first step. Rate: a
    step a cycle.

    Parameters:
        config: A configuration.
        address_bits: Bits of a page's address.
        ahead: Steps whose pages may be asked for ahead.

    Members:
        commands: In(stream of `AttentionCommand`).
        selections: In(stream of SELECTION_BITS). Bit k of a selecting command's word w says that
            its tile ``SELECTION_BITS * w + k`` is read.
        requests: Out(stream of `PageRequest`). A step's pages, tagged with the command's tag.
        steps: Out(stream of `TileStep`).
        waiting: Out(1). Something is to be read.

    Raises:
        ValueError: as `tile_pages`.
    """

    commands: stream.Interface
    selections: stream.Interface
    requests: stream.Interface
    steps: stream.Interface
    waiting: Signal

    def __init__(self, config: Config, address_bits: int, ahead: int):
        self._config, self._address_bits, self._ahead = config, address_bits, ahead
        self._tile_pages = tile_pages(config)
        super().__init__(
            {
                "commands": In(stream.Signature(AttentionCommand(config, address_bits))),
                "selections": In(stream.Signature(SELECTION_BITS)),
                "requests": Out(stream.Signature(PageRequest(address_bits))),
                "steps": Out(stream.Signature(TileStep(config, address_bits))),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The tile of keys that is next, and up to two of values that wait."""
        m = Module()
        config, command = self._config, self.commands.payload
        tile_rows = config.vector.tile_rows
        row_blocks = config.compute.head_elements // BLOCK_ELEMENTS
        m.submodules.queue = queue = StreamFIFO(TileStep(config, self._address_bits), self._ahead)
        connect(m, queue.o, flipped(self.steps))

        step_layout = data.StructLayout(
            {"step": TileStep(config, self._address_bits), "pages": 8, "fresh": 1}
        )
        keys, values, chosen = (
            Signal(step_layout, name=name) for name in ("keys", "values", "chosen")
        )
        done = Signal.like(command.rows)
        left = Signal.like(command.rows)
        offset = Signal(self._address_bits)
        final = Signal()
        begun = Signal()
        tile = Signal(exact_log2(SELECTION_BITS))
        known, skips, passes = Signal(), Signal(), Signal()
        m.d.comb += [
            left.eq(command.rows - done),
            final.eq(left <= tile_rows),
            keys.step.page.eq(command.keys + offset),
            keys.step.rows.eq(Mux(final, left, tile_rows)),
            keys.step.opens.eq(~begun),
            keys.step.closes.eq(final),
            keys.step.tag.eq(command.tag),
            # One page, and one more for each that the rows reach beyond.
            keys.pages.eq(
                1
                + ones(
                    Cat(
                        keys.step.rows * row_blocks > page * config.kv_layout.blocks
                        for page in range(1, self._tile_pages)
                    )
                )
                if self._tile_pages > 1
                else 1
            ),
            keys.fresh.eq(command.appended & final),
            values.eq(keys),
            values.step.value.eq(1),
            values.step.page.eq(command.values + offset),
        ]

        owed, following = (Signal(step_layout, name=name) for name in ("owed", "following"))
        owes, follows, serves = Signal(), Signal(), Signal()
        weighs, moves, offers = Signal(), Signal(), Signal()
        m.d.comb += [
            known.eq(self.commands.valid & (~command.selected | self.selections.valid)),
            skips.eq(command.selected & ~final & ~self.selections.payload.bit_select(tile, 1)),
            weighs.eq(serves | (~known & owes)),
            offers.eq(weighs | (known & ~skips)),
            self.waiting.eq(self.commands.valid | owes),
            moves.eq(offers & self.requests.ready & queue.i.ready),
            passes.eq(known & ~weighs & (skips | moves)),
            self.selections.ready.eq(passes & command.selected & (final | tile.all())),
            chosen.eq(Mux(weighs, owed.as_value(), keys.as_value())),
            queue.i.valid.eq(offers & self.requests.ready),
            queue.i.payload.eq(chosen.step),
            self.requests.valid.eq(offers & queue.i.ready),
            self.requests.payload.address.eq(chosen.step.page),
            self.requests.payload.pages.eq(chosen.pages),
            self.requests.payload.fresh.eq(chosen.fresh),
            self.requests.payload.tag.eq(chosen.step.tag),
            self.commands.ready.eq(moves & ~weighs & final),
        ]
        with m.If(passes):
            m.d.sync += [
                done.eq(Mux(final, 0, done + tile_rows)),
                offset.eq(Mux(final, 0, offset + self._tile_pages)),
                tile.eq(Mux(final, 0, tile + 1)),
                begun.eq(~final & (begun | moves)),
            ]
        with m.If(moves & weighs):
            m.d.sync += [serves.eq(0), owes.eq(follows), owed.eq(following), follows.eq(0)]
        with m.Elif(moves):
            m.d.sync += [serves.eq(owes), follows.eq(owes), following.eq(values), owes.eq(1)]
            with m.If(~owes):
                m.d.sync += owed.eq(values)
        with m.Elif(weighs):
            # What is offered stays offered, whatever comes.
            m.d.sync += serves.eq(1)
        return m
