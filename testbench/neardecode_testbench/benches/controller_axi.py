"""Bench of a channel's whole controller with a host that others wrote: cocotbext-axi.

The design may be any `AxiShim` with ids of more than one bit; a bench knows of it what stands in
its signals and in `FLASH`, of which all designs here are alike but for correction.
"""

import os
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBurstType, AxiBus, AxiLockType, AxiMaster, AxiResp

from neardecode.config import Config, Ecc, Flash, Host
from neardecode.flash.status import AdminStatus, Opcode, PacketType, ReadStatus, WriteStatus
from neardecode_testbench.devices.axi_shim import PREFIX, AxiShim
from neardecode_testbench.drive.design import Design

__all__ = ["DESIGN", "DESIGNS"]

FLASH = Flash(
    dies=2,
    banks_a_die=2,
    page_bytes=512,
    beat_bytes=64,
    pages_a_bank=64,
    sense_ns=50.0,
    program_ns=200.0,
    erase_ns=500.0,
    host=Host(
        id_bits=4,
        reads=16,
        writes=16,
        units=4,
        pages_a_block=8,
        spare_blocks=2,
        zones=2,
        scratchpad_bytes=4096,
        gather_ns=50_000.0,
    ),
)
CORRECTED = FLASH.model_copy(
    update={"ecc": Ecc(correctable=4, codeword_bytes=256, engines=2, retry_stages=3)}
)
DESIGN = Design(AxiShim, (Config(clock_ghz=1.0, flash=FLASH),))
DESIGNS = {"plain": DESIGN, "corrected": Design(AxiShim, (Config(clock_ghz=1.0, flash=CORRECTED),))}

BEAT, PAGE = FLASH.beat_bytes, FLASH.page_bytes
BANKS, ROWS = FLASH.banks, 8
"""Banks, and pages of a block."""
IDS = 16
SCRATCHPAD = 4096
MMIO = 1 << 2
BATCH = 1 << 2
BUCC = 0x0C
DEVICE, VENDOR = 0x4846, 0x4E44


def sometimes(seed: int, share: float) -> Iterator[bool]:
    """Pauses in this share of the cycles."""
    chance = random.Random(seed)
    while True:
        yield chance.random() < share


async def serve(dut, name: str) -> None:
    """The memory behind a storage port, all zero: a cycle's access is answered in the next."""
    port = {
        part: getattr(dut, f"{name}__{part}")
        for part in ("valid", "address", "data", "write", "write_data")
    }
    memory: dict[int, int] = {}
    while True:
        await RisingEdge(dut.clk)
        if not int(dut.rst.value) and int(port["valid"].value):
            address = int(port["address"].value)
            if int(port["write"].value):
                memory[address] = int(port["write_data"].value)
            port["data"].value = memory.get(address, 0)


async def watch(dut, channel: str, payload: tuple[str, ...]) -> None:
    """An offer stands until it is taken, and is known to the last bit."""
    valid = getattr(dut, f"{PREFIX}{channel}valid")
    ready = getattr(dut, f"{PREFIX}{channel}ready")
    signals = [getattr(dut, f"{PREFIX}{channel}{part}") for part in payload]
    offered = None
    while True:
        await RisingEdge(dut.clk)
        if int(dut.rst.value):
            offered = None
            continue
        now = [int(signal.value) for signal in signals] if int(valid.value) else None
        assert offered is None or now == offered, f"{channel} offered {offered}, then {now}"
        offered = None if int(ready.value) else now


def answer(user: int) -> tuple[int, int, int]:
    """Type, status and information of an answer's user field."""
    return user & 3, user >> 2 & 15, user >> 6


