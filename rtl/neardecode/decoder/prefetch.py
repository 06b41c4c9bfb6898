"""Asking for weights ahead of their use: the program is walked in front of the sequencer."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.attention.unit import others
from neardecode.compute.command import Mode, SliceCommand
from neardecode.config import Config, Operation
from neardecode.decoder.layouts import Descriptor
from neardecode.decoder.tables import TableRow

__all__ = ["Prefetcher"]


class Prefetcher(wiring.Component):
    """Walks the program round and round, and gives slices their commands and norms their weights.

    What it asks for does not depend on tokens, so it goes on into the next token. Of matrices it
    is ``decoder.prefetch`` ahead at most, from the one in work on.

    Rate: a descriptor in two cycles.

    Parameters:
        config: A configuration with a decoder.

    Members:
        running: In(1). The program is loaded.
        address: Out. The descriptor that shall be in ``descriptor`` in the next cycle.
        descriptor: In(`Descriptor`).
        done: In(1). A matrix is done with.
        commands: Out(stream of `SliceCommand`), a channel each; all are taken at once.
        rows: Out(stream of `TableRow`). Of norms' weights.
        held: Out(1). A matrix's command waits for the window.
    """

    running: Signal
    address: Signal
    descriptor: data.View
    done: Signal
    commands: Sequence
    rows: stream.Interface
    held: Signal

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        self._config, self._decoder = config, decoder
        address = ceil_log2(config.flash.pages)
        command = SliceCommand(config.compute, address)
        super().__init__(
            {
                "running": In(1),
                "address": Out(ceil_log2(decoder.descriptors)),
                "descriptor": In(Descriptor(config)),
                "done": In(1),
                "commands": Out(stream.Signature(command)).array(config.flash.channels),
                "rows": Out(stream.Signature(TableRow(config))),
                "held": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Fetch, ask, step."""
        m = Module()
        flash, decoder = self._config.flash, self._decoder
        here = Signal.like(self.address)
        fetched = Signal()
        ahead = Signal(range(decoder.prefetch + 1))
        step, asked = self.descriptor, Signal()
        is_matrix, is_norm, moves = Signal(), Signal(), Signal()
        every = Cat(each.ready for each in self.commands).all()
        m.d.comb += [
            is_matrix.eq(fetched & (step.operation == Operation.MATRIX)),
            is_norm.eq(fetched & (step.operation == Operation.NORM)),
            self.held.eq(is_matrix & (ahead == decoder.prefetch)),
            asked.eq(is_matrix & ~self.held & every),
            self.rows.valid.eq(is_norm),
            self.rows.payload.beat.eq(Cat(step.beat, step.page)),
            self.rows.payload.transfers.eq(step.count),
            moves.eq(fetched & Mux(is_matrix, asked, Mux(is_norm, self.rows.ready, 1))),
            self.address.eq(here),
        ]
        assert exact_log2(flash.page_beats) == len(step.beat)
        with m.If(moves):
            m.d.sync += [
                here.eq(Mux(step.operation == Operation.NEXT, 0, here + 1)),
                fetched.eq(0),
            ]
        with m.Else():
            m.d.sync += fetched.eq(self.running)
        m.d.sync += ahead.eq(ahead + asked - self.done)
        for channel, commands in enumerate(self.commands):
            command = commands.payload
            m.d.comb += [
                commands.valid.eq(is_matrix & ~self.held & others(self.commands, channel, "ready")),
                command.mode.eq(Mode.DOT),
                command.format.eq(step.format),
                command.base.eq(step.page),
                command.rows.eq(step.rows + (step.extra > channel)),
                command.blocks.eq(step.blocks),
            ]
        return m
