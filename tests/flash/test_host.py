"""What a host sees of the whole controller that random traffic does not look for."""

import pytest

from neardecode.flash.admin.logs import ErrorEntry, ErrorKind
from neardecode.flash.admin.register_map import SMART_BYTES
from neardecode.flash.status import AdminStatus, Opcode, PacketType, ReadStatus, WriteStatus
from neardecode.lib.page import PageRequest
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, StuckError
from neardecode_testbench.scenarios.blocks.admin_model import (
    Command,
    read_register,
    set_feature,
    write_register,
)
from neardecode_testbench.scenarios.flash.host_port import HostPort, Issued
from neardecode_testbench.scenarios.flash.soak import VARIANTS
from neardecode_testbench.scenarios.packing import Packer

CONFIG = VARIANTS["correction"].config
FLASH = CONFIG.flash
END = FLASH.pages * FLASH.page_bytes
COOL, SEVERE, SHUTDOWN = 2 * 50, 2 * 110, 2 * 126
"""Half degrees above 0 C."""
ADMIN = PacketType.ADMIN.value
BUCC, BUCSTS, BUCR, TMON, MAXPEC, AVGPEC, REDCAP = 0x00C, 0x010, 0x014, 0x018, 0x144, 0x148, 0x14C
WARM_RESET = 0x484246 << 8 | 2
ICAUSE, IENABLE = 0x204, 0x208
BLOCK, BLKRC, BLKPEC, ZONE, ZONEPEC = 0x22C, 0x230, 0x234, 0x238, 0x23C
THRESHOLD, READ_LIMIT, MARK_BAD = 1, 2, 0x10
HOST_LEVELS = 0b10 << 6
ERRORS = Opcode.GET_LOG_PAGE.value | 1 << 8


def host(scenario):
    """Plays a scenario on the port of a channel whose dies can fail."""
    return simulate(
        Design(ControllerBench, (CONFIG, True)),
        lambda step: scenario(HostPort(FLASH, step, {"temperature": COOL})),
        "native",
    )


def error_log(port):
    """The errors logged, newest first, as (number, kind, status, page)."""
    layout = ErrorEntry(FLASH)
    entries = [
        {str(name): bits >> place.offset & (1 << place.width) - 1 for name, place in layout}
        for bits in port.play([Issued(ERRORS, 16, user=ADMIN)])[0][0].words
    ]
    return [
        (entry["number"], ErrorKind(entry["kind"]).name, entry["status"], entry["address"])
        for entry in entries
        if entry["number"]
    ]


def test_no_error_is_lost_where_reads_and_writes_end_with_one_at_once():
    def scenario(port):
        port.enable()
        port.play(
            [Issued(END + page * FLASH.page_bytes, id=page) for page in range(8)],
            [
                Issued(END + (8 + page) * FLASH.page_bytes, payload=(0,) * 8, id=page)
                for page in range(8)
            ],
        )
        return error_log(port)

    errors = host(scenario)
    assert [number for number, *_ in errors] == list(range(16, 0, -1))
    assert {error[1:] for error in errors} == {
        *(("READ", 1, page) for page in range(8)),
        *(("WRITE", 1, page) for page in range(8, 16)),
    }


def test_reads_after_a_log_of_many_beats_wait_for_their_pages():
    def scenario(port):
        port.enable()
        pages = [tuple(range(8 * page, 8 * page + 8)) for page in range(4 * FLASH.banks)]
        for page, words in enumerate(pages):
            port.write(page, words)
        for _ in range(16):
            port.play([Issued(END)])
        assert len(error_log(port)) == 16
        assert FLASH.host is not None
        return [
            port.read(page % len(pages)).words == pages[page % len(pages)]
            for page in range(3 * FLASH.host.reads)
        ]

    assert all(host(scenario))


def admin(port, command):
    """The answer to an admin command."""
    if command.write:
        issued = Issued(command.address, payload=tuple(command.data), user=command.user)
        return port.play((), [issued])[1][0]
    return port.play([Issued(command.address, command.beats, user=command.user)])[0][0]


def value(port, mmio, offset):
    """What a register reads as."""
    return admin(port, read_register(mmio, offset)).words[0]


