"""The memories of a board that decodes, as the compiler fills them."""

from neardecode.config import Config
from neardecode_testbench.drive.stimulus import Storage
from neardecode_testbench.reference.compiler import TokenImage

__all__ = ["token_memories"]


def token_memories(config: Config, image: TokenImage) -> list[Storage]:
    """What stands behind a `TokenBoard`: flash as it is, and a copy of each vault, which changes.

    Args:
        config: The board's.
        image: What the compiler made.
    """
    beat_bytes = config.flash.beat_bytes
    vaults = [vault.copy() for vault in image.vaults]
    return [
        Storage(f"storage__{channel}", memory, beat_bytes)
        for channel, memory in enumerate(image.flash)
    ] + [
        Storage(f"{port}__{number}", vault, beat_bytes, writable=port == "stores")
        for number, vault in enumerate(vaults)
        for port in ("stored", "stores")
    ]
