"""The configuration: frozen models that refuse what does not fit together.

Every parameter of the hardware is here, with its unit in its name; times in nanoseconds become
cycles in one place (`Config.cycles`).
"""

from math import ceil, gcd
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neardecode.config.compute import Compute
from neardecode.config.decoder import Decoder
from neardecode.config.fabric import Fabric
from neardecode.config.flash import Flash
from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat, PageLayout
from neardecode.config.kv import Kv
from neardecode.config.off_stack import OffStack
from neardecode.config.section import Section
from neardecode.config.stack import HeatConstants, Stack, StackCycles
from neardecode.config.vector import Vector

__all__ = ["Config", "Decode"]


class Decode(Section):
    """What the decode command runs where its options say nothing."""

    model: str = "smollm2-135m"
    """A known model, or `random`."""
    context: Annotated[int, Field(ge=1)] = 2048
    """Most tokens of a sequence; the KV cache is laid out for them."""
    backend: Literal["native", "verilator", "icarus", "amaranth"] = "native"
    """The simulator."""
    threads: Literal[1, 2] = 1
    """Of the native simulator of a token decoder, where there are as many cores."""


class Config(Section):
    """Everything that decides what hardware is built.

    Raises:
        pydantic.ValidationError: naming the key, the value and what was expected.
    """

    clock_ghz: Annotated[float, Field(gt=0, le=10)] = 1.6
    """The one clock."""
    flash: Flash = Flash()
    """Flash channels and core dies."""
    compute: Compute = Compute()
    """MAC slices."""
    vector: Vector = Vector()
    """Softmax, norms, rotation and gate."""
    fabric: Fabric = Fabric()
    """Routers and links."""
    decode: Decode = Decode()
    """Defaults of the decode command."""
    kv: Kv = Kv()
    """The KV cache."""
    stack: Stack | None = None
    """DRAM vaults; without it there are none."""
    decoder: Decoder | None = None
    """The token decoder; without it the host does what it would do."""
    off_stack: OffStack = OffStack()
    """The pins at the stack's edge."""
    chips: Annotated[int, Field(ge=1, le=64)] = 1
    """Chips that decode a model together."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fabric.payload_bits < self.compute.result_bits:
            raise ValueError(
                "fabric.payload_bits must hold a slice's result of"
                f" {self.compute.result_bits} bits, not {self.fabric.payload_bits}"
            )
        for layout in (self.kv_layout, *self.weight_layouts):
            if self.compute.blocks_a_row % layout.blocks_a_beat:
                raise ValueError(
                    f"compute.blocks_a_row must be whole beats of {layout.blocks_a_beat}"
                    f" blocks, not {self.compute.blocks_a_row}"
                )
        if self.compute.head_elements % (BLOCK_ELEMENTS * self.kv_layout.blocks_a_beat):
            raise ValueError(
                f"compute.head_elements must be whole beats of {self.flash.beat_bytes} elements,"
                f" not {self.compute.head_elements}"
            )
        for layout in self.gap_layouts:
            if not 0 < layout.element_beats <= self.flash.beat_bytes:
                raise ValueError(
                    f"compute.skip_zeros needs pages of 1 to {self.flash.beat_bytes} beats of"
                    f" elements, not {layout.element_beats}"
                )
        self._check_decoder()
        if self.sense_cycles < 3:
            raise ValueError(
                f"flash.sense_ns must be at least 3 cycles of {self.clock_ghz} GHz,"
                f" not {self.flash.sense_ns}"
            )
        if self.off_stack_bits < 1:
            raise ValueError(
                f"off_stack.pins must carry a bit a cycle for each of {self.ports} memory ports,"
                f" not {self.off_stack.pins} of {self.off_stack.pin_gbit_s} Gb/s"
            )
        return self

    def _check_decoder(self) -> None:
        decoder, flash = self.decoder, self.flash
        if decoder is None:
            if self.chips > 1:
                raise ValueError(f"chips must be 1 without a decoder, not {self.chips}")
            return
        if self.chips > 1 and decoder.group > decoder.lanes:
            raise ValueError(
                f"decoder.group must be at most decoder.lanes, {decoder.lanes}, where chips join,"
                f" not {decoder.group}"
            )
        if not self.compute.head_elements and self.compute.vectors != decoder.sequences:
            raise ValueError(
                f"compute.vectors must be decoder.sequences, {decoder.sequences},"
                f" not {self.compute.vectors}"
            )
        if not self.compute.head_elements and decoder.prefetch > self.compute.commands_ahead:
            raise ValueError(
                f"compute.commands_ahead must be at least decoder.prefetch, {decoder.prefetch},"
                f" not {self.compute.commands_ahead}"
            )
        if not self.compute.near_memory:
            raise ValueError("compute.near_memory must be true with a decoder, not False")
        if self.compute.skip_zeros:
            raise ValueError("compute.skip_zeros must be false with a decoder, not True")
        if self.stack is None:
            raise ValueError("decoder must be left out where there is no stack for the KV cache")
        if (self.stack.page_bytes, self.stack.beat_bytes) != (flash.page_bytes, flash.beat_bytes):
            raise ValueError(
                f"stack.page_bytes and beat_bytes must be those of flash, {flash.page_bytes} and"
                f" {flash.beat_bytes}, not {self.stack.page_bytes} and {self.stack.beat_bytes}"
            )
        if decoder.lanes > flash.beat_bytes // 2:
            raise ValueError(
                f"decoder.lanes must be at most {flash.beat_bytes // 2}, the integers of a beat"
                f" of tables, not {decoder.lanes}"
            )
        if decoder.head_elements < decoder.lanes:
            raise ValueError(
                f"decoder.lanes must be at most head_elements, {decoder.head_elements},"
                f" not {decoder.lanes}"
            )

    def attending(self, group: int, head_elements: int, most_rows: int = 128) -> "Config":
        """The same with slices that attend for a group of query heads of one size.

        A tile is as many whole pages as ``most_rows`` rows fill, but at least one.

        Raises:
            pydantic.ValidationError: if it does not fit together.
        """
        layout = self.kv_layout
        beats = head_elements // layout.format.element_bytes // layout.blocks_a_beat
        alone = layout.element_beats // gcd(layout.element_beats, beats)
        tables = self.model_dump()
        compute = {
            **tables["compute"],
            "formats": ("MXINT8",),
            "vectors": group,
            "commands_ahead": 4,
            "head_elements": head_elements,
            "selection": False,
            "skip_zeros": False,
        }
        return Config.model_validate(
            {
                **tables,
                "compute": compute,
                "vector": {
                    **tables["vector"],
                    "tile_rows": alone * max(1, most_rows // alone),
                },
                # The widest flit: the slice's results stay beside it.
                "fabric": {**tables["fabric"], "payload_bits": 512},
            }
        )

    def side_by_side(self, sequences: int) -> "Config":
        """The same decoder for so many sequences: a vector a sequence, and flits that hold them.

        Raises:
            pydantic.ValidationError: if it does not fit together.
        """
        if self.decoder is None or sequences == self.decoder.sequences:
            return self
        tables = self.model_dump()
        compute = Compute.model_validate({**tables["compute"], "vectors": sequences})
        fabric = self.fabric
        if compute.result_bits > fabric.payload_bits:
            payload_bits = 1 << (compute.result_bits - 1).bit_length()
            fabric = Fabric.model_validate({**tables["fabric"], "payload_bits": payload_bits})
        return Config.model_validate(
            {
                **tables,
                "compute": compute,
                "fabric": fabric,
                "decoder": {**tables["decoder"], "sequences": sequences},
            }
        )

    @property
    def weight_layouts(self) -> tuple[PageLayout, ...]:
        """Where the blocks of a page lie, for each format of a slice."""
        return tuple(self.flash.layout(format_) for format_ in self.compute.block_formats)

    @property
    def gap_layouts(self) -> tuple[PageLayout, ...]:
        """The same, of pages that leave beats of zeros out; none without ``skip_zeros``."""
        if not self.compute.skip_zeros:
            return ()
        return tuple(
            self.flash.layout(format_, gaps=True) for format_ in self.compute.block_formats
        )

    @property
    def kv_layout(self) -> PageLayout:
        """Where the blocks of a page of K lie."""
        return self.flash.layout(BlockFormat.MXINT8)

    @property
    def sense_cycles(self) -> int:
        """tR in cycles."""
        return self.cycles(self.flash.sense_ns)

    @property
    def stack_cycles(self) -> StackCycles:
        """The stack's timings in cycles.

        Raises:
            ValueError: if there is no stack.
        """
        if self.stack is None:
            raise ValueError("stack: there is none in this configuration")
        return StackCycles.of(self.stack.timings, self.cycles)

    @property
    def stack_heat(self) -> HeatConstants | None:
        """The thermal constants of a vault, or None where nothing heats."""
        if self.stack is None or self.stack.heat is None:
            return None
        heat = self.stack.heat
        # Energy by heat capacity, which is the time constant by the resistance, in 2^-24 half
        # degrees: 1e-12 J a pJ, 1e-6 s a us.
        scale = heat.resistance_k_a_w / heat.time_constant_us * 1e-6 * 2 * 2**24
        at_once = self.stack.banks if self.stack.refresh == "all-bank" else 1
        weights = (heat.beat_pj, heat.activate_pj, heat.refresh_pj * at_once)
        beat, activate, refresh = (round(energy * scale) for energy in weights)
        return HeatConstants(
            (beat, activate, refresh),
            self.cycles(heat.time_constant_us * 1000 / 256),
            *(
                round(2 * degrees)
                for degrees in (
                    *(heat.ambient_c, heat.hot_c, heat.throttle_c),
                    *(heat.step_c, heat.hysteresis_c),
                )
            ),
        )

    @property
    def context_chips(self) -> int:
        """Chips that share the tokens of a sequence."""
        by_heads = self.decoder is not None and self.decoder.split == "heads"
        return 1 if by_heads else self.chips

    @property
    def ports(self) -> int:
        """Memory ports of the stack: its vaults, or without any its flash channels."""
        return self.flash.channels if self.stack is None else self.stack.vaults

    @property
    def off_stack_bits(self) -> int:
        """Bits that a memory port's share of the stack's pins carries in a cycle."""
        bits = self.off_stack.pins * self.off_stack.pin_gbit_s / self.clock_ghz
        return int(round(bits, 6) // self.ports)

    @property
    def off_stack_cycles(self) -> int:
        """What crossing the stack's edge takes, each way, in cycles."""
        return self.cycles(self.off_stack.latency_ns)

    @property
    def bandwidth_gbs(self) -> float:
        """What all channels carry at one beat a cycle, in GB/s."""
        return self.flash.channels * self.flash.beat_bytes * self.clock_ghz

    @property
    def utilisation_bound(self) -> float:
        """Largest share of its bus that a channel can fill with pages that it senses.

        Sensing overlaps transfer, so ``b`` banks that each give a page of ``t`` beats every
        ``r`` cycles fill ``min(1, b * t / r)``.
        """
        return min(1.0, self.flash.banks * self.flash.page_beats / self.sense_cycles)

    def cycles(self, nanoseconds: float) -> int:
        """A time in cycles, rounded up."""
        return max(1, ceil(round(nanoseconds * self.clock_ghz, 6)))
