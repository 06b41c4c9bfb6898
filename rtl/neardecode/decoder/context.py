"""The tokens so far: the position, whose keys and values they are, and where they go."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.attention.append import RowPlace
from neardecode.config import Config

__all__ = ["Context"]


class Context(wiring.Component):
    """Counts the tokens of a sequence, and those of them that are this chip's.

    Of chips that share the context token t's keys and values are chip ``t % chips``'s.

    Parameters:
        config: A configuration with a decoder.

    Members:
        number: In. The chip's, from 0.
        begin: In(1). The next token is the first.
        advance: In(1). The next token is the one after this.
        position: Out. The token's.
        owns: Out(1). Its keys and values are this chip's.
        rows: Out. Tokens so far that are this chip's, this one among them.
        place: Out(`RowPlace`). Of this chip's next token, in a region of keys or values.
    """

    number: Signal
    begin: Signal
    advance: Signal
    position: Signal
    owns: Signal
    rows: Signal
    place: data.View

    def __init__(self, config: Config):
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        self._config, self._decoder = config, decoder
        super().__init__(
            {
                "number": In(range(config.chips)),
                "begin": In(1),
                "advance": In(1),
                "position": Out(config.compute.row_bits),
                "owns": Out(1),
                "rows": Out(config.compute.row_bits + 1),
                "place": Out(RowPlace(config, exact_log2(stack.pages))),
            }
        )

    def elaborate(self, platform) -> Module:
        """Round and round the chips; rows behind each other over pages."""
        m = Module()
        chips = self._config.context_chips
        # The chip whose token it is, and how many this chip had before this round.
        turn, before = Signal(range(chips)), Signal.like(self.position)
        alone = chips == 1
        ends_turn = turn == chips - 1
        beats = max(1, self._decoder.head_elements // self._config.flash.beat_bytes)
        room = self._config.kv_layout.element_beats
        # A row does not reach beyond two pages.
        wraps = self.place.beat + beats >= room
        m.d.comb += [
            self.owns.eq((turn == self.number) | alone),
            self.rows.eq(before + ((self.number <= turn) | alone)),
        ]
        with m.If(self.begin):
            m.d.sync += [self.position.eq(0), self.place.eq(0), turn.eq(0), before.eq(0)]
        with m.Elif(self.advance):
            m.d.sync += [
                self.position.eq(self.position + 1),
                turn.eq(Mux(ends_turn, 0, turn + 1)),
                before.eq(before + ends_turn),
            ]
            with m.If(self.owns):
                m.d.sync += [
                    self.place.beat.eq(self.place.beat + beats - Mux(wraps, room, 0)),
                    self.place.page.eq(self.place.page + wraps),
                ]
        return m
