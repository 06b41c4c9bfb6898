"""Programs and erases of the core dies, and the records of their blocks."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from neardecode.flash.bus import DataBeat, Operation, Sense
from neardecode_testbench.benches.amaranth_sim import play
from neardecode_testbench.devices.faults import Contents, generator_seed
from neardecode_testbench.devices.nand import NandDies
from neardecode_testbench.devices.operations import OPERATION_GENERATOR
from neardecode_testbench.devices.records import RECORD_TYPE, RecordFlag, new_records
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Probe, Source, Storage
from neardecode_testbench.scenarios.blocks.edge import Recorder
from neardecode_testbench.scenarios.blocks.nand_drive import DriveBus
from neardecode_testbench.scenarios.packing import Packer

SENSE, PROGRAM, ERASE = 12, 20, 30


def run(flash, cycles=700, *, program=PROGRAM, erase=ERASE, sense=SENSE, seed=1, **options):
    options = {"operation_share": 0.5, "sense_share": 0.4, "transfer_share": 0.6, **options}
    return play(
        NandDies(flash, sense, program, erase, seed=seed),
        DriveBus(flash, sense, cycles, program, erase, seed=seed, die_seed=seed, **options),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("senses", "transfers", "operations", "writes"),
    [(1, 1, 1, 1), (0.3, 0.5, 0.3, 0.5), (0.05, 0.1, 0.5, 0.9), (0.9, 0.9, 0.1, 0.2)],
)
@pytest.mark.parametrize(("banks", "page_beats"), [(1, 4), (4, 4), (8, 16)])
def test_every_wire_is_predicted(
    flash_with, banks, page_beats, senses, transfers, operations, writes, seed
):
    result = run(
        flash_with("host", banks, page_beats),
        seed=seed,
        sense_share=senses,
        transfer_share=transfers,
        operation_share=operations,
        write_share=writes,
    )
    assert result.operations
    assert result.beats


@pytest.mark.parametrize(
    ("sense", "program", "erase"), [(8, 8, 8), (8, 40, 9), (33, 9, 40), (64, 63, 62)]
)
def test_every_wire_is_predicted_at_all_times(flash_with, sense, program, erase):
    for seed in range(3):
        run(flash_with("host"), sense=sense, program=program, erase=erase, seed=seed)


@pytest.mark.parametrize("failures", [{}, {"program_failures": 20000, "erase_failures": 30000}])
def test_pages_of_every_kind_cross_and_operations_of_every_kind_end(flash_with, failures):
    result = run(flash_with("host"), 3000, faults=failures)
    assert set(result.contents) == set(Contents)
    kinds = {(command.erase, failed) for _, command, failed in result.ends}
    assert kinds == {
        (erase, failed) for erase in (False, True) for failed in {False, bool(failures)}
    }


def test_operations_take_their_times_or_longer(flash_with):
    page_beats = 4
    result = run(flash_with("host"), 3000, sense_share=0.05, transfer_share=0.5)
    begun = dict[int, int]()
    took = {False: set(), True: set()}
    events = [(cycle, 1, command) for cycle, command in result.operations]
    events += [(cycle, 0, command) for cycle, command, _ in result.ends]
    for cycle, is_start, command in sorted(events, key=lambda event: event[:2]):
        if is_start:
            begun[command.bank] = cycle
        else:
            took[command.erase].add(cycle - begun.pop(command.bank))
    assert min(took[True]) == ERASE
    assert min(took[False]) == page_beats + PROGRAM


def test_all_banks_erase_at_a_time_and_end_one_after_another(flash_with):
    result = run(flash_with("host", banks=8), 400, erase=200, sense_share=0, operation_share=1)
    cycles = [cycle for cycle, _, _ in result.ends]
    begun = [cycle for cycle, command in result.operations if command.erase]
    assert max(sum(start < cycle <= start + 200 for start in begun) for cycle in range(400)) >= 6
    assert len(set(cycles)) == len(cycles) > 5


@pytest.mark.parametrize(("failures", "failed"), [(0xFFFF, True), (0xFFFE, False)])
def test_an_operation_that_is_sure_to_fail_fails(flash_with, failures, failed):
    # The first operation draws the greatest number that there is.
    seed = next(
        seed for seed in range(1 << 20) if generator_seed(seed, OPERATION_GENERATOR) >> 48 == 0xFFFF
    )
    faults = {"program_failures": failures, "erase_failures": failures}
    ends = run(flash_with("host"), 300, seed=seed, faults=faults, operation_share=1).ends
    assert ends[0][2] == failed
    assert all(failed for *_, failed in ends[1:])


@dataclass
class OnBus:
    """Commands on the bus, cycle by cycle, with the memory behind it."""

    flash: object
    records: np.ndarray
    body: object
    memory: dict = field(default_factory=dict)
    recorder: Recorder = field(
        default_factory=lambda: Recorder(("bus__senses", "bus__transfers", "bus__operations"))
    )

    def __call__(self, step):
        self.step, self.levels, self.asked, self.asked_record = step, {}, None, None
        return self.body(self)

    def cycle(self, **levels):
        if self.asked is not None:
            levels["storage__data"] = self.memory.get(self.asked, 0)
        if self.asked_record is not None:
            record = self.records.reshape(-1)[self.asked_record]
            levels["records__data"] = int.from_bytes(record.tobytes(), "little")
        names = ["bus__idle", "bus__ended", "bus__page_ready", "bus__valid", "bus__beat"]
        names += ["violated", "bus__senses__ready", "bus__operations__ready"]
        names += ["bus__transfers__ready"]
        for port in ("storage", "records"):
            names += [f"{port}__{part}" for part in ("valid", "write", "address", "write_data")]
        seen = self.step(Probe(levels, names)).outputs
        self.asked = self.asked_record = None
        if seen["storage__valid"]:
            if seen["storage__write"]:
                self.memory[seen["storage__address"]] = seen["storage__write_data"]
            else:
                self.asked = seen["storage__address"]
        if seen["records__valid"]:
            if seen["records__write"]:
                data = seen["records__write_data"].to_bytes(RECORD_TYPE.itemsize, "little")
                self.records.reshape(-1)[seen["records__address"]] = np.frombuffer(
                    data, RECORD_TYPE
                )[0]
            else:
                self.asked_record = seen["records__address"]
        return seen

    def until(self, port, **levels):
        for _ in range(200):
            seen = self.cycle(**levels)
            if seen[port]:
                return seen
        raise AssertionError(f"{port} never came")

    def operate(self, bank, row, erase, *, last=None, beats=None, wait=True):
        payload = Packer(Operation(self.flash.banks, self.flash.rows)).pack(
            {"bank": bank, "row": row, "erase": erase}
        )
        self.until(
            "bus__operations__ready", bus__operations__valid=1, bus__operations__payload=payload
        )
        self.cycle(bus__operations__valid=0)
        if not erase:
            beats = self.flash.page_beats if beats is None else beats
            for beat in range(beats):
                self.write(100 * row + beat, beat == beats - 1 if last is None else last(beat))
        if wait:
            self.until("bus__ended")
            self.cycle()

    def write(self, lanes, last):
        beat = Packer(DataBeat(self.flash.lanes)).pack({"lanes": lanes, "last": last})
        self.cycle(bus__write_valid=1, bus__write_beat=beat)
        self.cycle(bus__write_valid=0)

    def read(self, bank, row):
        payload = Packer(Sense(self.flash.banks, self.flash.rows)).pack({"bank": bank, "row": row})
        self.until("bus__senses__ready", bus__senses__valid=1, bus__senses__payload=payload)
        self.until("bus__page_ready", bus__senses__valid=0)
        self.until("bus__transfers__ready", bus__transfers__valid=1, bus__transfers__payload=bank)
        lanes = Packer(DataBeat(self.flash.lanes))
        beats = []
        while not beats or not lanes.field(beats[-1], "last"):
            beats.append(self.until("bus__valid", bus__transfers__valid=0)["bus__beat"])
        return [lanes.field(beat, "lanes") for beat in beats]

    @property
    def violated(self):
        return self.cycle()["violated"]


@pytest.fixture
def on_bus(flash_with):
    def on_bus(body, records=None, sections="host", **options):
        flash = flash_with(sections)
        records = new_records(flash) if records is None else records
        dies = NandDies(flash, SENSE, PROGRAM, ERASE, **options)
        return play(dies, OnBus(flash, records, body))

    return on_bus


def test_a_block_is_erased_programmed_and_read_back(on_bus):
    def body(bus):
        ones = [(1 << 256) - 1] * 4
        stored = bus.read(2, 5)
        bus.operate(2, 6, True)
        assert [bus.read(2, row) for row in range(4, 8)] == [ones] * 4
        bus.operate(2, 4, False)
        bus.operate(2, 5, False)
        assert [bus.read(2, row) for row in range(4, 8)] == [
            [400, 401, 402, 403],
            [500, 501, 502, 503],
            ones,
            ones,
        ]
        assert bus.read(1, 5) == bus.read(2, 8) == stored == [0] * 4
        record = bus.records[1, 2]
        assert (record["programmed"], record["erases"], record["reads"]) == (2, 1, 8)
        assert (record["flags"], bus.violated) == (0, 0)
        others = bus.records.reshape(-1).tolist()
        assert [index for index, other in enumerate(others) if other != others[0]] == [5, 6, 10]

    on_bus(body)


def test_an_unfinished_page_is_garbage_until_its_block_is_erased(on_bus, flash_with):
    records = new_records(flash_with("host"), programmed=1)
    records["flags"][0, 1] = RecordFlag.TORN

    def body(bus):
        ones = [(1 << 256) - 1] * 4
        assert bus.read(1, 0) == [0] * 4
        garbage = bus.read(1, 1)
        assert all(60 < beat.bit_count() < 196 for beat in garbage)
        assert bus.read(1, 2) == ones
        bus.operate(1, 0, True)
        assert bus.read(1, 0) == bus.read(1, 1) == ones

    on_bus(body, records)


@pytest.mark.parametrize("erase", [False, True])
def test_the_record_says_unfinished_while_an_operation_runs(on_bus, flash_with, erase):
    def body(bus):
        bus.operate(0, 3, erase, wait=False)
        for _ in range(3):
            bus.cycle()
        before = bus.records[0, 0].copy()
        bus.until("bus__ended")
        return before, bus.records[0, 0]

    before, after = on_bus(body, new_records(flash_with("host"), programmed=3))
    assert before["flags"] == (RecordFlag.UNERASED if erase else RecordFlag.TORN)
    assert before["programmed"] == (0 if erase else 3)
    assert (after["flags"], after["programmed"]) == (0, 0 if erase else 4)


@pytest.mark.parametrize("flags", [0, RecordFlag.TORN, RecordFlag.UNERASED])
@pytest.mark.parametrize("page", range(4))
def test_only_the_next_page_of_an_erased_block_may_be_programmed(on_bus, flash_with, page, flags):
    records = new_records(flash_with("host"), programmed=2)
    records["flags"][1, 3] = flags

    def body(bus):
        assert not bus.violated
        bus.operate(3, 4 + page, False)
        return bus.violated

    assert on_bus(body, records) == (page != 2 or flags != 0)


VIOLATIONS = {
    "a beat without a program": lambda bus: bus.write(1, True),
    "a page that is too short": lambda bus: bus.operate(0, 2, False, last=lambda beat: beat == 2),
    "a page without an end": lambda bus: bus.operate(0, 2, False, last=lambda beat: False),
    "a beat too many": lambda bus: bus.operate(0, 2, False, beats=5, last=lambda beat: beat == 3),
    "a row of no block to sense": lambda bus: bus.read(0, 20),
    "a row of no block to erase": lambda bus: bus.operate(0, 31, True, wait=False),
    "a sense and an operation at once": lambda bus: bus.cycle(
        bus__senses__valid=1, bus__operations__valid=1, bus__operations__payload=1 << 7
    ),
}


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_rule_that_is_broken_is_remembered(on_bus, flash_with, what):
    records = new_records(flash_with("host"), programmed=2)
    records = np.concatenate([records, records])

    def body(bus):
        assert not bus.violated
        VIOLATIONS[what](bus)
        return [bus.violated for _ in range(50)]

    assert on_bus(body, records) == [1] * 50


def test_a_full_page_and_an_erase_break_no_rule(on_bus, flash_with):
    def body(bus):
        bus.operate(0, 2, False)
        bus.operate(0, 19, True)
        bus.read(0, 19)
        return bus.violated

    assert not on_bus(body, new_records(flash_with("host"), programmed=2))


@pytest.mark.parametrize("beside", ["sense", "erase", "nothing"])
def test_loopback_beside_anything_else_breaks_a_rule(on_bus, beside):
    def body(bus):
        if beside == "erase":
            bus.operate(0, 0, True, wait=False)
        bus.cycle(bus__loopback=1, bus__senses__valid=int(beside == "sense"))
        return bus.violated

    assert on_bus(body, sections="host, ecc, repair") == (beside != "nothing")


def test_an_erase_is_dated(flash_with):
    flash = flash_with("host")
    erase = Packer(Operation(flash.banks, flash.rows)).pack({"bank": 1, "row": 4, "erase": 1})
    records = new_records(flash)
    records["time"] = 77

    def scenario(step):
        storage = Storage("records", records, RECORD_TYPE.itemsize, writable=True)
        step(Play(trailing=3 * 2**16 - ERASE + 1, storages=[storage]))
        step(Play([Source("bus__operations", [erase])], storages=[storage], trailing=60))

    simulate(Design(NandDies, (flash, SENSE, PROGRAM, ERASE)), scenario, "native")
    assert records["time"].tolist() == [[77] * 4, [77, 3, 77, 77], *[[77] * 4] * 3]
    assert records["erases"].sum() == 1


@pytest.mark.parametrize("name", ["program_cycles", "erase_cycles"])
@pytest.mark.parametrize("cycles", [7, 0, -1, 8.0])
def test_refuses_a_time_that_is_too_short(flash_with, name, cycles):
    times = {"program_cycles": 8, "erase_cycles": 8, name: cycles}
    with pytest.raises(ValueError, match=f"^{name} must be at least 8, not {cycles}$"):
        NandDies(flash_with("host"), 8, **times)


@pytest.mark.parametrize("times", [{}, {"program_cycles": 20}, {"erase_cycles": 20}])
def test_refuses_a_host_without_times(flash_with, times):
    with pytest.raises(ValueError, match=r"^program_cycles and erase_cycles are needed where"):
        NandDies(flash_with("host"), 8, **times)


def test_refuses_a_tr_in_which_no_record_is_read(flash_with):
    with pytest.raises(ValueError, match=r"^sense_cycles must be at least 8, not 7$"):
        NandDies(flash_with("host"), 7, 20, 20)


def test_records_need_a_host_and_hold_whole_blocks(flash_with):
    with pytest.raises(ValueError, match=r"^host is missing: without it the dies keep no records$"):
        new_records(flash_with("ecc"))
    with pytest.raises(ValueError, match=r"^programmed must be from 0 to 4, not 5$"):
        new_records(flash_with("host"), programmed=5)
    assert new_records(flash_with("host")).shape == (5, 4)
    assert RECORD_TYPE.itemsize == 16
