"""The flash channels: geometry, timing, error correction, the host's port, repair.

Source: OCP HBF base-die specification v0.7.0, sections 4, 4.6, 5.2 and 5.4, for geometry and port;
tR, tPROG, tBERS, the code and the bus to the core dies are not in it and are ours.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat, PageLayout, page_layout
from neardecode.config.section import Section, power_of_two

__all__ = ["Ecc", "Flash", "Host", "Repair"]


class Ecc(Section):
    """The BCH code over the pages, and the hardware that corrects with it."""

    correctable: Annotated[int, Field(ge=4, le=64)] = 64
    """t, the bit errors that are corrected in a codeword."""
    codeword_bytes: Annotated[int, Field(ge=64)] = 1024
    """Bytes of data in a codeword; a page is whole codewords."""
    engines: Annotated[int, Field(ge=1, le=64)] = 4
    """Codewords that are corrected at a time."""
    retry_stages: Annotated[int, Field(ge=0, le=7)] = 7
    """Read-retry stages beyond the first read."""

    @property
    def field_bits(self) -> int:
        """m of the field GF(2^m): the smallest whose code is long enough."""
        m = 3
        while (1 << m) - 1 < 8 * self.codeword_bytes + m * self.correctable:
            m += 1
        return m

    @property
    def parity_bits(self) -> int:
        """Parity bits of a codeword, beside its data."""
        return self.field_bits * self.correctable

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not power_of_two(self.codeword_bytes):
            raise ValueError(f"codeword_bytes must be a power of two, not {self.codeword_bytes}")
        return self


class Repair(Section):
    """Spare TSVs between base die and core dies."""

    groups: Annotated[int, Field(ge=1, le=64)] = 8
    """Groups of data lanes, each with its own spares."""
    spares: Annotated[int, Field(ge=1, le=4)] = 1
    """Spare lanes of a group."""


class Host(Section):
    """The host's AXI port, and what stands behind it: writes, blocks, admin, scratchpad."""

    id_bits: Annotated[int, Field(ge=1, le=14)] = 14
    """Bits of an AXI id."""
    reads: Annotated[int, Field(ge=2, le=4096)] = 64
    """Most reads outstanding; a power of two."""
    writes: Annotated[int, Field(ge=2, le=4096)] = 64
    """Most writes outstanding; a power of two."""
    units: Annotated[int, Field(ge=2, le=64)] = 8
    """Most pages that are gathered or programmed at a time; a power of two."""
    pages_a_block: Annotated[int, Field(ge=4)] = 512
    """Pages of a NAND block; 512 make one of 2 MiB."""
    spare_blocks: Annotated[int, Field(ge=1)] = 2
    """NAND blocks that a bank has beyond its capacity, to replace bad ones."""
    zones: Annotated[int, Field(ge=2, le=32)] = 16
    """Zones that can be remapped, each a whole number of blocks of every bank."""
    scratchpad_bytes: Annotated[int, Field(ge=1024)] = 65536
    """SRAM that the host uses as it likes."""
    accumulate_ns: Annotated[float, Field(ge=0, le=1e6)] = 20.0
    """How long a regular read waits for others, after reset."""
    gather_ns: Annotated[float, Field(gt=0, le=1e9)] = 1e6
    """How long a page may take to be written completely, after reset."""


