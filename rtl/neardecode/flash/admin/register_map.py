"""The registers of a channel as data: where they stand, their fields, what they hold after reset.

Source: OCP HBF v0.7.0, section 5.9 with tables 15 and 16; what it leaves to the product is in
``REGISTERS.md``.
"""

from collections.abc import Iterable

from amaranth.utils import exact_log2

from neardecode.config import Flash, Host
from neardecode.flash.admin.register import Access, Field, Register
from neardecode.flash.admin.timers import UNITS_NS, VALUE_BITS, timer_setting
from neardecode.flash.blocks.ports import COUNT_BITS

__all__ = [
    "ERROR_ENTRIES",
    "RESET_KEY",
    "SMART_BYTES",
    "WARM_RESET",
    "register_map",
]

RESET_KEY = 0x484246
"""What ``BUCR.BUCRC`` must be written with: "HBF"."""
WARM_RESET = 0b10
"""The type of reset that the controller has."""
ERROR_ENTRIES = 16
"""Errors that the error log keeps."""
SMART_BYTES = 128
"""Bytes of the smart log."""

VENDOR_ID, DEVICE_ID, REVISION_ID = 0x4E44, 0x4846, 0x00000001

_GRADES = ((24.0, 0x1), (96.0, 0x2), (192.0, 0x4))
"""Speed grades of table 4: GB/s of a channel, and the code of its UCIe speed."""
_SIZES = (64, 256, 512, 4096)
"""Sizes of a transaction, by their code."""
_HOST_WEAR_LEVELLING = 0b10
_INTERRUPTS = ("ERROR", "THERMAL", "RETIRED")


def register_map(config: Flash, clock_ghz: float) -> tuple[Register, ...]:
    """The registers of a channel with a host port.

    Raises:
        ValueError: if ``config`` has no host, or more pages than ``FIOSZ`` can tell.
    """
    if config.host is None:
        raise ValueError("config must have a host")
    bandwidth = config.beat_bytes * clock_ghz
    # Whatever the clock, a link runs at least at the lowest speed.
    grades = [code for least, code in _GRADES if least <= bandwidth] or [_GRADES[0][1]]
    return (
        *_always_on(config, config.host, grades[-1]),
        *_vendor(config, config.host),
        *_mmio(config, config.host, len(grades)),
        *_timers(config.host),
    )


def _always_on(config: Flash, host: Host, speed: int) -> tuple[Register, ...]:
    """Table 15."""
    scratchpad = _size_code(min(64 * config.beat_bytes, host.scratchpad_bytes))
    flash = _size_code(config.page_bytes)
    return (
        _always_on_dword(
            0x000,
            "ID",
            _constant("DEVICE", 16, 16, DEVICE_ID),
            _constant("VENDOR", 0, 16, VENDOR_ID),
        ),
        _always_on_dword(
            0x004,
            "STS",
            _live("SPR", 7, 1),
            _constant("CSR", 6, 1, 1),
            _live("ISR", 5, 1),
            _constant("CAPL", 4, 1, 0),
            _constant("IR", 0, 1, 1),
        ),
        _always_on_dword(0x008, "RID", _constant("RID", 0, 32, REVISION_ID)),
        Register("MADDR", False, 0x010, 8, (_setting("MADDR", 0, 32, 0),)),
        Register(
            "PWR",
            False,
            0x018,
            8,
            (
                _constant("EXT", 32, 32, 0xFFFFFFFF),
                _setting("PMCSR", 16, 16, 0),
                _setting("PMC", 0, 16, 0),
            ),
        ),
        Register(
            "UCONFIG",
            False,
            0x058,
            64,
            (
                _constant("SPEED", 8, 8, speed),
                _constant("PORTS", 0, 2, 0),
            ),
        ),
        Register(
            "CAP",
            False,
            0x098,
            256,
            (
                _constant("POWER", 20, 4, 0),
                _constant("RESETS", 16, 4, 1 << WARM_RESET),
                _constant("SPRMAX", 14, 2, scratchpad),
                _constant("SPWMAX", 12, 2, scratchpad),
                _constant("SPRMIN", 10, 2, 0),
                _constant("SPWMIN", 8, 2, 0),
                _constant("RMAX", 6, 2, flash),
                _constant("WMAX", 4, 2, flash),
                _constant("RMIN", 2, 2, 0),
                _constant("WMIN", 0, 2, 0),
            ),
        ),
        _always_on_dword(
            0x200, "VPR", _constant("POINTER", 16, 16, 0), _constant("COUNT", 0, 16, 0)
        ),
    )