def smart(port):
    """The words of the smart log."""
    beats = -(-SMART_BYTES // FLASH.beat_bytes)
    words = port.play([Issued(Opcode.GET_LOG_PAGE.value, beats, user=ADMIN)])[0][0].words
    bits = sum(word << 8 * FLASH.beat_bytes * beat for beat, word in enumerate(words))
    return [bits >> 64 * place & (1 << 64) - 1 for place in range(8 * len(words))]


def page_at(bank, block, number):
    """The address of a page, by its bank, its block in it and its number in that."""
    assert FLASH.host is not None
    return (block * FLASH.host.pages_a_block + number) * FLASH.banks + bank


def words_of(page):
    """The beats of a page that no other has."""
    return tuple(1 << 500 | page << 16 | beat for beat in range(FLASH.page_beats))


def write_well(port, *pages):
    for page in pages:
        assert port.write(page, words_of(page)).status == 0


def erase(capacity, zones=0):
    """A Secure Erase: 0 all, 1 flash, 2 zones, 3 scratchpad."""
    return Command(True, 0x03 | capacity << 8 | 1 << 10, data=(zones,))


ZONE_BLOCKS = FLASH.blocks_a_bank // 2


@pytest.mark.parametrize(
    ("capacity", "zones", "erased", "cleared"),
    [(0, 0, (0, 1), True), (1, 0, (0, 1), False), (2, 2, (1,), False), (3, 0, (), True)],
    ids=["all", "flash", "a zone", "scratchpad"],
)
def test_a_secure_erase_leaves_nothing_of_what_it_names_and_all_of_the_rest(
    capacity, zones, erased, cleared
):
    kept = [page_at(bank, zone * ZONE_BLOCKS, 0) for zone in range(2) for bank in range(4)]
    pad = PacketType.SCRATCHPAD.value

    def scenario(port):
        port.enable()
        write_well(port, *kept)
        port.play((), [Issued(0, payload=(7, 8, 9), user=pad)])
        assert admin(port, erase(capacity, zones)).status == 0
        for number, page in enumerate(kept):
            answer = port.read(page)
            if number // 4 in erased:
                assert (answer.status, set(answer.words)) == (ReadStatus.ERASED.value, {0})
                # The block begins anew.
                after = port.write(page + FLASH.banks, words_of(page))
                assert (after.status, after.info) == (WriteStatus.ORDER.value, 1)
            else:
                assert (answer.status, answer.words) == (0, words_of(page))
        scratch = port.play([Issued(0, 3, user=pad)])[0][0]
        assert (scratch.status, scratch.words) == (0, (0, 0, 0) if cleared else (7, 8, 9))
        write_well(port, *(page for number, page in enumerate(kept) if number // 4 in erased))
        assert [port.read(page).words for page in kept] == [words_of(page) for page in kept]
        assert port.sample("violated") == 0

    host(scenario)


def test_zones_that_are_remapped_change_places_with_their_pages_and_their_order():
    def scenario(port):
        port.enable()
        near, far = page_at(1, 0, 0), page_at(1, ZONE_BLOCKS, 0)
        write_well(port, near, near + FLASH.banks, far)
        swap = Command(True, 0x08, data=(1,))
        assert admin(port, swap).status == AdminStatus.UNSUPPORTED.value
        settings = port.register(BUCC).words[0]
        assert port.register(BUCC, settings | HOST_LEVELS).status == 0
        assert admin(port, swap).status == 0
        assert port.read(far).words == words_of(near)
        assert port.read(far + FLASH.banks).words == words_of(near + FLASH.banks)
        assert port.read(near).words == words_of(far)
        # Each block goes on where it stood: this page of it is there.
        again = port.write(far + FLASH.banks, words_of(far))
        assert again.status == WriteStatus.OVERLAP.value
        write_well(port, near + FLASH.banks, far + 2 * FLASH.banks)
        assert admin(port, swap).status == 0
        for page, written in (
            (near, near),
            (far, far),
            (far + FLASH.banks, near + FLASH.banks),
            (near + 2 * FLASH.banks, far + 2 * FLASH.banks),
        ):
            assert port.read(page).words == words_of(written)
        assert port.sample("violated") == 0

    host(scenario)


def test_a_shutdown_by_heat_answers_what_is_under_way_and_takes_nothing_until_power_is_cycled():
    def scenario(port):
        port.enable()
        write_well(port, 0)
        half = Issued(FLASH.banks * FLASH.page_bytes, payload=words_of(1)[: FLASH.page_beats // 2])
        answers = port.play_hot([half], SHUTDOWN)[1]
        assert [(answer.status, answer.info) for answer in answers] == [
            (WriteStatus.BLOCKED.value, 1)
        ]
        pins = [port.sample(name) for name in ("cattrip", "link_error")]
        port.levels["temperature"] = COOL
        port.wait(20)
        pins += [port.sample(name) for name in ("cattrip", "link_error")]
        port.limit = 2000
        with pytest.raises(StuckError):
            port.read(0)
        return pins

    assert host(scenario) == [1, 1, 1, 1]


def test_what_is_in_flight_is_answered_before_it_has_cooled():
    def scenario(port):
        port.enable()
        pages = [page_at(0, 0, number) for number in range(3)]
        answers = port.play_hot([port.page_write(page, words_of(page)) for page in pages], SEVERE)
        told = [(answer.status, answer.info) for answer in answers[1]]
        port.levels["temperature"] = COOL
        port.wait(20)
        write_well(port, *pages[1:])
        assert [port.read(page).words for page in pages] == [words_of(page) for page in pages]
        return told

    # The first one is being programmed, the others wait for its bank.
    blocked = (WriteStatus.BLOCKED.value, 1)
    assert host(scenario) == [(0, 0), blocked, blocked]


def test_a_secure_erase_ends_although_it_is_too_hot():
    def scenario(port):
        port.enable()
        write_well(port, 0)
        command = erase(1)
        issued = Issued(command.address, payload=tuple(command.data), user=command.user)
        answers = port.play_hot([issued], SEVERE)[1]
        port.levels["temperature"] = COOL
        port.wait(20)
        return answers[0].status, port.read(0).status

    assert host(scenario) == (AdminStatus.OK.value, ReadStatus.ERASED.value)


def test_a_channel_that_is_too_hot_is_not_ready():
    def scenario(port):
        port.enable()
        for _ in range(16):
            port.play([Issued(END)])
        # Taken before it was hot, done after.
        log = Issued(ERRORS, 16, user=ADMIN)
        status = read_register(True, BUCSTS)
        issued = Issued(status.address, user=status.user)
        before = port.play([issued])[0][0].words[0]
        answers = port.play_hot((), SEVERE, [log, issued])[0]
        return before, answers[1].words[0]

    assert host(scenario) == (1, 0)


def test_the_slice_waits_until_it_has_cooled():
    def scenario(port):
        port.enable()
        write_well(port, 0)
        port.levels["temperature"] = SEVERE
        port.wait(10)
        layout = PageRequest((FLASH.pages - 1).bit_length())
        request = Packer(layout).pack({"address": 0, "pages": 1, "fresh": 0, "tag": 0})
        play = {"storages": port.storages, "limit": 2000}
        port.step(Play([Source("requests", [request])], **play, levels=port.levels, trailing=900))
        port.levels["temperature"] = COOL
        outcome = port.step(
            Play(sinks=[Sink("beats", FLASH.page_beats)], **play, levels=port.levels)
        )
        return outcome.sinks["beats"].cycles[0] - outcome.start

    assert host(scenario) > CONFIG.sense_cycles


def test_a_reset_ends_although_pages_wait_for_their_bank():
    def scenario(port):
        port.enable()
        pages = [page_at(0, 0, number) for number in range(3)]
        reset = write_register(True, BUCR, WARM_RESET)
        commands = [port.page_write(page, words_of(page)) for page in pages]
        commands.append(Issued(reset.address, payload=tuple(reset.data), user=reset.user))
        answers = port.play((), commands)[1]
        port.wait(50)
        after = port.read(pages[0]).status
        port.enable()
        assert port.read(pages[0]).words == words_of(pages[0])
        return [answer.status for answer in answers], after

    blocked = WriteStatus.BLOCKED.value
    assert host(scenario) == ([0, blocked, blocked, 0], ReadStatus.NOT_ENABLED.value)


def test_light_throttling_is_slower_and_right():
    def cycles(port, pages):
        start = port.step(Probe(dict(port.levels), ["cattrip"])).start
        for page in pages:
            assert port.read(page).words == words_of(page)
        return port.step(Probe(dict(port.levels), ["cattrip"])).start - start

    def scenario(port):
        port.enable()
        pages = [page_at(0, 0, number) for number in range(6)]
        write_well(port, *pages)
        fast = cycles(port, pages)
        port.levels["temperature"] = 2 * 60 + 71
        port.wait(10)
        light = value(port, True, TMON), port.sample("cattrip")
        slow = cycles(port, pages)
        port.levels["temperature"] = COOL
        port.wait(10)
        return fast, slow, cycles(port, pages), light, value(port, True, TMON)

    fast, slow, again, light, after = host(scenario)
    assert light == (0b10, 0)
    assert after == 0
    assert abs(again - fast) < 20
    # One sense in 256 cycles.
    assert slow > 5 * 256 > fast


def test_lanes_that_are_led_around_are_counted_and_too_many_are_fatal():
    def scenario(stuck):
        def play(port):
            port.levels |= {"faults__stuck": stuck, "faults__stuck_value": stuck}
            port.enable()
            status = port.write(0, words_of(0)).status
            return status, smart(port)[11], value(port, True, BUCSTS) & 2

        return play

    assert FLASH.repair is not None
    size = FLASH.lanes // FLASH.repair.groups
    assert host(scenario(0)) == (0, 0, 0)
    assert host(scenario(1 << 3 | 1 << size + 5)) == (0, 2, 0)
    assert host(scenario(0b11)) == (WriteStatus.RETIRED.value, 0, 2)


def test_a_retired_block_is_told_by_register_bitmap_interrupt_and_log():
    def scenario(port):
        port.enable()
        assert admin(port, write_register(False, IENABLE, 0b100)).status == 0
        before = port.sample("axi__irq"), value(port, True, REDCAP)
        assert FLASH.host is not None
        for _ in range(FLASH.host.spare_blocks + 1):
            assert admin(port, set_feature(MARK_BAD, 3 << 16 | 2)).status == 0
            port.wait(20)
        answer = port.read(page_at(2, 3, 0))
        bitmap = admin(port, Command(False, 0x0A)).words[0]
        irq = port.sample("axi__irq")
        assert admin(port, write_register(False, ICAUSE, 0b100)).status == 0
        after = port.sample("axi__irq")
        told = smart(port)[6:8]
        assert port.write(page_at(2, 2, 0), words_of(1)).status == 0
        return before, answer.status, bitmap, irq, after, told, value(port, True, REDCAP)

    assert FLASH.host is not None
    assert host(scenario) == (
        (0, 0),
        ReadStatus.INVALID_ADDRESS.value,
        1 << 3 * FLASH.banks + 2,
        1,
        0,
        [FLASH.host.spare_blocks, 1],
        1,
    )


def test_erases_are_counted_by_most_and_mean():
    def scenario(port):
        port.enable()
        for _ in range(3):
            write_well(port, page_at(1, 2, 0))
        assert admin(port, erase(1)).status == 0
        return value(port, True, MAXPEC), value(port, True, AVGPEC)

    # Every block once, and one of them three times before.
    assert host(scenario) == (4, 1)


def test_the_host_finds_how_worn_a_block_and_a_zone_are():
    def wear(port, bank, block):
        assert admin(port, write_register(False, BLOCK, block * FLASH.banks + bank)).status == 0
        return value(port, False, BLKRC), value(port, False, BLKPEC)

    def scenario(port):
        port.enable()
        page = page_at(2, ZONE_BLOCKS, 0)
        for _ in range(2):
            write_well(port, page)
            # Each by a sense of its own: other pages take the buffers.
            for turn in range(3):
                assert port.read(page).status == 0
                for other in (0, 1):
                    port.read(page_at(2, 1 + turn, other))
        before = wear(port, 2, ZONE_BLOCKS), wear(port, 1, ZONE_BLOCKS)
        for _ in range(3):
            assert admin(port, erase(2, 0b10)).status == 0
        assert admin(port, write_register(False, ZONE, 1)).status == 0
        return *before, wear(port, 2, ZONE_BLOCKS), value(port, False, ZONEPEC)

    # The second zone has 16 blocks, each erased three times, one of them two times before.
    assert host(scenario) == ((3, 2), (0, 0), (0, 5), 3)


def test_a_block_read_too_often_asks_for_a_refresh():
    def scenario(port):
        port.enable()
        pages = [page_at(0, 0, number) for number in range(4)]
        write_well(port, *pages)
        assert admin(port, set_feature(READ_LIMIT, 10)).status == 0
        answers = [port.read(pages[turn % 4]) for turn in range(14)]
        assert all(answer.words == words_of(pages[turn % 4]) for turn, answer in enumerate(answers))
        told = [(answer.status, answer.info) for answer in answers]
        # Another block is not meant; an erase begins anew.
        write_well(port, page_at(0, 1, 0), *pages[:1])
        assert port.read(page_at(0, 1, 0)).status == 0
        assert port.read(pages[0]).status == 0
        return told

    corrected = (ReadStatus.CORRECTED.value, 1)
    assert host(scenario) == [(0, 0)] * 10 + [corrected] * 4


def test_corrected_bits_are_counted_and_more_than_the_threshold_are_told():
    def scenario(port):
        port.enable()
        write_well(port, 0)
        assert admin(port, set_feature(THRESHOLD, 1)).status == 0
        # Four of 576 x 8 bits on the mean, of which ten are corrected.
        port.levels["faults__error_rate"] = 1 << 17
        seen = []
        for turn in range(12):
            answer = port.read(0)
            assert answer.words == words_of(0)
            seen.append((answer.status, answer.info))
            # Its buffers forget it.
            port.read(page_at(0, 1, turn % 2))
            port.read(page_at(0, 1, 2 + turn % 2))
        codewords, uncorrectable, bits = smart(port)[:3]
        assert (ReadStatus.CORRECTED.value, 2) in seen
        assert set(seen) <= {(0, 0), (ReadStatus.CORRECTED.value, 2)}
        assert codewords <= bits
        return codewords, uncorrectable

    codewords, _ = host(scenario)
    assert codewords >= 5
