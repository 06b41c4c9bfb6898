"""What a host sees of the whole controller that random traffic does not look for."""

from neardecode.flash.logs import ErrorEntry, ErrorKind
from neardecode.flash.status import Opcode, PacketType
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.flash.host_port import HostPort, Issued
from neardecode_testbench.scenarios.flash.soak import VARIANTS

CONFIG = VARIANTS["correction"].config
FLASH = CONFIG.flash
END = FLASH.pages * FLASH.page_bytes
COOL = 2 * 50
ADMIN = PacketType.ADMIN.value
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