def _vendor(config: Flash, host: Host) -> tuple[Register, ...]:
    """VCONFIG: interrupts, what section 5.7 wants the host to read, and counts of blocks."""
    geometry = {
        "DIES": config.dies,
        "BANKS": config.banks_a_die,
        "BLOCKPAGES": host.pages_a_block,
        "PAGEUNITS": config.page_bytes // 64,
        "STRIPE": config.banks,
        "BLOCKS": config.blocks_a_bank,
        "ZONES": host.zones,
        "UNITS": host.units,
    }
    return (
        _always_on_dword(
            0x204,
            "ICAUSE",
            *(Field(name, bit, 1, Access.CLEAR) for bit, name in enumerate(_INTERRUPTS)),
        ),
        _always_on_dword(
            0x208, "IENABLE", *(_setting(name, bit, 1, 0) for bit, name in enumerate(_INTERRUPTS))
        ),
        *(
            _always_on_dword(0x20C + 4 * place, name, _constant(name, 0, 32, value))
            for place, (name, value) in enumerate(geometry.items())
        ),
        # What the host levels wear by.
        _always_on_dword(
            0x22C, "BLOCK", _setting("BLOCK", 0, exact_log2(config.banks * config.blocks_a_bank), 0)
        ),
        _always_on_dword(0x230, "BLKRC", _live("BLKRC", 0, COUNT_BITS)),
        _always_on_dword(0x234, "BLKPEC", _live("BLKPEC", 0, COUNT_BITS)),
        _always_on_dword(0x238, "ZONE", _setting("ZONE", 0, exact_log2(host.zones), 0)),
        _always_on_dword(0x23C, "ZONEPEC", _live("ZONEPEC", 0, COUNT_BITS)),
    )


