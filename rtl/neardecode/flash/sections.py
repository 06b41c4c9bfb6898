"""Sections of a configuration that a part cannot do without."""

from neardecode.config import Flash, Host
from neardecode.lib.bch import BchCode

__all__ = ["flash_code", "host_of"]


def host_of(config: Flash) -> Host:
    """The host's section.

    Raises:
        ValueError: if there is none.
    """
    if config.host is None:
        raise ValueError("config must have host")
    return config.host


def flash_code(config: Flash) -> BchCode:
    """The code over the pages of a channel that has one."""
    if config.ecc is None:
        raise ValueError("config must have ecc")
    return BchCode(config.ecc.codeword_bytes, config.ecc.correctable, config.beat_bytes)
