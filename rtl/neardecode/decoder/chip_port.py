"""Messages between chips: who of a chip's units has the reduction tree."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Config
from neardecode.fabric.reduction import LENGTH_BITS, ReducedWord, ReductionCommand

__all__ = ["ChipPort", "NetworkSignature", "UnitSignature"]


def transfer_bits(config: Config) -> int:
    """Bits of a transfer between chips: an accumulator a lane."""
    assert config.decoder is not None
    return config.decoder.lanes * config.compute.accumulator_bits


class UnitSignature(wiring.Signature):
    """What a unit sends to its like on all chips and gets back, from its side.

    Members:
        lengths: Out(stream). A message begins, of so many transfers, the same on every chip.
        contributions: Out(stream of ``lanes`` accumulators). What this chip adds to each.
        results: In(stream of ``lanes`` accumulators). The sums over all chips, in order.
    """

    def __init__(self, config: Config):
        transfer = stream.Signature(transfer_bits(config))
        super().__init__(
            {
                "lengths": Out(stream.Signature(LENGTH_BITS)),
                "contributions": Out(transfer),
                "results": In(transfer),
            }
        )


class NetworkSignature(wiring.Signature):
    """A chip's side of its node of the reduction tree.

    Members:
        commands: Out(stream of `ReductionCommand`).
        contributions: Out(stream of ``lanes`` accumulators).
        results: In(stream of `ReducedWord`).
    """

    def __init__(self, config: Config):
        decoder = config.decoder
        assert decoder is not None
        word = ReducedWord(config.compute.accumulator_bits, decoder.lanes)
        super().__init__(
            {
                "commands": Out(stream.Signature(ReductionCommand())),
                "contributions": Out(stream.Signature(transfer_bits(config))),
                "results": In(stream.Signature(word)),
            }
        )


class ChipPort(wiring.Component):
    """Gives the tree to one unit for a message, from its length to its last result.

    Units of every chip must begin their messages in one order, whatever is there when: a message
    waits in the tree for its like.

    Latency: a message's command is there one cycle after its length. Rate: a transfer a cycle; a
    cycle between messages.

    Parameters:
        config: A configuration with a decoder.
        units: How many.

    Members:
        units: In(`UnitSignature`), one each.
        network: Out(`NetworkSignature`).
        saturated: Out(1). A result was at its limit in this cycle.
    """

    units: Sequence
    network: Any
    saturated: Signal

    def __init__(self, config: Config, units: int):
        super().__init__(
            {
                "units": In(UnitSignature(config)).array(units),
                "network": Out(NetworkSignature(config)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A message at a time."""
        m = Module()
        network = self.network
        owner = Signal(range(max(2, len(self.units))))
        left, words = Signal(LENGTH_BITS), Signal(LENGTH_BITS)
        command = network.commands.payload
        m.d.comb += [
            # A unit gives no more than its message, so the command need not go before its results.
            network.commands.valid.eq(left != 0),
            command.words.eq(words),
            command.own.eq(words),
            command.first.eq(Const(0)),
            self.saturated.eq(
                network.results.valid & network.results.ready & network.results.payload.saturated
            ),
        ]
        with m.If(left == 0):
            earlier: Value = Const(0)
            for index, unit in enumerate(self.units):
                m.d.comb += unit.lengths.ready.eq(~earlier)
                with m.If(unit.lengths.valid & ~earlier):
                    m.d.sync += [
                        owner.eq(index),
                        left.eq(unit.lengths.payload),
                        words.eq(unit.lengths.payload),
                    ]
                earlier = earlier | unit.lengths.valid
        with m.Elif(network.results.valid & network.results.ready):
            m.d.sync += left.eq(left - 1)
        for index, unit in enumerate(self.units):
            mine = (owner == index) & (left != 0)
            with m.If(mine):
                m.d.comb += [
                    network.contributions.valid.eq(unit.contributions.valid),
                    network.contributions.payload.eq(unit.contributions.payload),
                    unit.contributions.ready.eq(network.contributions.ready),
                    network.results.ready.eq(unit.results.ready),
                    unit.results.valid.eq(network.results.valid),
                ]
            m.d.comb += unit.results.payload.eq(network.results.payload.word)
        return m
