"""The blocks that commands know by name."""

from collections.abc import Callable

from amaranth.lib import wiring
from amaranth.utils import ceil_log2

from neardecode.chip import Chip
from neardecode.compute.slice import MacSlice
from neardecode.config import Config, ConfigError
from neardecode.fabric.router import Router
from neardecode.flash.channel import FlashChannel
from neardecode.flash.controller import ChannelController
from neardecode.lib.flit import FlitLayout
from neardecode.stack.vault import VaultController
from neardecode_testbench.cli.errors import InputError

__all__ = ["BLOCKS", "make_block"]


def _router(config: Config) -> Router:
    ends = config.flash.channels + 1
    return Router(
        FlitLayout(config.fabric.payload_bits, ends),
        routes=range(ends),
        ports=ends,
        buffer_flits=config.fabric.buffer_flits,
        output_credits=config.fabric.buffer_flits,
    )


def _controller(config: Config) -> ChannelController:
    if config.flash.host is None:
        raise ConfigError("flash.host: the channel controller needs it; see the preset hbf-channel")
    return ChannelController(config.flash, config.clock_ghz)


def _vault(config: Config) -> VaultController:
    if config.stack is None:
        raise ConfigError("stack: the vault controller needs it; see the preset stack")
    return VaultController(config.stack, config.stack_cycles, config.stack_heat)


BLOCKS: dict[str, Callable[[Config], wiring.Component]] = {
    "channel_controller": _controller,
    "chip": Chip,
    "flash_channel": lambda config: FlashChannel(config.flash),
    "mac_slice": lambda config: MacSlice(config, ceil_log2(config.flash.pages)),
    "router": _router,
    "vault_controller": _vault,
}


def make_block(name: str, config: Config) -> wiring.Component:
    """A block of a configuration.

    Raises:
        InputError: if there is no such block.
    """
    if name not in BLOCKS:
        raise InputError(f"{name}: no such block; known: {', '.join(BLOCKS)}")
    return BLOCKS[name](config)
