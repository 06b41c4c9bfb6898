"""What a command is, and how it ended: the encodings of the host's user fields.

Source: OCP HBF v0.7.0, tables 8, 9, 12 and 13, and section 5.2.4.
"""

from amaranth.lib import enum

__all__ = [
    "AdminStatus",
    "Opcode",
    "PacketType",
    "ReadStatus",
    "Retired",
    "WriteStatus",
]


class PacketType(enum.Enum, shape=2):
    """What a command is for: bits 1:0 of every user field."""

    FLASH = 0
    SCRATCHPAD = 1
    ADMIN = 2
    RESERVED = 3


class ReadStatus(enum.Enum, shape=4):
    """How a read of flash or scratchpad ended: ``ruser[5:2]``."""

    OK = 0
    INVALID_ADDRESS = 1
    RESTRICTED = 2
    INVALID_USER = 3
    UNCORRECTABLE = 4
    CORRECTED = 5
    RETRY = 6
    ERASED = 7
    RETIRED = 8
    BLOCKED = 9
    PENDING_WRITE = 10
    NOT_ENABLED = 13
    """Vendor-specific: ``BUCC.EN`` is not set."""


class WriteStatus(enum.Enum, shape=4):
    """How a write of flash or scratchpad ended: ``buser[5:2]``."""

    OK = 0
    INVALID_ADDRESS = 1
    OVERLAP = 2
    INVALID_USER = 3
    TOO_MANY_UNITS = 4
    TIMEOUT = 5
    ORDER = 6
    PROGRAM_FAILED = 7
    RETIRED = 8
    BLOCKED = 9
    NOT_ENABLED = 13
    """Vendor-specific: ``BUCC.EN`` is not set."""


class Retired(enum.Enum, shape=3):
    """What was retired: the information beside status 8."""

    BLOCK = 1
    BANK = 2
    DIE = 3
    CHANNEL = 4


class AdminStatus(enum.Enum, shape=4):
    """How an admin command ended; what 1 to 3 mean depends on the opcode."""

    OK = 0
    INVALID_FIELD = 1
    INVALID_VALUE = 2
    DENIED = 3
    INTERNAL = 4
    UNSUPPORTED = 5
    """Product-specific: the opcode is not one that the controller has."""


class Opcode(enum.Enum, shape=8):
    """Bits 7:0 of an admin command's address."""

    SET_FEATURE = 0x01
    GET_FEATURE = 0x02
    SECURE_ERASE = 0x03
    GET_LOG_PAGE = 0x04
    BIST = 0x07
    ZONE_REMAPPING = 0x08
    READ_UCIE_ERRORS = 0x09
    REDUCED_CAPACITY = 0x0A
    REGISTER = 0x20
