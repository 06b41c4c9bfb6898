"""What `neardecode area` measures when nothing else is said, and how far it divides a block."""

from functools import partial
from typing import NamedTuple

from neardecode.config import BlockFormat, Config, load
from neardecode_synth.block import Block
from neardecode_testbench.cli.blocks import SMALL, make_block
from neardecode_testbench.cli.changes import changed
from neardecode_testbench.report.areas import short_title

__all__ = ["STANDARD", "SWEEPS", "Size", "measured"]

DEPTHS = {"chip": 3, "token_chip": 3, "token_decoder": 3, "channel_controller": 1}
"""Blocks that are a sum over so many levels of their hierarchy; others are one unit."""


class Size(NamedTuple):
    """A block at a size."""

    block: str
    config: str
    changes: tuple[str, ...] = ()
    fpga: bool = False
    """Whether it is placed in an ECP5: it is small enough for minutes."""

    @property
    def title(self) -> str:
        """Block and size in one line."""
        return short_title(self.block, self.config, self.changes)

    @property
    def parameters(self) -> dict[str, object]:
        """Block's configuration, as JSON has it."""
        return {"config": self.config, "set": list(self.changes)}

    def settings(self) -> Config:
        """The configuration."""
        return changed(load(self.config), list(self.changes))


def _router(channels: int, flits: int, fpga: bool = False) -> Size:
    changes = (f"fabric.token_channels={channels}", f"fabric.buffer_flits={flits}")
    return Size("mesh_router", "demo", changes, fpga)


_HOST = "flash.host={reads=256, writes=256}"
_, _SMALL_CONTROLLER = SMALL["channel_controller"]
_ONE_FORMAT = 'compute.formats=["{}"]'

STANDARD = (
    *(_router(1, flits) for flits in (4, 7)),
    _router(1, 8, fpga=True),
    *(_router(2, flits) for flits in (4, 8)),
    *(Size("mac_slice", "hbf16", (_ONE_FORMAT.format(one.name),)) for one in BlockFormat),
    Size("mac_slice", "hbf16"),
    Size("mac_slice", "tiny", (_ONE_FORMAT.format("Q8_0"), "flash.beat_bytes=32"), fpga=True),
    Size("softmax", "hbf16"),
    Size("channel_controller", "hbf16", (_HOST,)),
    # A code of 64 errors, which the preset has, takes far longer.
    Size("channel_controller", "hbf-channel", ("flash.ecc.correctable=16",)),
    Size("channel_controller", "tiny", (*_SMALL_CONTROLLER, "flash.beat_bytes=32"), fpga=True),
    Size("vault_controller", "stack"),
    Size("token_decoder", "decoder-demo"),
    Size("chip", "tiny"),
    Size("chip", "demo"),
)

SWEEPS: dict[str, tuple[tuple[int, Size], ...]] = {
    "flit width, bits": tuple(
        (bits, Size("router", "demo", (f"fabric.payload_bits={bits}",)))
        for bits in (96, 192, 256, 384, 512)
    ),
    "virtual channels": tuple((count, _router(count, 8)) for count in (1, 2, 3, 4)),
    "flits of a buffer": tuple((flits, _router(1, flits)) for flits in (2, 4, 8, 16)),
    "bytes of a beat (lanes)": tuple(
        (
            size,
            Size("mac_slice", "hbf16", (_ONE_FORMAT.format("Q8_0"), f"flash.beat_bytes={size}")),
        )
        for size in (32, 64, 128)
    ),
    # The page buffers of two banks are few enough words to be flip-flops.
    "banks": tuple(
        (count, Size("flash_channel", "tiny", (f"flash.banks_a_die={count}",)))
        for count in (4, 8, 16)
    ),
}
"""For each parameter, its values and the block at each."""


def measured(size: Size) -> Block:
    """A block at a size, for synthesis.

    Raises:
        InputError: if there is no such block.
        ConfigError: if the configuration has not what the block needs.
    """
    settings = size.settings()
    return Block(
        size.block,
        partial(make_block, size.block, settings),
        settings.model_dump_json(),
        DEPTHS.get(size.block, 0),
        size.fpga,
    )
