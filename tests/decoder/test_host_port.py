"""The host's port: registers, doorbell, tokens, interrupt, each beside a chip that is played."""

import re
from pathlib import Path

import pytest

import neardecode.decoder
from neardecode.config import PRESETS, Config
from neardecode.decoder.host import HostPort
from neardecode.decoder.layouts import ChipProgramWrite, ProgramWrite, PromptToken
from neardecode.decoder.registers import (
    IDENTITY,
    Control,
    Doorbell,
    Interrupt,
    Register,
    Status,
)
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source
from neardecode_testbench.scenarios.host_port import Host, RefusedError
from neardecode_testbench.scenarios.packing import Packer

CONFIG = PRESETS["decoder-tiny"]
COUNTERS = 100
QUEUED = 16


def with_host(use):
    """What a function of a step and a host returns."""
    return simulate(
        Design(HostPort, (CONFIG, COUNTERS)), lambda step: use(step, Host(step)), "amaranth"
    )


def test_settings_are_read_as_they_were_written():
    written = {
        Register.CONTROL: Control.RUN | Control.COUNT,
        Register.ENABLED: Interrupt.FOUND,
        Register.GENERATE: 12,
        Register.COUNTER: 77,
        Register.PLACE: 9,
    }

    def use(step, host):
        before = {register: host.read(register) for register in written}
        for register, word in written.items():
            host.write(register, word)
        outputs = step(Probe({}, ["running", "counting", "generate", "counter_address"])).outputs
        return before, {register: host.read(register) for register in written}, outputs

    before, after, outputs = with_host(use)
    assert before == dict.fromkeys(written, 0) | {Register.GENERATE: 1}
    assert after == written
    assert outputs == {"running": 1, "counting": 1, "generate": 12, "counter_address": 77}


def test_identity_status_and_position():
    def use(step, host):
        found = [host.read(Register.IDENTITY), host.read(Register.STATUS)]
        step(Probe({"idle": 1, "saturated": 1, "error": 1, "position": 33}, []))
        return [*found, host.read(Register.STATUS), host.read(Register.POSITION)]

    assert with_host(use) == [
        IDENTITY,
        Status.ROOM,
        Status.IDLE | Status.ROOM | Status.SATURATED | Status.UNREAD,
        33,
    ]


def test_tokens_of_the_doorbell_come_in_order_until_its_queue_is_full():
    pack = Packer(PromptToken())
    words = [Doorbell.FIRST | 5, *range(10, 10 + QUEUED - 2), Doorbell.LAST | 0xFFFFF]

    def use(step, host):
        for word in words:
            host.write(Register.DOORBELL, word)
        room = host.read(Register.STATUS) & Status.ROOM
        with pytest.raises(RefusedError):
            host.write(Register.DOORBELL, 99)
        taken = step(Play(sinks=[Sink("prompt", QUEUED)], trailing=4)).sinks["prompt"]
        return room, taken.payloads

    room, taken = with_host(use)
    assert room == 0
    assert [pack.field(bits, "token") for bits in taken] == [
        5,
        *range(10, 10 + QUEUED - 2),
        0xFFFFF,
    ]
    assert [pack.field(bits, "first") for bits in taken] == [1] + [0] * (QUEUED - 1)
    assert [pack.field(bits, "last") for bits in taken] == [0] * (QUEUED - 1) + [1]


def test_tokens_found_interrupt_and_are_read_in_order():
    def use(step, host):
        host.write(Register.ENABLED, Interrupt.FOUND)
        with pytest.raises(RefusedError):
            host.read(Register.TOKEN)
        quiet = step(Probe({}, ["irq"])).outputs["irq"]
        step(Play(sources=[Source("tokens", [7, 8, 9])]))
        loud = step(Probe({}, ["irq"])).outputs["irq"]
        host.write(Register.INTERRUPTS, Interrupt.FOUND)
        cleared = step(Probe({}, ["irq"])).outputs["irq"]
        status = host.read(Register.STATUS) & Status.FOUND
        found = [host.read(Register.TOKEN) for _ in range(3)]
        return quiet, loud, cleared, status, found, host.read(Register.STATUS) & Status.FOUND

    assert with_host(use) == (0, 1, 0, Status.FOUND, [7, 8, 9], 0)


