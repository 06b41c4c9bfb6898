"""What a command's heads attended to, packed into activations."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.attention.merge import AttentionWords
from neardecode.attention.unit import others
from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.lib.clock_gate import Gated
from neardecode.lib.once import once
from neardecode.vector.quantiser import Quantiser, ScaledBlock

__all__ = ["AttendedBlock", "AttendedPacker"]


class AttendedBlock(data.StructLayout):
    """A block of what a head attended to.

    Fields:
        head: Which of the command's query heads.
        part: Which block of the head.
        block: Its elements.
    """

    def __init__(self, config: Config):
        compute = config.compute
        super().__init__(
            {
                "head": unsigned(ceil_log2(compute.vectors)),
                "part": unsigned(ceil_log2(compute.head_elements // BLOCK_ELEMENTS)),
                "block": ScaledBlock(compute.activation_bits),
            }
        )


@once
class AttendedPacker(wiring.Component):
    """Packs the words of every query head, side by side, and gives one block after another.

    Latency: 2 cycles from a block's last word to the first head's block. Rate: a word of each head
    a cycle, and a block a cycle.

    Parameters:
        config: A configuration of slices that attend.

    Members:
        words: In(stream of `AttentionWords`).
        blocks: Out(stream of `AttendedBlock`). The first part of every head, then the next.
        saturated: Out(1). A word that was taken had been clamped.
        error: Out(1). Words were taken of a page that could not be read.
    """

    words: stream.Interface
    blocks: stream.Interface
    saturated: Signal
    error: Signal

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "words": In(stream.Signature(AttentionWords(config))),
                "blocks": Out(stream.Signature(AttendedBlock(config))),
                "saturated": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A quantiser a head."""
        m = Module()
        config, compute = self._config, self._config.compute
        heads, parts = compute.vectors, compute.head_elements // BLOCK_ELEMENTS
        packers = [
            Quantiser(config, compute.activation_bits, config.vector.word_fraction_bits)
            for _ in range(heads)
        ]
        inputs = [packer.i for packer in packers]
        words = self.words.payload
        head, part = Signal(range(heads)), Signal(range(parts))
        taken = Signal()
        m.d.comb += [
            self.words.ready.eq(Cat(each.ready for each in inputs).all()),
            taken.eq(self.words.valid & self.words.ready),
            self.saturated.eq(taken & words.saturated.any()),
            self.error.eq(taken & words.error),
            self.blocks.payload.head.eq(head),
            self.blocks.payload.part.eq(part),
        ]
        for index, packer in enumerate(packers):
            m.submodules[f"packer_{index}"] = Gated(packer)
            m.d.comb += [
                packer.i.valid.eq(self.words.valid & others(inputs, index, "ready")),
                packer.i.payload.values[0].eq(words.values[index].as_signed()),
                packer.i.payload.last.eq(words.last),
                packer.o.ready.eq(self.blocks.ready & (head == index)),
            ]
            with m.If(head == index):
                m.d.comb += [
                    self.blocks.valid.eq(packer.o.valid),
                    self.blocks.payload.block.eq(packer.o.payload),
                ]
        with m.If(self.blocks.valid & self.blocks.ready):
            m.d.sync += head.eq(Mux(head == heads - 1, 0, head + 1))
            with m.If(head == heads - 1):
                m.d.sync += part.eq(Mux(part == parts - 1, 0, part + 1))
        return m
