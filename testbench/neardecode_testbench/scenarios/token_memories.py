"""The memories of a board that decodes, as the compiler fills them."""

from collections.abc import Sequence

from neardecode.config import Config
from neardecode_testbench.drive.stimulus import Storage
from neardecode_testbench.reference.compiler import TokenImage

__all__ = ["token_memories"]


def token_memories(config: Config, images: Sequence[TokenImage]) -> list[Storage]:
    """What stands behind a `TokenBoard`: flash as it is, and a copy of each vault, which changes.

    Args:
        config: The board's.
        images: What the compiler made, a chip each.
    """
    beat_bytes = config.flash.beat_bytes
    channels = [memory for image in images for memory in image.flash]
    vaults = [vault.copy() for image in images for vault in image.vaults]
    return [
        Storage(f"storage__{channel}", memory, beat_bytes)
        for channel, memory in enumerate(channels)
    ] + [
        Storage(f"{port}__{number}", vault, beat_bytes, writable=port == "stores")
        for number, vault in enumerate(vaults)
        for port in ("stored", "stores")
    ]
