"""Decoding chips with the port by which a host uses them."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Config
from neardecode.decoder.host import HostPort
from neardecode.lib.axi_lite import AxiLite
from neardecode.token_chip import TokenChip
from neardecode.token_chips import EACH, LANES, TokenChips, system_counter_names

__all__ = ["TokenSystem"]


class TokenSystem(wiring.Component):
    """A `TokenChip`, or several as `TokenChips`, behind a `HostPort`.

    Registers, doorbell and interrupt are all a host sees.

    Parameters:
        config: A configuration with a decoder and a stack.

    Members:
        axi: In(`AxiLite`). The host's.
        irq: Out(1). See `HostPort`.
        sums, dies, drams, faulty, doubled: As the chip's; of several ``exchanged`` for ``sums``.
        lanes_out, lanes_in: Only of protected links between chips. As `TokenChips`.
    """

    axi: Any
    irq: Signal
    sums: stream.Interface
    exchanged: Sequence
    dies: Sequence
    drams: Sequence
    faulty: Sequence
    doubled: Sequence
    lanes_out: Sequence
    lanes_in: Sequence

    def __init__(self, config: Config):
        self._chip = TokenChip(config) if config.chips == 1 else TokenChips(config)
        self._host = HostPort(config, len(system_counter_names(config)))
        self._watched = "sums" if config.chips == 1 else "exchanged"
        chip = self._chip.signature.members
        super().__init__(
            {
                "axi": In(AxiLite()),
                "irq": Out(1),
                **{name: chip[name] for name in (self._watched, *EACH, *LANES) if name in chip},
            }
        )

    def elaborate(self, platform) -> Module:
        """What both have is joined, the rest leads outside."""
        m = Module()
        m.submodules.chip = chip = self._chip
        m.submodules.host = host = self._host
        connect(m, flipped(self.axi), host.axi)
        for name in ("program", "prompt", "tokens"):
            connect(m, getattr(host, name), getattr(chip, name))
        inside, outside = (
            [*getattr(each, self._watched), *each.dies, *each.drams]
            if self._watched == "exchanged"
            else [getattr(each, self._watched), *each.dies, *each.drams]
            for each in (chip, self)
        )
        for inner, edge in zip(inside, outside, strict=True):
            connect(m, inner, flipped(edge))
        m.d.comb += [
            getattr(chip, name).eq(getattr(host, name))
            for name in ("running", "generate", "counting", "counter_address")
        ]
        m.d.comb += [
            getattr(host, name).eq(getattr(chip, name))
            for name in ("position", "idle", "saturated", "error", "counter_value")
        ]
        m.d.comb += [
            edge.eq(inner)
            for inner, edge in zip(
                (*chip.faulty, *chip.doubled), (*self.faulty, *self.doubled), strict=True
            )
        ]
        if isinstance(chip, TokenChips) and hasattr(chip, "lanes_out"):
            for end, lanes in enumerate(chip.lanes_out):
                m.d.comb += [
                    self.lanes_out[end].eq(lanes),
                    chip.lanes_in[end].eq(self.lanes_in[end]),
                ]
        m.d.comb += self.irq.eq(host.irq)
        return m