class Flash(Section):
    """The flash channels and the NAND core dies behind them."""

    channels: Annotated[int, Field(ge=1, le=16)] = 1
    """Independent host channels."""
    dies: Annotated[int, Field(ge=1, le=16)] = 4
    """Core dies a channel."""
    banks_a_die: Annotated[int, Field(ge=1, le=64)] = 16
    """Banks a core die; consecutive pages stripe across banks first, then dies."""
    page_bytes: int = 4096
    """Bytes of a page, the unit of a sense."""
    beat_bytes: int = 64
    """Bytes that cross the core-die bus, and any stream of data, in one cycle."""
    pages_a_bank: Annotated[int, Field(ge=2)] = 131072
    """Pages of a bank that the host can address."""
    queue_pages: Annotated[int, Field(ge=4, le=16)] = 4
    """Pages of a bank that are buffered, being sensed or waiting for it; a power of two."""
    sense_ns: Annotated[float, Field(gt=0, le=1e6)] = 4000.0
    """tR, from the sense command until the page stands in the sense latch."""
    program_ns: Annotated[float, Field(gt=0, le=1e7)] = 75_000.0
    """tPROG, from the last beat of a page until it is programmed."""
    erase_ns: Annotated[float, Field(gt=0, le=1e8)] = 1_000_000.0
    """tBERS, from the erase command until the block is erased."""
    ecc: Ecc | None = None
    """Error correction; without it the controller carries none of it."""
    repair: Repair | None = None
    """Lane repair; without it a lane that sticks corrupts data."""
    host: Host | None = None
    """The host's port; without it the channel only reads, for the slice behind it."""

    @property
    def banks(self) -> int:
        """Banks of a channel, over all its dies."""
        return self.dies * self.banks_a_die

    @property
    def pages(self) -> int:
        """Pages of a channel."""
        return self.banks * self.pages_a_bank

    @property
    def page_beats(self) -> int:
        """Beats of a page."""
        return self.page_bytes // self.beat_bytes

    @property
    def blocks_a_bank(self) -> int:
        """NAND blocks of a bank that the host can address."""
        return 0 if self.host is None else self.pages_a_bank // self.host.pages_a_block

    @property
    def rows(self) -> int:
        """Pages that a bank has, those of its spare blocks included."""
        spare = 0 if self.host is None else self.host.spare_blocks * self.host.pages_a_block
        return self.pages_a_bank + spare

    @property
    def side_bytes(self) -> int:
        """Bytes of parity that cross the core-die bus beside a beat."""
        if self.ecc is None:
            return 0
        beats = self.ecc.codeword_bytes // self.beat_bytes
        return -(-self.ecc.parity_bits // (8 * beats))

    @property
    def stored_bytes(self) -> int:
        """Bytes of a beat with its parity, as the core dies keep it."""
        return self.beat_bytes + self.side_bytes

    @property
    def lanes(self) -> int:
        """Data lanes of the core-die bus in one direction, spares included."""
        spares = 0 if self.repair is None else self.repair.groups * self.repair.spares
        return 8 * self.stored_bytes + spares

    def layout(self, block_format: BlockFormat, *, gaps: bool = False) -> PageLayout:
        """Where the blocks of a format lie in a page; with ``gaps``, one without beats of zeros."""
        return page_layout(block_format, self.page_bytes, self.beat_bytes, gaps=gaps)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in (
            *("dies", "banks_a_die", "pages_a_bank", "page_bytes", "beat_bytes", "queue_pages"),
        ):
            if not power_of_two(getattr(self, name)):
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if self.beat_bytes < BLOCK_ELEMENTS:
            raise ValueError(f"beat_bytes must be at least {BLOCK_ELEMENTS}, not {self.beat_bytes}")
        if self.page_bytes < 4 * self.beat_bytes:
            raise ValueError(
                f"page_bytes must be at least four beats of {self.beat_bytes},"
                f" not {self.page_bytes}"
            )
        if self.ecc is not None:
            self._check_ecc(self.ecc)
        if self.repair is not None and 8 * self.stored_bytes % self.repair.groups:
            raise ValueError(
                f"repair.groups must divide the {8 * self.stored_bytes} lanes,"
                f" not {self.repair.groups}"
            )
        if self.host is not None:
            self._check_host(self.host)
        return self

    def _check_ecc(self, ecc: Ecc) -> None:
        if not 2 * self.beat_bytes <= ecc.codeword_bytes <= self.page_bytes:
            raise ValueError(
                f"ecc.codeword_bytes must be from two beats of {self.beat_bytes} to a page of"
                f" {self.page_bytes}, not {ecc.codeword_bytes}"
            )

    def _check_host(self, host: Host) -> None:
        for name in ("reads", "writes", "units", "pages_a_block", "zones", "scratchpad_bytes"):
            if not power_of_two(getattr(host, name)):
                raise ValueError(f"host.{name} must be a power of two, not {getattr(host, name)}")
        if self.blocks_a_bank < host.zones:
            raise ValueError(
                f"host.zones must be at most the {self.blocks_a_bank} blocks of a bank,"
                f" not {host.zones}"
            )
        if self.page_beats > 64:
            raise ValueError(f"page_bytes must be at most 64 beats, not {self.page_beats}")
