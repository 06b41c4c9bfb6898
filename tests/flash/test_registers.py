"""The register map, the register file, the features and the timers, each by itself."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

import neardecode.flash
from neardecode.config import Ecc, Flash, Host
from neardecode.flash.admin.features import Feature
from neardecode.flash.admin.logs import ErrorKind, SmartEvent
from neardecode.flash.admin.register import Access, Field, Register
from neardecode.flash.admin.register_map import register_map
from neardecode.flash.admin.registers import RegisterFile
from neardecode.flash.admin.timers import UNITS_NS, TimerScaler, timer_cycles, timer_setting

DOCUMENT = (Path(neardecode.flash.__path__[0]) / "admin" / "REGISTERS.md").read_text()
FLASH = Flash(ecc=Ecc(), host=Host())


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


def dword(offset, *fields, symbol="R", mmio=True, size=4):
    return Register(symbol, mmio, offset, size, fields)


FIELDS = (
    Field("CONST", 0, 8, Access.CONSTANT, 0x5A),
    Field("LIVE", 8, 4, Access.STATUS),
    Field("SET", 12, 4, Access.SETTING, 3, (3, 5)),
    Field("CLEAR", 16, 4, Access.CLEAR),
    Field("GO", 20, 4, Access.TRIGGER),
)


async def access(ctx, dut, offset, value=None, mmio=1):
    ctx.set(dut.access.en, 1)
    ctx.set(dut.access.mmio, mmio)
    ctx.set(dut.access.offset, offset)
    ctx.set(dut.access.write, value is not None)
    ctx.set(dut.access.data, value or 0)
    await ctx.tick()
    ctx.set(dut.access.en, 0)
    return ctx.get(dut.refusal).value, ctx.get(dut.value)


def test_every_kind_of_field_is_read_and_written_as_it_says():
    dut = RegisterFile((dword(8, *FIELDS, size=8), dword(8, symbol="OTHER", mmio=False)))

    async def bench(ctx):
        ctx.set(dut.statuses.r_live, 9)
        ctx.set(dut.statuses.r_clear, 6)
        assert await access(ctx, dut, 8) == (0, 0x0006395A)
        assert await access(ctx, dut, 8, 0x00FF5FFF) == (0, 0)
        assert ctx.get(dut.settings.r_set) == 5
        assert (ctx.get(dut.actions.r_clear), ctx.get(dut.actions.r_go)) == (15, 15)
        assert ctx.get(dut.written.r) == 1
        assert await access(ctx, dut, 8) == (0, 0x0006595A)
        assert (ctx.get(dut.actions.r_clear), ctx.get(dut.actions.r_go)) == (0, 0)
        assert ctx.get(dut.written.r) == 0
        # A value that it may not have: nothing of the write is done.
        assert await access(ctx, dut, 8, 0x00FF4000) == (5, 0)
        assert (ctx.get(dut.actions.r_clear), ctx.get(dut.settings.r_set)) == (0, 5)
        assert ctx.get(dut.written.r) == 0
        # The second dword has no field: it reads as zero and cannot be written.
        assert await access(ctx, dut, 12) == (0, 0)
        assert await access(ctx, dut, 12, 1) == (1, 0)
        for offset, mmio in ((4, 1), (16, 1), (9, 1), (12, 0), (8 + (1 << 20), 1)):
            assert await access(ctx, dut, offset, mmio=mmio) == (1, 0)
            assert await access(ctx, dut, offset, 0x3000, mmio=mmio) == (1, 0)
        assert await access(ctx, dut, 8, mmio=0) == (0, 0)
        assert ctx.get(dut.settings.r_set) == 5

    simulate(dut, bench)


def test_nothing_happens_without_an_access():
    dut = RegisterFile((dword(0, *FIELDS),))

    async def bench(ctx):
        ctx.set(dut.access.write, 1)
        ctx.set(dut.access.mmio, 1)
        ctx.set(dut.access.data, 0x00FF5000)
        await ctx.tick()
        assert ctx.get(dut.settings.r_set) == 3
        assert ctx.get(dut.actions.as_value()) == 0

    simulate(dut, bench)


@pytest.mark.parametrize(
    ("registers", "message"),
    [
        ((dword(2),), "R must begin and end with a dword"),
        ((dword(0, size=6),), "R must begin and end with a dword"),
        ((dword(0, symbol="A"), dword(0, symbol="B")), "B must not overlap A"),
        ((dword(0, symbol="A", size=8), dword(4, symbol="B")), "B must not overlap A"),
        ((dword(0, Field("F", 28, 8)),), "R.F must have bits of its own"),
        ((dword(0, Field("F", 0, 8), Field("G", 7, 1)),), "R.G must have bits of its own"),
        (
            (dword(0, Field("F", 28, 8, Access.SETTING), size=8),),
            "R.F must lie in one dword",
        ),
        ((dword(0, Field("F", 0, 2, reset=4)),), "R.F must hold its reset value"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(registers, message):
    with pytest.raises(ValueError, match=message):
        RegisterFile(registers)


def test_a_map_needs_a_host_and_pages_that_it_can_tell():
    with pytest.raises(ValueError, match="config must have a host"):
        register_map(Flash(), 1.6)
    large = Flash(dies=16, banks_a_die=64, pages_a_bank=1 << 22, host=Host())
    with pytest.raises(ValueError, match="less than 2\\*\\*32 units of 4 KiB, not 4294967296"):
        register_map(large, 1.6)


@pytest.mark.parametrize(
    ("clock", "speed", "grades"), [(0.1, 1, 1), (1.4, 1, 1), (1.6, 2, 3), (2.9, 2, 3), (3.0, 4, 7)]
)
def test_the_speed_grades_are_those_that_the_channel_can_fill(clock, speed, grades):
    fields = {
        (register.symbol, field.name): field.reset
        for register in register_map(FLASH, clock)
        for field in register.fields
    }
    assert fields["UCONFIG", "SPEED"] == speed
    assert fields["BUCCAP", "SSG"] == grades
    assert fields["BUCC", "SSG"] == (grades + 1) // 2


def documented_fields():
    """(offset, symbol, bits, access, reset) of each row of the two register tables."""
    row = re.compile(
        r"^\| (MMIO|always-on) (0x[0-9A-F]{3}) \| `(\w+)` \| (\d+(?::\d+)?) \| `(\w+)` \|"
        r" ([^|]+) \| ([^|]+) \|",
        re.M,
    )
    return [match.groups() for match in row.finditer(DOCUMENT)]


def test_the_document_lists_every_field_as_it_is_built():
    expected = []
    for register in register_map(FLASH, 1.6):
        for field in sorted(register.fields, key=lambda field: -field.low):
            high = field.low + field.width - 1
            live = field.access in (Access.STATUS, Access.CLEAR)
            expected.append(
                (
                    "MMIO" if register.mmio else "always-on",
                    f"0x{register.offset:03X}",
                    register.symbol,
                    f"{high}:{field.low}" if field.width > 1 else f"{field.low}",
                    field.name,
                    field.access.value,
                    "live" if live else f"{field.reset:#x}",
                )
            )
    assert sorted(documented_fields()) == sorted(expected)


def test_the_document_lists_every_feature_event_and_kind():
    for feature in Feature:
        assert re.search(rf"^\| 0x{feature.value:02X} \| `{feature.name}` \|", DOCUMENT, re.M)
    for event in SmartEvent:
        assert re.search(rf"^\| {event.value} \| `{event.name}` \|", DOCUMENT, re.M)
    for kind in ErrorKind:
        assert f"{kind.value} `{kind.name}`" in DOCUMENT


@pytest.mark.parametrize(
    ("time_ns", "setting"),
    [
        (0.0, (0, 0)),
        (0.1, (1, 0)),
        (20.0, (20, 0)),
        (2500.5, (2501, 0)),
        (3000.0, (3, 1)),
        (1e6, (1, 2)),
        (1e9, (1, 3)),
        (2.0**24 - 1, (2**24 - 1, 0)),
        (2.0**24 + 1, (16778, 1)),
        (120e9, (2, 4)),
    ],
)
def test_a_time_is_set_in_its_largest_unit(time_ns, setting):
    assert timer_setting(time_ns) == setting


@pytest.mark.parametrize("time_ns", [-1.0, 3600e9 * 2**24])
def test_a_time_that_no_timer_holds_is_refused(time_ns):
    with pytest.raises(ValueError, match="time_ns must"):
        timer_setting(time_ns)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    value=st.integers(0, 2**24 - 1),
    unit=st.integers(0, 5),
    clock=st.sampled_from([0.1, 1.0, 1.6, 1.7, 2.125, 10.0]),
)
def test_the_cycles_of_a_timer_are_within_their_bounds(value, unit, clock):
    exact = value * UNITS_NS[unit] * Fraction(str(clock))
    cycles = timer_cycles(value, unit, clock)
    if cycles == 2**32 - 1:
        assert exact + 1 + Fraction(value, 2**16) >= cycles
    else:
        assert exact - Fraction(1, 16) <= cycles <= exact + 1 + Fraction(value, 2**16)


def test_round_times_are_exact():
    assert timer_cycles(20, 0, 1.6) == 32
    assert timer_cycles(4, 0, 1.6) == 7
    assert timer_cycles(1, 2, 1.6) == 1_600_000
    assert timer_cycles(2, 3, 1.6) == 3_200_000_000
    assert timer_cycles(3, 3, 1.6) == timer_cycles(1, 5, 1.6) == 2**32 - 1


@pytest.mark.parametrize("clock", [1.6, 0.3])
def test_the_scaler_computes_what_its_formula_says_in_its_latency(clock):
    dut = TimerScaler(clock, (1, 2))
    cases = [
        *((0, 0), (1, 0), (2**24 - 1, 0), (12345, 0), (999, 1), (2**24 - 1, 1), (1, 2), (777, 2)),
        *((2684, 2), (2685, 2), (1, 3), (2, 3), (3, 3), (14, 3), (15, 3), (0, 5), (1, 4), (1, 5)),
        *((2**24 - 1, 5), (0b101, 0)),
    ]

    async def bench(ctx):
        old = timer_cycles(1, 2, clock)
        assert ctx.get(dut.cycles) == old
        for value, unit in cases:
            ctx.set(dut.value, value)
            ctx.set(dut.unit, unit)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.value, 0xABCDEF)
            for _ in range(TimerScaler.latency - 1):
                assert ctx.get(dut.busy) == 1
                assert ctx.get(dut.cycles) == old
                await ctx.tick()
            assert ctx.get(dut.busy) == 0
            old = timer_cycles(value, unit, clock)
            assert ctx.get(dut.cycles) == old, (value, unit)

    simulate(dut, bench)


def test_a_scaler_needs_a_clock():
    with pytest.raises(ValueError, match="clock_ghz must be positive, not 0"):
        TimerScaler(0, (1, 0))
