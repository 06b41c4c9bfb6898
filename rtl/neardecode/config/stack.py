"""The 3-D stack: DRAM vaults, their timings, their TSVs, and how they heat.

Source of the timings: the HBM3 device of Ramulator 2 (CMU-SAFARI/ramulator2,
src/dram/impl/HBM3.cpp, timing preset HBM3_2Gbps, whose cycle is 1 ns; tRFC of its 4 Gb density), of
tRRD, tWTR and tRTP the longer one, which holds within a bank group too. Its columns follow each
other in 1 cycle, or 2 within a bank group: the same here, of a clock of 1.6 GHz.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neardecode.config.flash import Repair
from neardecode.config.section import Section, power_of_two

__all__ = ["Heat", "HeatConstants", "Stack", "StackCycles", "Timings"]

Nanoseconds = Annotated[float, Field(gt=0, le=1e6)]

POSTPONED_LIMIT = 8
"""Refreshes that a DRAM lets wait (as JEDEC's do): the next is due one interval later."""


class Timings(Section):
    """Timings of the DRAM dies, in nanoseconds."""

    rcd_ns: Nanoseconds = 7.0
    """tRCD, activate to column command."""
    rp_ns: Nanoseconds = 7.0
    """tRP, precharge to activate or refresh."""
    cl_ns: Nanoseconds = 7.0
    """CL, read command to its data."""
    cwl_ns: Nanoseconds = 2.0
    """CWL, write command to its data."""
    ras_ns: Nanoseconds = 17.0
    """tRAS, activate to precharge."""
    rc_ns: Nanoseconds = 19.0
    """tRC, activate to activate of a bank."""
    ccd_s_ns: Nanoseconds = 0.625
    """tCCD_S, column command to column command."""
    ccd_l_ns: Nanoseconds = 1.25
    """tCCD_L, the same within a bank group."""
    rrd_ns: Nanoseconds = 3.0
    """tRRD, activate to activate or refresh of another bank."""
    faw_ns: Nanoseconds = 15.0
    """tFAW, in which there are at most four activates."""
    wr_ns: Nanoseconds = 8.0
    """tWR, end of written data to precharge."""
    wtr_ns: Nanoseconds = 4.0
    """tWTR, end of written data to read command."""
    rtp_ns: Nanoseconds = 3.0
    """tRTP, read command to precharge."""
    refi_ns: Nanoseconds = 3900.0
    """tREFI, in which every bank is refreshed once; half of it above 85 C."""
    rfc_ns: Nanoseconds = 260.0
    """tRFC, what refreshing all banks takes."""
    rfc_bank_ns: Nanoseconds = 160.0
    """tRFC of one bank."""
    refresh_gap_ns: Nanoseconds = 8.0
    """tRREFD, refresh of a bank to activate or refresh of another."""


@dataclass(frozen=True)
class StackCycles:
    """The timings in cycles; `Timings` says what each is."""

    rcd: int
    rp: int
    cl: int
    cwl: int
    ras: int
    rc: int
    ccd_s: int
    ccd_l: int
    rrd: int
    faw: int
    wr: int
    wtr: int
    rtp: int
    refi: int
    rfc: int
    rfc_bank: int
    refresh_gap: int

    @classmethod
    def of(cls, timings: Timings, cycles: Callable[[float], int]) -> Self:
        """The cycles of timings, by what turns nanoseconds into them."""
        return cls(**{name.removesuffix("_ns"): cycles(value) for name, value in timings})

    @property
    def read_to_write(self) -> int:
        """Read command to write command: its data leaves the bus, and two cycles pass."""
        return max(1, self.cl + 3 - self.cwl)

    @property
    def write_to_read(self) -> int:
        """Write command to read command."""
        return self.cwl + 1 + self.wtr

    @property
    def write_to_precharge(self) -> int:
        """Write command to precharge of its bank."""
        return self.cwl + 1 + self.wr


class Heat(Section):
    """A vault's thermal node, its energies, and when it slows."""

    ambient_c: Annotated[float, Field(ge=0, le=120)] = 45.0
    """Temperature without activity."""
    resistance_k_a_w: Annotated[float, Field(gt=0, le=1000)] = 8.0
    """Thermal resistance of a vault to ambient."""
    time_constant_us: Annotated[float, Field(gt=0, le=1e6)] = 1000.0
    """Time constant of the node."""
    beat_pj: Annotated[float, Field(ge=0, le=1e6)] = 1800.0
    """Energy of a beat read or written, TSVs and column."""
    activate_pj: Annotated[float, Field(ge=0, le=1e6)] = 900.0
    """Energy of an activate with its precharge, a row."""
    refresh_pj: Annotated[float, Field(ge=0, le=1e6)] = 20_000.0
    """Energy of the refresh of a bank."""
    hot_c: Annotated[float, Field(ge=0, le=125)] = 85.0
    """Above it, refresh runs at twice the rate."""
    throttle_c: Annotated[float, Field(ge=0, le=125)] = 95.0
    """Above it, the slice begins to be slowed."""
    step_c: Annotated[float, Field(ge=0.5, le=32)] = 1.0
    """Each so much above that takes one more of 16 cycles."""
    hysteresis_c: Annotated[float, Field(ge=0.5, le=32)] = 2.0
    """A step is given back when it is so much cooler than where it was taken."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.throttle_c + 15 * self.step_c > 127:
            raise ValueError(
                f"throttle_c must leave 15 steps of {self.step_c} below 127 C,"
                f" not {self.throttle_c}"
            )
        return self


@dataclass(frozen=True)
class HeatConstants:
    """The thermal constants of a vault as integers; temperatures in half degrees above 0 C.

    Attributes:
        weights: What a beat, an activate and a refresh command add, in 2^-24 half degrees.
        window: Cycles in which 2^-8 of the excess over ambient leaks away.
        ambient, hot, throttle, step, hysteresis: As in `Heat`.
    """

    weights: tuple[int, int, int]
    window: int
    ambient: int
    hot: int
    throttle: int
    step: int
    hysteresis: int


class Stack(Section):
    """The vaults of a 3-D stack; each has its own TSVs, controller and banks.

    A page is a row in one bank of every bank group, its beats in turn from each group, so that
    columns of a page follow each other in tCCD_S. Consecutive pages stripe over the banks.
    """

    vaults: Annotated[int, Field(ge=1, le=64)] = 8
    """Independent vaults."""
    bank_groups: Annotated[int, Field(ge=2, le=8)] = 4
    """Bank groups of a vault."""
    banks_a_group: Annotated[int, Field(ge=2, le=64)] = 8
    """Banks of a group; 8 are those of an HBM3 stack of 8 dies."""
    page_bytes: int = 4096
    """Bytes of a page, the unit of a request; 4096 over 4 groups is HBM3's row of 1 KiB."""
    beat_bytes: int = 64
    """Bytes that cross a vault's TSVs in one cycle, and of a column command."""
    pages_a_bank: Annotated[int, Field(ge=2)] = 32768
    """Rows of a bank, so pages of a bank of every group."""
    timings: Timings = Timings()
    """Of the DRAM."""
    refresh: Literal["all-bank", "by-bank"] = "by-bank"
    """How it is refreshed."""
    postponed: Annotated[int, Field(ge=1, le=POSTPONED_LIMIT - 1)] = 4
    """Refreshes that may wait for idle banks before one is forced."""
    queue: Annotated[int, Field(ge=2, le=64)] = 16
    """Accesses that are scheduled together, each a page or a beat."""
    starvation_beats: Annotated[int, Field(ge=1, le=4096)] = 64
    """Beats that may pass the oldest access before it goes first."""
    buffer_beats: Annotated[int, Field(ge=4, le=4096)] = 256
    """Beats of the read buffer, in which answers come into order."""
    repair: Repair = Repair()
    """Spare TSVs."""
    heat: Heat | None = None
    """The thermal node; without it nothing heats."""

    @property
    def banks(self) -> int:
        """Banks of a vault."""
        return self.bank_groups * self.banks_a_group

    @property
    def pages(self) -> int:
        """Pages of a vault."""
        return self.banks_a_group * self.pages_a_bank

    @property
    def page_beats(self) -> int:
        """Beats of a page."""
        return self.page_bytes // self.beat_bytes

    @property
    def columns(self) -> int:
        """Beats of a row."""
        return self.page_beats // self.bank_groups

    @property
    def stored_bytes(self) -> int:
        """Bytes that cross the data TSVs with a beat: its own and its write mask."""
        return self.beat_bytes + self.beat_bytes // 8

    @property
    def lanes(self) -> int:
        """Data TSVs of a vault, spares included."""
        return 8 * self.stored_bytes + self.repair.groups * self.repair.spares

    @property
    def command_tsvs(self) -> int:
        """TSVs of a vault for commands: row and column bus, loopback."""
        bank = (self.banks - 1).bit_length()
        row = 3 + bank + (self.pages_a_bank - 1).bit_length()
        column = 2 + bank + (self.columns - 1).bit_length()
        return row + column + 1

    @property
    def tsvs(self) -> int:
        """Signal TSVs of the stack; power and clock are not counted."""
        return self.vaults * (self.lanes + self.command_tsvs)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in (
            *("bank_groups", "banks_a_group", "page_bytes", "beat_bytes", "pages_a_bank"),
            "buffer_beats",
        ):
            if not power_of_two(getattr(self, name)):
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if self.beat_bytes < 8:
            raise ValueError(f"beat_bytes must be at least 8, not {self.beat_bytes}")
        if self.page_beats < 2 * self.bank_groups:
            raise ValueError(
                f"page_bytes must be at least two beats of {self.beat_bytes} in each of"
                f" {self.bank_groups} bank groups, not {self.page_bytes}"
            )
        if self.buffer_beats < 2 * self.page_beats:
            raise ValueError(
                f"buffer_beats must be at least two pages of {self.page_beats} beats,"
                f" not {self.buffer_beats}"
            )
        if 8 * self.stored_bytes % self.repair.groups:
            raise ValueError(
                f"repair.groups must divide the {8 * self.stored_bytes} lanes,"
                f" not {self.repair.groups}"
            )
        timings = self.timings
        # A forced refresh waits for rows to close; both modes must keep up at the doubled rate. By
        # bank they follow each other, no row is opened meanwhile, but open ones may be written.
        closing = 2 * (timings.rc_ns + timings.wr_ns + timings.wtr_ns)
        written = timings.cwl_ns + timings.wr_ns + timings.rp_ns
        needed = 2 * closing + 2 * (
            timings.rfc_ns
            if self.refresh == "all-bank"
            else max(timings.rfc_bank_ns, self.banks * max(timings.refresh_gap_ns, written))
        )
        if timings.refi_ns < needed:
            raise ValueError(
                f"timings.refi_ns must be at least {needed:g} for refresh {self.refresh},"
                f" not {timings.refi_ns}"
            )
        return self