def test_an_interrupt_that_is_not_enabled_only_waits():
    def use(step, host):
        step(Play(sources=[Source("tokens", [7])]))
        masked = step(Probe({}, ["irq"])).outputs["irq"]
        pending = host.read(Register.INTERRUPTS)
        host.write(Register.ENABLED, Interrupt.FOUND)
        return masked, pending, step(Probe({}, ["irq"])).outputs["irq"]

    assert with_host(use) == (0, Interrupt.FOUND, 1)


def test_the_first_faults_are_kept_with_their_positions():
    def use(step, host):
        step(Probe({"position": 5}, []))
        step(Probe({"position": 6, "saturated": 1}, []))
        step(Probe({"position": 8, "error": 1}, []))
        step(Probe({"position": 9, "saturated": 0}, []))
        return (
            host.read(Register.INTERRUPTS),
            host.read(Register.SATURATED_AT),
            host.read(Register.UNREAD_AT),
        )

    assert with_host(use) == (Interrupt.FAULT, 6, 8)


def test_a_descriptor_is_stored_by_its_last_word_and_the_place_moves_on():
    pack = Packer(ProgramWrite(CONFIG))
    bits = ProgramWrite(CONFIG)["descriptor"].width
    words = -(-bits // 32)
    descriptors = [(1 << bits) - 1, 0x1234_5678_9ABC_DEF0_1357 % (1 << bits)]

    def use(step, host):
        host.write(Register.PLACE, 6)
        stored = []
        for descriptor in descriptors:
            for index in range(words):
                word = descriptor >> (32 * index) & 0xFFFF_FFFF
                if index < words - 1:
                    host.write(Register.DESCRIPTOR + 4 * index, word)
            last = Register.DESCRIPTOR + 4 * (words - 1)
            outcome = step(
                Play(
                    sources=[Source("axi__aw", [last]), Source("axi__w", [word])],
                    sinks=[Sink("axi__b", 1), Sink("program", 1)],
                )
            )
            stored += outcome.sinks["program"].payloads
        return stored, host.read(Register.PLACE)

    stored, place = with_host(use)
    assert [pack.field(each, "descriptor") for each in stored] == descriptors
    assert [pack.field(each, "address") for each in stored] == [6, 7]
    assert place == 8


def test_of_several_chips_a_register_says_which_gets_the_program():
    config = Config.model_validate({**CONFIG.model_dump(), "chips": 3})
    pack = Packer(ChipProgramWrite(config))
    words = -(-pack.bits // 32)

    def use(step):
        host = Host(step)
        found = []
        for chip in (2, 0):
            host.write(Register.PLACE, 9)
            host.write(Register.CHIP, chip)
            with pytest.raises(RefusedError):
                host.write(Register.CHIP, 3)
            found.append((host.read(Register.CHIP), host.read(Register.PLACE)))
            last = Register.DESCRIPTOR + 4 * (words - 1)
            outcome = step(
                Play(
                    sources=[Source("axi__aw", [last]), Source("axi__w", [7])],
                    sinks=[Sink("axi__b", 1), Sink("program", 1)],
                )
            )
            found.append(pack.field(outcome.sinks["program"].payloads[0], "chip"))
        return found

    found = simulate(Design(HostPort, (config, COUNTERS)), use, "amaranth")
    assert found == [(2, 0), 2, (0, 0), 0]


def test_one_chip_has_no_such_register():
    def use(step, host):
        with pytest.raises(RefusedError):
            host.write(Register.CHIP, 0)

    with_host(use)


def test_a_count_is_read_in_two_words_of_the_same_cycle():
    def use(step, host):
        step(Probe({"counter_value": 0x1234_FFFF_FFFF}, []))
        low = host.read(Register.COUNT_LOW)
        step(Probe({"counter_value": 0x1235_0000_0000}, []))
        return low, host.read(Register.COUNT_HIGH)

    assert with_host(use) == (0xFFFF_FFFF, 0x1234)


@pytest.mark.parametrize("register", [0x3C, 0x7C, 0x80, 0xFFC, Register.CONTROL + 1])
def test_what_is_no_register_is_refused(register):
    def use(step, host):
        for access in (lambda: host.read(register), lambda: host.write(register, 1)):
            with pytest.raises(RefusedError):
                access()

    with_host(use)


@pytest.mark.parametrize(
    "register", [Register.IDENTITY, Register.STATUS, Register.TOKEN, Register.COUNT_LOW]
)
def test_what_is_only_read_refuses_a_write(register):
    def use(step, host):
        with pytest.raises(RefusedError):
            host.write(register, 1)

    with_host(use)


def test_an_answer_stands_until_it_is_taken_and_nothing_overtakes_it():
    def use(step, host):
        outcome = step(
            Play(
                sources=[Source("axi__ar", [Register.IDENTITY, Register.GENERATE])],
                sinks=[Sink("axi__r", 2, stalls=[1, 1, 1, 0])],
            )
        )
        return outcome.sinks["axi__r"].payloads

    assert with_host(use) == [IDENTITY, 1]


@pytest.mark.parametrize(
    ("control", "outputs"),
    [
        (Control.RUN, {"running": 1, "counting": 0}),
        (Control.COUNT, {"running": 0, "counting": 1}),
    ],
)
def test_each_bit_of_control_is_its_own(control, outputs):
    def use(step, host):
        host.write(Register.CONTROL, control)
        return step(Probe({}, list(outputs))).outputs

    assert with_host(use) == outputs


@pytest.mark.parametrize("late", ["axi__aw", "axi__w"])
def test_a_write_waits_for_both_of_its_parts(late):
    stalls = {late: [1, 1, 1, 1, 1, 0]}

    def use(step, host):
        host.write(Register.GENERATE, 3)
        outcome = step(
            Play(
                sources=[
                    Source("axi__aw", [Register.PLACE], stalls.get("axi__aw")),
                    Source("axi__w", [7], stalls.get("axi__w")),
                ],
                sinks=[Sink("axi__b", 1)],
            )
        )
        return outcome.sinks["axi__b"].payloads, host.read(Register.PLACE)

    assert with_host(use) == ([0], 7)


def test_the_answer_to_a_write_stands_until_it_is_taken():
    def use(step, host):
        outcome = step(
            Play(
                sources=[
                    Source("axi__aw", [Register.GENERATE, 0x3C]),
                    Source("axi__w", [5, 5]),
                ],
                sinks=[Sink("axi__b", 2, stalls=[1, 1, 1, 0])],
                limit=100,
            )
        )
        return outcome.sinks["axi__b"].payloads, host.read(Register.GENERATE)

    assert with_host(use) == ([0, 2], 5)


def test_a_token_that_finds_no_place_waits_and_does_not_interrupt():
    def use(step, host):
        step(Play(sources=[Source("tokens", list(range(QUEUED)))]))
        step(Probe({"tokens__valid": 1, "tokens__payload": 99}, []))
        host.write(Register.INTERRUPTS, Interrupt.FOUND)
        waits = host.read(Register.INTERRUPTS)
        host.read(Register.TOKEN)
        return waits, host.read(Register.INTERRUPTS)

    assert with_host(use) == (0, Interrupt.FOUND)


def test_the_register_map_is_what_the_port_has():
    text = (Path(neardecode.decoder.__path__[0]) / "HOST.md").read_text()
    rows = dict(re.findall(r"^\| (0x\w+)\S* \| (\w+) \|", text, re.M))
    assert {int(place, 16): name for place, name in rows.items()} == {
        register.value: register.name for register in Register
    }
