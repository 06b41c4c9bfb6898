"""Frozen, validated parameters of the hardware; the only package that everything may import."""

from neardecode.config.causes import (
    AttentionCause,
    ChannelCause,
    ChannelEvent,
    DecoderCause,
    LinkCause,
    OffStackCause,
    ProtectedLinkCause,
    ProtectedLinkEvent,
    ReductionCause,
    RouterCause,
    SliceCause,
    SoftmaxCause,
    VaultCause,
    VaultEvent,
)
from neardecode.config.changes import merged, with_changes
from neardecode.config.compute import TAG_BITS, Compute
from neardecode.config.decoder import KEY_TURN_FRACTION_BITS, Decoder
from neardecode.config.fabric import Fabric
from neardecode.config.flash import Ecc, Flash, Host, Repair
from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat, PageLayout, page_layout
from neardecode.config.kv import MOST_TILES_AHEAD, Kv, KvMap
from neardecode.config.link import Protection
from neardecode.config.models import Config, Decode
from neardecode.config.off_stack import OffStack
from neardecode.config.presets import PRESETS
from neardecode.config.program import Operation, Target, descriptor_bits, table_row_beats
from neardecode.config.stack import Heat, HeatConstants, Stack, StackCycles, Timings
from neardecode.config.toml import ConfigError, dumps, load, loads
from neardecode.config.vector import Vector

__all__ = [
    "BLOCK_ELEMENTS",
    "KEY_TURN_FRACTION_BITS",
    "MOST_TILES_AHEAD",
    "PRESETS",
    "TAG_BITS",
    "AttentionCause",
    "BlockFormat",
    "ChannelCause",
    "ChannelEvent",
    "Compute",
    "Config",
    "ConfigError",
    "Decode",
    "Decoder",
    "DecoderCause",
    "Ecc",
    "Fabric",
    "Flash",
    "Heat",
    "HeatConstants",
    "Host",
    "Kv",
    "KvMap",
    "LinkCause",
    "OffStack",
    "OffStackCause",
    "Operation",
    "PageLayout",
    "ProtectedLinkCause",
    "ProtectedLinkEvent",
    "Protection",
    "ReductionCause",
    "Repair",
    "RouterCause",
    "SliceCause",
    "SoftmaxCause",
    "Stack",
    "StackCycles",
    "Target",
    "Timings",
    "VaultCause",
    "VaultEvent",
    "Vector",
    "descriptor_bits",
    "dumps",
    "load",
    "loads",
    "merged",
    "page_layout",
    "table_row_beats",
    "with_changes",
]
