"""The activation buffer of a MAC slice."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.compute.command import ActivationBlock
from neardecode.compute.lanes import Lanes
from neardecode.config import BLOCK_ELEMENTS
from neardecode.config import Compute as ComputeConfig

__all__ = ["ActivationBuffer", "activation_beat"]


def activation_beat(config: ComputeConfig, lanes: Lanes) -> data.StructLayout:
    """The activations of one vector that meet one beat.

    Fields:
        elements: A strip each.
        exponents: A block each.
        sums: A block each, of its elements; only where a format has minimums.
    """
    elements = data.ArrayLayout(signed(config.activation_bits), BLOCK_ELEMENTS)
    members = {
        "elements": data.ArrayLayout(elements, lanes.strips),
        "exponents": data.ArrayLayout(8, lanes.blocks),
    }
    if lanes.minimums:
        members["sums"] = data.ArrayLayout(signed(lanes.sum_bits), lanes.blocks)
    return data.StructLayout(members)


class ActivationBuffer(wiring.Component):
    """Holds the vectors in use and the next ones.

    Takes one block a cycle, one vector after the other. They are `ready` from the cycle after the
    last block of the last of them and stay until `release`; then the next ones, if they are
    loaded, are ready at once.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.

    Members:
        blocks: In(stream of `ActivationBlock`).
        ready: Out(1). The vectors in use are loaded.
        release: In(1). The vectors in use are done with.
        address: In. A beat of the vectors in use, in beats of the format in use.
        paired: In(1). The beat is of 8-bit elements in a slice that has 4-bit ones too.
        enable: In(1). Read it.
        beats: Out(`activation_beat`, a vector each). What was read, one cycle later, until the
            next read.
    """

    blocks: stream.Interface
    ready: Signal
    release: Signal
    address: Signal
    paired: Signal
    enable: Signal
    beats: data.View

    def __init__(self, config: ComputeConfig, lanes: Lanes):
        self._config = config
        self._lanes = lanes
        self._words = config.blocks_a_row // lanes.blocks
        super().__init__(
            {
                "blocks": In(stream.Signature(ActivationBlock(config))),
                "ready": Out(1),
                "release": In(1),
                "address": In(ceil_log2(self._words) + lanes.pairs),
                "paired": In(1),
                "enable": In(1),
                "beats": Out(data.ArrayLayout(activation_beat(config, lanes), config.vectors)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two halves: one in use, one being loaded."""
        m = Module()
        lanes, vectors = self._lanes, self._config.vectors
        members = {
            "elements": data.ArrayLayout(signed(self._config.activation_bits), BLOCK_ELEMENTS),
            "exponent": 8,
        }
        if lanes.minimums:
            members["sum"] = signed(lanes.sum_bits)
        loaded = Signal(2)
        load_half = Signal()
        use_half = Signal()
        place = Signal(range(lanes.blocks))
        load_address = Signal(range(self._words))
        vector = Signal(range(vectors))
        block = self.blocks.payload
        taken = Signal()
        last = Signal()
        m.d.comb += [
            self.blocks.ready.eq(~loaded.bit_select(load_half, 1)),
            taken.eq(self.blocks.valid & self.blocks.ready),
            last.eq(taken & block.last & (vector == vectors - 1)),
            self.ready.eq(loaded.bit_select(use_half, 1)),
        ]
        # In pairs a word is two beats: which of them the last read was.
        upper = Signal()
        paired = Signal()
        word: Value = self.address
        if lanes.pairs:
            word = Mux(self.paired, self.address >> 1, self.address)[: ceil_log2(self._words)]
            with m.If(self.enable):
                m.d.sync += [upper.eq(self.address[0]), paired.eq(self.paired)]

        # The same word for every slot; what is written says the enable.
        written = [block.elements.as_value(), block.exponent]
        if lanes.minimums:
            total = Signal(signed(lanes.sum_bits))
            m.d.comb += total.eq(sum(block.elements))
            written.append(total)
        for index in range(vectors):
            memory = Memory(
                shape=data.ArrayLayout(data.StructLayout(members), lanes.blocks),
                depth=2 * self._words,
                init=[],
            )
            m.submodules[f"memory_{index}"] = memory
            write = memory.write_port(granularity=1)
            read = memory.read_port()
            m.d.comb += [
                write.addr.eq(Cat(load_address, load_half)),
                write.en.eq(Mux(taken & (vector == index), 1 << place, 0)),
                read.addr.eq(Cat(word, use_half)),
                read.en.eq(self.enable),
            ]
            m.d.comb += write.data.as_value().eq(Cat(*written).replicate(lanes.blocks))
            beat = self.beats[index]
            half = lanes.blocks // 2
            for strip in range(lanes.strips):
                elements = read.data[strip].elements
                if lanes.pairs:
                    # Blocks of a beat of pairs lie behind the first and the second half of strips.
                    other = read.data[(strip + half) % lanes.strips].elements
                    swapped = paired & (upper if strip < half else ~upper)
                    elements = Mux(swapped, other.as_value(), elements.as_value())
                m.d.comb += beat.elements[strip].eq(elements)
            for slot in range(lanes.blocks):
                exponent = read.data[slot].exponent
                if lanes.pairs and slot < half:
                    exponent = Mux(paired & upper, read.data[slot + half].exponent, exponent)
                m.d.comb += beat.exponents[slot].eq(exponent)
                if lanes.minimums:
                    m.d.comb += beat.sums[slot].eq(read.data[slot].sum)

        with m.If(taken):
            with m.If(block.last):
                m.d.sync += [place.eq(0), load_address.eq(0)]
                m.d.sync += vector.eq(Mux(vector == vectors - 1, 0, vector + 1))
            with m.Elif(place == lanes.blocks - 1):
                m.d.sync += [place.eq(0), load_address.eq(load_address + 1)]
            with m.Else():
                m.d.sync += place.eq(place + 1)
        with m.If(last):
            m.d.sync += load_half.eq(~load_half)
        with m.If(self.release):
            m.d.sync += use_half.eq(~use_half)
        m.d.sync += loaded.eq(
            (loaded | Mux(last, 1 << load_half, 0)) & ~Mux(self.release, 1 << use_half, 0)
        )
        return m
