"""The registers of a decoder's host port, and their bits."""

import enum

__all__ = ["IDENTITY", "Control", "Doorbell", "Interrupt", "Register", "Status"]

IDENTITY = 0x4E44_4301
"""What `Register.IDENTITY` reads: "ND", decoder, version 1."""


class Register(enum.IntEnum):
    """Where registers stand, in bytes."""

    IDENTITY = 0x00
    """Reads `IDENTITY`."""
    CONTROL = 0x04
    """`Control`; reads what was written."""
    STATUS = 0x08
    """`Status`; only reads."""
    INTERRUPTS = 0x0C
    """`Interrupt`; a one that is written clears its bit."""
    ENABLED = 0x10
    """Which bits of INTERRUPTS raise the interrupt."""
    DOORBELL = 0x14
    """`Doorbell`; only written. An error while no place is free."""
    GENERATE = 0x18
    """Tokens to find for each prompt, 16 bits, at least 1."""
    TOKEN = 0x1C
    """The oldest token found, taken by reading. An error while there is none."""
    POSITION = 0x20
    """Of the token that is being read, or would be next."""
    SATURATED_AT = 0x24
    """The position at which a value was first clamped since reset; see STATUS."""
    UNREAD_AT = 0x28
    """The position at which a page could not be read, for the first time since reset."""
    COUNTER = 0x2C
    """Which counter is read."""
    COUNT_LOW = 0x30
    """Its lower 32 bits; the upper ones are kept for COUNT_HIGH."""
    COUNT_HIGH = 0x34
    """The upper bits of the count that COUNT_LOW read."""
    PLACE = 0x38
    """Where the next descriptor goes; moves on by one behind each."""
    CHIP = 0x3C
    """Which of several chips the next descriptor goes to; writing it sets PLACE to 0. Of one chip
    there is no such register."""
    DESCRIPTOR = 0x40
    """The words of a descriptor, the lowest first, to 0x7C; writing the last stores it."""


class Control(enum.IntFlag):
    """Bits of `Register.CONTROL`."""

    RUN = 1
    """The program is loaded."""
    COUNT = 2
    """Counters run."""


class Status(enum.IntFlag):
    """Bits of `Register.STATUS`."""

    IDLE = 1
    """The decoder waits for a prompt."""
    FOUND = 2
    """A token can be read."""
    ROOM = 4
    """The doorbell has a free place."""
    SATURATED = 8
    """A value was clamped since reset."""
    UNREAD = 16
    """A page could not be read since reset."""


class Interrupt(enum.IntFlag):
    """Bits of `Register.INTERRUPTS`."""

    FOUND = 1
    """A token was found."""
    FAULT = 2
    """A value was clamped, or a page could not be read, for the first time since reset."""


class Doorbell(enum.IntFlag):
    """Bits of `Register.DOORBELL` above the token's id."""

    FIRST = 1 << 30
    """A sequence begins with it."""
    LAST = 1 << 31
    """The prompt ends with it: the decoder goes on by itself."""
