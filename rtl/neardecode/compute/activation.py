"""The activation buffer of a MAC slice."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock
from neardecode.config import BLOCK_ELEMENTS
from neardecode.config import Compute as ComputeConfig

__all__ = ["ActivationBuffer", "activation_beat"]


def activation_beat(config: ComputeConfig, blocks_a_beat: int) -> data.StructLayout:
    """The activations that meet one beat of elements: blocks of elements, and their exponents."""
    elements = data.ArrayLayout(signed(config.activation_bits), BLOCK_ELEMENTS)
    return data.StructLayout(
        {
            "elements": data.ArrayLayout(elements, blocks_a_beat),
            "exponents": data.ArrayLayout(8, blocks_a_beat),
        }
    )


class ActivationBuffer(wiring.Component):
    """Holds the vector in use and the next one.

    Takes one block a cycle. A vector is `ready` from the cycle after its last block and stays
    until `release`; then the next one, if it is loaded, is ready at once.

    Parameters:
        config: The compute section of a configuration.
        blocks_a_beat: Blocks that one beat of elements meets.

    Members:
        blocks: In(stream of `ActivationBlock`).
        ready: Out(1). The vector in use is loaded.
        release: In(1). The vector in use is done with.
        address: In. A beat of the vector in use.
        enable: In(1). Read it.
        beat: Out(`activation_beat`). What was read, one cycle later, until the next read.
    """

    blocks: stream.Interface
    ready: Signal
    release: Signal
    address: Signal
    enable: Signal
    beat: data.View

    def __init__(self, config: ComputeConfig, blocks_a_beat: int):
        self._config = config
        self._blocks_a_beat = blocks_a_beat
        self._beats = config.blocks_a_row // blocks_a_beat
        super().__init__(
            {
                "blocks": In(stream.Signature(ActivationBlock(config))),
                "ready": Out(1),
                "release": In(1),
                "address": In(ceil_log2(self._beats)),
                "enable": In(1),
                "beat": Out(activation_beat(config, blocks_a_beat)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two halves: one in use, one being loaded."""
        m = Module()
        block_layout = data.StructLayout(
            {
                "elements": data.ArrayLayout(signed(self._config.activation_bits), BLOCK_ELEMENTS),
                "exponent": 8,
            }
        )
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(block_layout, self._blocks_a_beat),
            depth=2 * self._beats,
            init=[],
        )
        write = memory.write_port(granularity=1)
        read = memory.read_port()
        loaded = Signal(2)
        load_half = Signal()
        use_half = Signal()
        place = Signal(range(self._blocks_a_beat))
        load_address = Signal(range(self._beats))
        block = self.blocks.payload
        taken = Signal()
        m.d.comb += [
            self.blocks.ready.eq(~loaded.bit_select(load_half, 1)),
            taken.eq(self.blocks.valid & self.blocks.ready),
            write.addr.eq(Cat(load_address, load_half)),
            write.en.eq(Mux(taken, 1 << place, 0)),
            read.addr.eq(Cat(self.address, use_half)),
            read.en.eq(self.enable),
            self.ready.eq(loaded.bit_select(use_half, 1)),
        ]
        for index in range(self._blocks_a_beat):
            m.d.comb += [
                write.data[index].elements.eq(block.elements),
                write.data[index].exponent.eq(block.exponent),
                self.beat.elements[index].eq(read.data[index].elements),
                self.beat.exponents[index].eq(read.data[index].exponent),
            ]
        with m.If(taken):
            with m.If(block.last):
                m.d.sync += [place.eq(0), load_address.eq(0), load_half.eq(~load_half)]
            with m.Elif(place == self._blocks_a_beat - 1):
                m.d.sync += [place.eq(0), load_address.eq(load_address + 1)]
            with m.Else():
                m.d.sync += place.eq(place + 1)
        with m.If(self.release):
            m.d.sync += use_half.eq(~use_half)
        m.d.sync += loaded.eq(
            (loaded | Mux(taken & block.last, 1 << load_half, 0))
            & ~Mux(self.release, 1 << use_half, 0)
        )
        return m