class Channel:
    """A host of a channel, and what it knows to be written there.

    Attributes:
        master: cocotbext-axi's.
        chance: Of everything.
        pages: What was written, by (bank, row).
        scratchpad: Its contents.
    """

    def __init__(self, dut, seed: int):
        self.dut = dut
        self.chance = random.Random(seed)
        self.pages: dict[tuple[int, int], bytes] = {}
        self.scratchpad = bytearray(SCRATCHPAD)
        for port in os.environ["NEARDECODE_INPUTS"].split():
            getattr(dut, port).value = 0
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start(start_high=False))
        for name in ("storage", "records"):
            cocotb.start_soon(serve(dut, name))
        # Its types say less of it than it does.
        self.master: Any = AxiMaster(
            AxiBus.from_prefix(dut, PREFIX.rstrip("_")),
            dut.clk,
            dut.rst,
            max_burst_len=PAGE // BEAT,
        )
        cocotb.start_soon(watch(dut, "b", ("id", "resp", "user")))
        cocotb.start_soon(watch(dut, "r", ("id", "data", "resp", "last", "user")))

    async def start(self, enable: bool = True) -> None:
        """Resets the design; flash and scratchpad take commands afterwards."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)
        if enable:
            settings, status = await self.register(BUCC)
            assert status == 0
            assert await self.register(BUCC, settings | 1) == (0, 0)

    def pause(self, share: float) -> None:
        """All five channels pause in this share of the cycles."""
        write, read = self.master.write_if, self.master.read_if
        for channel in (
            write.aw_channel,
            write.w_channel,
            write.b_channel,
            read.ar_channel,
            read.r_channel,
        ):
            channel.set_pause_generator(sometimes(self.chance.getrandbits(32), share))

    async def register(self, offset: int, value: int | None = None) -> tuple[int, int]:
        """Reads or writes a register; its value, if read, and the status."""
        address = (offset << 8 | Opcode.REGISTER.value) * BEAT
        user = PacketType.ADMIN.value | MMIO
        if value is None:
            result = await self.master.read(address, BEAT, user=user)
            assert len(result.user) == 1
            value, users = int.from_bytes(result.data[:4], "little"), result.user[0]
        else:
            result = await self.master.write(
                address, value.to_bytes(4, "little") + bytes(BEAT - 4), user=user
            )
            value, users = 0, one(result.user)
        kind, status, _ = answer(users)
        assert kind == PacketType.ADMIN.value
        return value, status

    def cuts(self, beats: int) -> list[tuple[int, int]]:
        """Beats in pieces: the first and the length of each."""
        pieces, first = [], 0
        while first < beats:
            length = self.chance.randint(1, beats - first)
            pieces.append((first, length))
            first += length
        return pieces

    async def write_pages(self, places: list[tuple[int, int]]) -> None:
        """Writes pages, no more than there are units, side by side and each in bursts."""
        events = []
        for place in places:
            page = self.chance.randbytes(PAGE)
            self.pages[place] = page
            for first, length in self.cuts(PAGE // BEAT):
                data = page[first * BEAT : (first + length) * BEAT]
                events.append(self.master.init_write(address(*place, first), data))
        for event in events:
            await event.wait()
            result = event.data
            assert result.resp == AxiResp.OKAY, result
            assert answer(one(result.user)) == (0, WriteStatus.OK.value, 0), result

    async def write_blocks(self, block: int) -> None:
        """Writes a block of every bank, a row at a time."""
        for row in range(ROWS * block, ROWS * (block + 1)):
            await self.write_pages([(bank, row) for bank in range(BANKS)])

    async def read_pages(self, count: int, places: list[tuple[int, int]], user: int = 0) -> None:
        """Reads bursts of any length from anywhere in pages that were written, all at once."""
        asked = []
        for _ in range(count):
            place = self.chance.choice(places)
            first = self.chance.randrange(PAGE // BEAT)
            length = self.chance.randint(1, PAGE // BEAT - first)
            # Half of them leave the id to the master.
            arid = self.chance.choice([None, self.chance.randrange(IDS)])
            event = self.master.init_read(
                address(*place, first), length * BEAT, arid=arid, user=user
            )
            asked.append((event, self.pages[place][first * BEAT : (first + length) * BEAT]))
        for event, expected in asked:
            await event.wait()
            result = event.data
            assert result.resp == AxiResp.OKAY, result
            assert result.user == [PacketType.FLASH.value] * (len(expected) // BEAT)
            assert result.data == expected

    async def use_scratchpad(self, count: int) -> None:
        """Fills the scratchpad, then writes and reads it, one after another as ids differ."""
        user = PacketType.SCRATCHPAD.value
        for place in range(0, SCRATCHPAD, PAGE):
            self.scratchpad[place : place + PAGE] = data = self.chance.randbytes(PAGE)
            assert (await self.master.write(place, data, user=user)).resp == AxiResp.OKAY
        for _ in range(count):
            first = self.chance.randrange(SCRATCHPAD // BEAT)
            length = self.chance.randint(1, min(PAGE, SCRATCHPAD - first * BEAT) // BEAT)
            part = slice(first * BEAT, (first + length) * BEAT)
            if self.chance.random() < 0.5:
                data = self.chance.randbytes(length * BEAT)
                result = await self.master.write(first * BEAT, data, user=user)
                self.scratchpad[part] = data
                assert answer(one(result.user)) == (user, 0, 0), result
            else:
                result = await self.master.read(first * BEAT, length * BEAT, user=user)
                assert result.data == self.scratchpad[part]
                assert result.user == [user] * length
            assert result.resp == AxiResp.OKAY

    def check_erased(self, result: Any) -> None:
        """All ones; only a controller that corrects knows that this is no data."""
        if len(self.dut.storage__data) > 8 * BEAT:
            assert result.resp == AxiResp.SLVERR
            assert {answer(user) for user in result.user} == {(0, ReadStatus.ERASED.value, 0)}
        else:
            assert result.resp == AxiResp.OKAY
            assert result.data == b"\xff" * len(result.data)

    async def end(self) -> None:
        """Nothing was left open or broke a rule."""
        await self.master.wait()
        await ClockCycles(self.dut.clk, 20)
        assert not int(self.dut.violated.value)
        assert not int(self.dut.unsupported.value)


def one(users: int | list[int]) -> int:
    """The user field of an answer that was one."""
    if isinstance(users, list):
        assert len(users) == 1
        return users[0]
    return users


def address(bank: int, row: int, first: int = 0) -> int:
    """Of a beat of a page."""
    return (row * BANKS + bank) * PAGE + first * BEAT


@cocotb.test()
async def registers_let_commands_in(dut):
    """Before ``BUCC.EN`` nothing but registers answers with OKAY."""
    channel = Channel(dut, 1)
    await channel.start(enable=False)
    identity = await channel.master.read(
        Opcode.REGISTER.value * BEAT, BEAT, user=PacketType.ADMIN.value
    )
    assert identity.resp == AxiResp.OKAY
    assert identity.data[:4] == (DEVICE << 16 | VENDOR).to_bytes(4, "little")
    for user in (PacketType.FLASH.value, PacketType.SCRATCHPAD.value):
        refused = await channel.master.read(0, BEAT, user=user)
        assert refused.resp == AxiResp.SLVERR
        assert answer(refused.user[0]) == (user, ReadStatus.NOT_ENABLED.value, 0)
        refused = await channel.master.write(0, bytes(PAGE), user=user)
        assert refused.resp == AxiResp.SLVERR
        assert answer(one(refused.user)) == (user, WriteStatus.NOT_ENABLED.value, 0)
    settings, status = await channel.register(BUCC)
    assert status == AdminStatus.OK.value
    assert await channel.register(BUCC, settings | 1) == (0, 0)
    assert await channel.register(BUCC) == (settings | 1, 0)
    assert (await channel.register(BUCC + 2))[1] == AdminStatus.INVALID_FIELD.value
    await channel.use_scratchpad(4)
    await channel.end()


@cocotb.test()
async def whole_blocks_come_back(dut):
    """In bursts of every length, from every beat, under ids at random."""
    channel = Channel(dut, 2)
    await channel.start()
    await channel.write_blocks(0)
    places = sorted(channel.pages)
    for place in places:
        result = await channel.master.read(address(*place), PAGE)
        assert result.data == channel.pages[place]
    for user in (0, BATCH):
        await channel.read_pages(60, places, user)
    await channel.end()


@cocotb.test()
async def pages_are_read_while_others_are_written(dut):
    """With pauses on all channels, and the scratchpad in use."""
    channel = Channel(dut, 3)
    await channel.start()
    await channel.write_blocks(1)
    for share in (0.3, 0.7):
        channel.pause(share)
        places = sorted(channel.pages)
        block = 2 if share < 0.5 else 0
        tasks = [
            cocotb.start_soon(channel.write_blocks(block)),
            cocotb.start_soon(channel.use_scratchpad(20)),
        ]
        for _ in range(3):
            await channel.read_pages(16, places)
        for task in tasks:
            await task
    await channel.read_pages(40, sorted(channel.pages))
    await channel.end()


@cocotb.test()
async def a_read_sees_the_write_before_it(dut):
    """In the scratchpad before its data came, in a page before it is whole and long after."""
    channel = Channel(dut, 8)
    await channel.start()
    master = channel.master
    user = PacketType.SCRATCHPAD.value
    for _ in range(4):
        data = channel.chance.randbytes(PAGE)
        master.write_if.w_channel.pause = True
        master.init_write(0, data, user=user)
        while not (int(dut.s_axi_awvalid.value) and int(dut.s_axi_awready.value)):
            await RisingEdge(dut.clk)
        event = master.init_read(0, PAGE, user=user)
        await ClockCycles(dut.clk, 20)
        master.write_if.w_channel.pause = False
        await event.wait()
        assert event.data.data == data

    page, half = channel.chance.randbytes(PAGE), PAGE // 2
    master.init_write(address(0, 0), page[:half])
    await ClockCycles(dut.clk, 60)
    master.read_if.r_channel.pause = True
    events = [master.init_read(address(0, 0), half) for _ in range(4)]
    await ClockCycles(dut.clk, 60)
    await master.write(address(0, 0, half // BEAT), page[half:])
    # Other pages want its buffer.
    for row in (0, 1):
        await channel.write_pages([(bank, row) for bank in range(1, BANKS)])
    master.read_if.r_channel.pause = False
    for event in events:
        await event.wait()
        assert event.data.data == page[:half]
    channel.pages[0, 0] = page
    await channel.read_pages(10, sorted(channel.pages))
    await channel.end()


@cocotb.test()
async def a_block_is_written_anew(dut):
    """Its old pages are gone with the first new one."""
    channel = Channel(dut, 4)
    await channel.start()
    await channel.write_blocks(0)
    await channel.read_pages(20, sorted(channel.pages))
    await channel.write_pages([(1, 0)])
    await channel.read_pages(8, [(1, 0)])
    channel.check_erased(await channel.master.read(address(1, 3), 2 * BEAT))
    await channel.read_pages(20, [place for place in channel.pages if place[0] != 1])
    await channel.end()


@cocotb.test()
async def errors_are_told_in_both_responses(dut):
    """The user field says which, AXI's response what AXI knows of it."""
    channel = Channel(dut, 5)
    await channel.start()
    master = channel.master
    beyond = FLASH.pages * PAGE
    for place, length, resp, status in (
        (beyond, PAGE, AxiResp.DECERR, ReadStatus.INVALID_ADDRESS),
        # A burst across two pages.
        (PAGE - BEAT, 2 * BEAT, AxiResp.SLVERR, ReadStatus.INVALID_USER),
    ):
        read = await master.read(place, length)
        assert read.resp == resp
        assert {answer(user) for user in read.user} == {(0, status.value, 0)}
        assert read.data == bytes(length)
    channel.check_erased(await master.read(0, PAGE))
    # The second page of a block before its first.
    for place, length, resp, status in (
        (beyond, PAGE, AxiResp.DECERR, WriteStatus.INVALID_ADDRESS),
        (address(0, 1), PAGE, AxiResp.SLVERR, WriteStatus.ORDER),
    ):
        write = await master.write(place, bytes(length))
        assert write.resp == resp
        assert answer(one(write.user))[:2] == (0, status.value)
    await channel.write_pages([(0, 0)])
    await channel.read_pages(4, [(0, 0)])
    await channel.end()