def _mmio(config: Flash, host: Host, grades: int) -> tuple[Register, ...]:
    """Table 16 without its timers."""
    # 2 ** (code + 1) commands, and never more than there are entries for.
    commands = (host.reads + host.writes).bit_length() - 2
    units = config.pages * config.page_bytes // 4096
    if units >= 1 << 32:
        raise ValueError(f"a channel must have less than 2**32 units of 4 KiB, not {units}")
    smart = -(-SMART_BYTES // config.beat_bytes) * config.beat_bytes
    return (
        Register(
            "BUCCAP",
            True,
            0x000,
            8,
            (
                _constant("NCDU", 40, 4, config.dies.bit_length() - 1),
                _constant("NCBB", 36, 4, 1),
                _constant("MOCS", 32, 4, commands),
                _constant("TO", 24, 8, 1),
                _constant("SSG", 16, 8, (1 << grades) - 1),
                _constant("BCS", 8, 2, 0b11),
                _constant("WLS", 6, 2, _HOST_WEAR_LEVELLING),
                _constant("SECS", 5, 1, 0),
                _constant("SMEMS", 4, 1, 1),
                _constant("VER", 0, 4, 1),
            ),
        ),
        _dword(0x008, "VS", _constant("MJR", 16, 16, 0), _constant("MNR", 0, 16, 7)),
        _dword(
            0x00C,
            "BUCC",
            _setting("MOCS", 24, 4, commands, range(commands + 1)),
            _setting("SSG", 16, 8, 1 << (grades - 1), [1 << grade for grade in range(grades)]),
            _setting("WLS", 6, 2, 0, (0, _HOST_WEAR_LEVELLING)),
            _setting("EN", 0, 1, 0),
        ),
        _dword(0x010, "BUCSTS", _live("SHST", 2, 2), _live("BUCFS", 1, 1), _live("RDY", 0, 1)),
        _dword(0x014, "BUCR", Field("BUCRC", 8, 24, Access.TRIGGER), _setting("UCRST", 0, 2, 0)),
        _dword(0x018, "TMON", _live("LTMS", 1, 1), Field("CES", 0, 1, Access.CLEAR)),
        Register("SMEMSA", True, 0x01C, 8, (_constant("SMEMSA", 6, 58, 0),)),
        Register(
            "SMEMSZ", True, 0x024, 16, (_constant("SMEMSZA1", 0, 32, host.scratchpad_bytes // 64),)
        ),
        Register("FIOSA", True, 0x034, 8, (_constant("FIOSA", 12, 52, 0),)),
        Register("FIOSZ", True, 0x03C, 16, (_constant("FIOSZA1", 0, 32, units),)),
        Register(
            "SMSZ", True, 0x04C, 8, (_constant("SIZE", 32, 32, smart), _constant("REV", 0, 16, 1))
        ),
        Register(
            "VSTSZ", True, 0x054, 8, (_constant("SIZE", 40, 24, 0), _constant("KEPT", 32, 8, 0))
        ),
        Register(
            "ESZ",
            True,
            0x05C,
            8,
            (
                _constant("SIZE", 32, 16, config.beat_bytes),
                _constant("REV", 0, 16, 1),
            ),
        ),
        _dword(0x064, "ENC", _constant("HBF", 0, 16, ERROR_ENTRIES)),
        _dword(0x140, "LOCKOUT", _constant("LOCKOUT", 0, 32, 0)),
        _dword(0x144, "MAXPEC", _live("MAXPEC", 0, 32)),
        _dword(0x148, "AVGPEC", _live("AVGPEC", 0, 32)),
        _dword(0x14C, "REDCAP", _live("REDCAP", 0, 1)),
        # In half degrees above 60 C: released at 85, light from 95 on, severe from 105 on.
        _dword(
            0x150,
            "TTTEMP",
            _setting("STE", 23, 1, 1),
            _setting("STT", 16, 7, 90),
            _setting("LTE", 15, 1, 1),
            _setting("LTT", 8, 7, 70),
            _setting("RTT", 0, 7, 50),
        ),
    )


def _timers(host: Host) -> tuple[Register]:
    """The two timers of the controller: of accumulated reads and of gathered writes."""
    fields: list[Field] = []
    for place, time_ns in enumerate((host.accumulate_ns, host.gather_ns)):
        value, unit = timer_setting(time_ns)
        fields += [
            _setting(f"VALUE{place}", 32 * place + 8, VALUE_BITS, value),
            _setting(f"UNIT{place}", 32 * place, 8, unit, range(len(UNITS_NS))),
        ]
    return (Register("TMR", True, 0x100, 64, tuple(fields)),)


def _always_on_dword(offset: int, symbol: str, *fields: Field) -> Register:
    return Register(symbol, False, offset, 4, fields)


def _dword(offset: int, symbol: str, *fields: Field) -> Register:
    return Register(symbol, True, offset, 4, fields)


def _constant(name: str, low: int, width: int, value: int) -> Field:
    return Field(name, low, width, Access.CONSTANT, value)


def _live(name: str, low: int, width: int) -> Field:
    return Field(name, low, width, Access.STATUS)


def _setting(name: str, low: int, width: int, reset: int, legal: Iterable[int] = ()) -> Field:
    return Field(name, low, width, Access.SETTING, reset, tuple(legal))


def _size_code(size: int) -> int:
    """The largest size of a transaction that is not more than ``size``."""
    return max([code for code, least in enumerate(_SIZES) if least <= size], default=0)
