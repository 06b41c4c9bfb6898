"""The blocks that commands know by name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import typer
from amaranth.lib import wiring
from amaranth.utils import ceil_log2

from neardecode.attention.append import KvAppender
from neardecode.attention.evict import PageEvictor
from neardecode.attention.merge import AttentionMerge
from neardecode.attention.unit import AttentionUnit
from neardecode.chip import Chip
from neardecode.compute.placed import PlacedSlice
from neardecode.compute.slice import MacSlice
from neardecode.compute.softmax.softmax import Softmax
from neardecode.config import Config, ConfigError, Host, Protection
from neardecode.config.topology import Topology
from neardecode.decoder.decoder import TokenDecoder
from neardecode.fabric.link_end import LinkEnd
from neardecode.fabric.reduction import ReductionNode
from neardecode.fabric.router import Router
from neardecode.fabric.tile import network_flit, network_routes, network_turns
from neardecode.flash.channel import FlashChannel
from neardecode.flash.controller import ChannelController
from neardecode.lib.flit import FlitLayout
from neardecode.stack.vault import VaultController
from neardecode.token_chip import TokenChip
from neardecode.vector.finish import SoftmaxFinish
from neardecode.vector.gate import SiluGate
from neardecode.vector.merge import SoftmaxMerge
from neardecode.vector.norm import Normalise, RootMeanSquare
from neardecode.vector.quantiser import Quantiser
from neardecode.vector.residual import ResidualAdd
from neardecode.vector.rotation import Rotation
from neardecode_testbench.cli.errors import InputError

__all__ = ["BLOCKS", "SMALL", "BlocksArgument", "check_blocks", "make_block"]


def _router(config: Config) -> Router:
    ends = config.flash.channels + 1
    return Router(
        FlitLayout.for_payload(config.fabric.payload_bits, ends, ends),
        routes=range(ends),
        buffer_flits=config.fabric.buffer_flits,
        output_credits=config.fabric.buffer_flits,
    )


def _mesh_router(config: Config) -> Router:
    """A router in the middle of a mesh, with words of 64 bits."""
    topology = Topology((4, 4))
    middle = topology.node((1, 1))
    return Router(
        network_flit(topology, 64),
        routes=network_routes(topology, middle),
        buffer_flits=config.fabric.buffer_flits,
        output_credits=config.fabric.buffer_flits,
        classes=config.fabric.classes,
        turns=network_turns(topology, middle, config.fabric.classes),
    )


def _reduction_node(config: Config) -> ReductionNode:
    """A node with two children in a tree of 16, with words of 64 bits."""
    return ReductionNode(
        nodes=16,
        children=2,
        root=False,
        credits=2 * config.fabric.link_latency + 2,
        landing_words=16,
    )


def _controller(config: Config) -> ChannelController:
    if config.flash.host is None:
        raise ConfigError("flash.host: the channel controller needs it; see the preset hbf-channel")
    return ChannelController(config.flash, config.clock_ghz)


def _normalise(config: Config) -> Normalise:
    return Normalise(config, RootMeanSquare(config).exponent_bits)


def _quantiser(config: Config) -> Quantiser:
    return Quantiser(config, config.compute.activation_bits, config.vector.word_fraction_bits)


def _with_decoder(block: Callable[[Config], wiring.Component]):
    def make(config: Config) -> wiring.Component:
        if config.decoder is None:
            raise ConfigError("decoder: the block needs it; see the preset decoder-tiny")
        return block(config)

    return make


def _vault(config: Config) -> VaultController:
    if config.stack is None:
        raise ConfigError("stack: the vault controller needs it; see the preset stack")
    return VaultController(config.stack, config.stack_cycles, config.stack_heat)


def _attention(config: Config) -> Config:
    """Slices that attend for SmolLM2's three query heads a KV head, of 64 elements."""
    return config.attending(3, 64)


def _evictor(config: Config) -> PageEvictor:
    if config.stack is None:
        raise ConfigError("stack: the evictor reads a vault; see the preset stack")
    host = config.flash.model_copy(update={"host": config.flash.host or Host()})
    made = config.model_copy(update={"flash": host})
    return PageEvictor(made, ceil_log2(config.stack.pages), ceil_log2(config.flash.pages))


BLOCKS: dict[str, Callable[[Config], wiring.Component]] = {
    "attention_merge": lambda config: AttentionMerge(_attention(config), 8),
    "attention_unit": lambda config: AttentionUnit(
        _attention(config), ceil_log2(config.flash.pages), config.kv.tiles_ahead
    ),
    "channel_controller": _controller,
    "chip": Chip,
    "flash_channel": lambda config: FlashChannel(config.flash),
    "link_end": lambda config: LinkEnd(config.fabric.payload_bits, Protection()),
    "mac_slice": lambda config: MacSlice(config, ceil_log2(config.flash.pages)),
    "normalise": _normalise,
    "placed_slice": lambda config: PlacedSlice(config, ceil_log2(config.flash.pages)),
    "kv_appender": lambda config: KvAppender(_attention(config), ceil_log2(config.flash.pages)),
    "page_evictor": _evictor,
    "quantiser": _quantiser,
    "reduction_node": _reduction_node,
    "residual_add": ResidualAdd,
    "root_mean_square": RootMeanSquare,
    # The tables of keys, and of queries of heads of 64 or 128 elements.
    "rotation": lambda config: Rotation(config, 14, 17),
    "mesh_router": _mesh_router,
    "router": _router,
    "silu_gate": SiluGate,
    "softmax": Softmax,
    "softmax_finish": SoftmaxFinish,
    "softmax_merge": lambda config: SoftmaxMerge(config, config.flash.channels),
    "token_chip": _with_decoder(TokenChip),
    "token_decoder": _with_decoder(TokenDecoder),
    "vault_controller": _vault,
}

_SMALL_HOST = "flash.host={zones=2, pages_a_block=8, units=2, reads=8, writes=8}"
SMALL: Mapping[str, tuple[str, tuple[str, ...]]] = dict.fromkeys(BLOCKS, ("tiny", ())) | {
    "channel_controller": ("tiny", (_SMALL_HOST,)),
    "page_evictor": ("stack", ()),
    "token_chip": ("decoder-tiny", ()),
    "token_decoder": ("decoder-tiny", ()),
    "vault_controller": ("stack", ()),
}
"""A small configuration of each: a preset and what stands in place of its own keys."""


BlocksArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[BLOCK]...", help=f"Any of: {', '.join(BLOCKS)}."),
]
"""Blocks of a command that has a list of its own without any."""


def make_block(name: str, config: Config) -> wiring.Component:
    """A block of a configuration.

    Raises:
        InputError: if there is no such block.
    """
    check_blocks([name])
    return BLOCKS[name](config)


def check_blocks(names: Iterable[str]) -> None:
    """Refuses a block that there is not.

    Raises:
        InputError: naming it and those that there are.
    """
    for name in names:
        if name not in BLOCKS:
            raise InputError(f"{name}: no such block; known: {', '.join(BLOCKS)}")