@cocotb.test()
async def a_reset_ends_everything(dut):
    """In the middle of traffic; flash keeps what was programmed before."""
    channel = Channel(dut, 6)
    await channel.start()
    channel.pause(0.3)
    await channel.write_blocks(1)
    kept = dict(channel.pages)
    for cycles in (37, 210, 555):
        for bank in range(BANKS):
            channel.master.init_write(address(bank, 0), channel.chance.randbytes(PAGE))
            channel.master.init_read(address(bank, ROWS), PAGE)
        channel.master.init_read(0, PAGE, user=PacketType.SCRATCHPAD.value)
        await ClockCycles(dut.clk, cycles)
        await channel.start()
        await channel.read_pages(12, sorted(kept))
    await channel.write_blocks(0)
    await channel.read_pages(40, sorted(channel.pages))
    await channel.end()


@cocotb.test()
async def what_the_port_has_not_is_noticed(dut):
    """Narrow beats, bursts that do not increment, exclusive accesses and strobes."""
    channel = Channel(dut, 7)
    scratchpad = PacketType.SCRATCHPAD.value
    for kind in ("size", "burst", "lock", "strobes", "address", "none"):
        await channel.start()
        if kind == "size":
            await channel.master.read(0, 4, size=2, user=scratchpad)
        elif kind == "burst":
            await channel.master.read(0, BEAT, burst=AxiBurstType.FIXED, user=scratchpad)
        elif kind == "lock":
            await channel.master.read(0, BEAT, lock=AxiLockType.EXCLUSIVE, user=scratchpad)
        elif kind == "strobes":
            await channel.master.write(0, bytes(BEAT - 1), user=scratchpad)
        elif kind == "address":
            await channel.master.read(1 << 40, BEAT, user=scratchpad)
        else:
            await channel.master.write(0, bytes(BEAT), user=scratchpad)
        assert int(dut.unsupported.value) == (kind != "none"), kind
