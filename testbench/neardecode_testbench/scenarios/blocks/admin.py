"""Admin commands, one after another, every answer and every wire against the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neardecode.config import Flash
from neardecode.flash.admin.command import AdminAnswer, AdminCommand, AdminData, admin_entry_bits
from neardecode.flash.admin.logs import ErrorEvent
from neardecode.flash.blocks.ports import BlockAddress, BlockWear, ZoneSwap
from neardecode_testbench.drive.stimulus import Probe, Step
from neardecode_testbench.scenarios.blocks.admin_model import (
    AdminModel,
    Command,
    LoggedError,
    Prediction,
    Surroundings,
    all_registers,
    get_feature,
    read_register,
    set_feature,
    write_register,
)
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, CheckError, Pacing, Recorder
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["AdminCommands", "Change", "Ended", "Errors", "random_script", "read_everything"]

STREAMS = ("commands", "data", "answers")
Errors = tuple[LoggedError | None, LoggedError | None]
"""What is logged in one cycle, the older one first."""
SETTLED_CYCLES = 2
"""From a change of a status port until an interrupt follows."""


@dataclass(frozen=True)
class Change:
    """The rest of the controller shows something else.

    Attributes:
        levels: Status ports; those left out stay.
        counts: Of the smart log; those left out stay.
        retired: Blocks that are retired from here on, as (bank, block).
    """

    levels: dict[str, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    retired: tuple[tuple[int, int], ...] = ()


@dataclass
class Ended:
    """A command that came to its end.

    Attributes:
        command: The command.
        prediction: What it had to bring, and brought.
        started: The cycle in which the command was taken, or the last beat of its data.
        answers: The cycles in which its answers were taken.
        erased: The cycle of ``erase_done``; None for another command.
    """

    command: Command
    prediction: Prediction
    started: int = -1
    answers: list[int] = field(default_factory=list)
    erased: int | None = None


@dataclass
class AdminCommands:
    """A script of commands, errors to log and changes around.

    Attributes:
        config, clock_ghz: Of the controller.
        script: What happens, in order; everything waits for the answer before it.
        pacing: Of the streams.
        seed: Of entries, of delays, and of the code by which a block is retired.
        recorder: Sees every stream.
    """

    config: Flash
    clock_ghz: float
    script: Sequence[Command | Errors | Change]
    pacing: Pacing = FULL_RATE
    seed: int = 1
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> list[Ended]:
        """Plays the script.

        Raises:
            CheckError: if an answer, an effect or an output is not what the model says.
        """
        self._step = step
        self._random = np.random.default_rng(self.seed)
        self._around = Surroundings()
        self.model = AdminModel(self.config, self.clock_ghz, self._around)
        bits = admin_entry_bits(self.config)
        self._entries = 1 << bits
        self._commands = Packer(AdminCommand(bits))
        self._data = Packer(AdminData(self.config.beat_bytes))
        self._answers = Packer(AdminAnswer(bits, self.config.beat_bytes))
        self._errors = Packer(ErrorEvent(self.config))
        assert self.config.host is not None
        self._strobes = {
            "swap": (Packer(ZoneSwap(self.config.host.zones)), ("source", "destination")),
            "mark_bad": (Packer(BlockAddress(self.config)), ("bank", "block")),
            "scan": (Packer(BlockAddress(self.config)), ("bank", "block")),
            "inspect": (Packer(BlockAddress(self.config)), ("bank", "block")),
        }
        self._wear = Packer(BlockWear())
        self._inspecting: list[dict[str, int]] = []
        self._next_levels: dict[str, int] = dict.fromkeys(
            (*(f"{stream}__valid" for stream in STREAMS[:2]), "answers__ready", "erase_done"), 0
        )
        self._cycle = 0
        self._effects: list[tuple] = []
        self._ended: list[Ended] = []
        self._show()
        self._idle(SETTLED_CYCLES)
        for item in self.script:
            if isinstance(item, tuple):
                self._log(item)
            elif isinstance(item, Change):
                self._change(item)
                self._idle(SETTLED_CYCLES)
            else:
                self._run(item)
            self._check_outputs([self.model.outputs()], self._cycle_of({}))
        return self._ended

    def _log(self, errors: Errors) -> None:
        packed = [
            0 if error is None else self._errors.pack({"en": 1, **vars(error)}) for error in errors
        ]
        self._cycle_of({f"errors__{place}": bits for place, bits in enumerate(packed)})
        for error in errors:
            if error is not None:
                self.model.log(error)
        self._cycle_of({f"errors__{place}": 0 for place in range(len(errors))})

    def _change(self, change: Change) -> None:
        levels = self._around.levels | change.levels
        counts = [change.counts.get(k, value) for k, value in enumerate(self._around.counts)]
        self.model.show(levels, counts)
        self._around.retired.update(change.retired)
        self._show()

    def _show(self) -> None:
        self._next_levels |= self._around.levels
        self._next_levels["counts"] = sum(
            value << 48 * place for place, value in enumerate(self._around.counts)
        )

    def _idle(self, cycles: int) -> None:
        for _ in range(cycles):
            self._cycle_of({})

    def _cycle_of(self, levels: dict[str, int]) -> dict[str, int]:
        """One cycle: its outputs, and what they ask of the surroundings in the next."""
        self._next_levels |= levels
        ports = [
            *("commands__ready", "data__ready", "answers__valid", "answers__payload"),
            *("swap", "mark_bad", "scan", "erase_request", "erase_zones", "erase_scratchpad"),
            *("inspect", "zone"),
            *("clear_cattrip", "reset", *self.model.outputs()),
        ]
        outcome = self._step(Probe(self._next_levels, ports))
        self._cycle = outcome.start
        seen = outcome.outputs
        self._next_levels = {
            "scanned_retired": int(self._random.integers(8)),
            "zone_erases": self._around.zone_erases(seen["zone"]),
            **(self._inspecting.pop(0) if self._inspecting else {"inspected": 0}),
        }
        for name, (packer, fields) in self._strobes.items():
            if packer.field(seen[name], "en"):
                effect = (name, *(packer.field(seen[name], key) for key in fields))
                self._effects.append(effect)
                if name == "scan":
                    retired = effect[1:] in self._around.retired
                    code = int(self._random.integers(1, 5)) if retired else 0
                    self._next_levels["scanned_retired"] = code
                elif name == "inspect":
                    reads, erases = self._around.wear(*effect[1:])
                    wear = self._wear.pack({"reads": reads, "erases": erases})
                    waits = [{"inspected": 0}] * int(self._random.integers(40))
                    self._inspecting = [*waits, {"inspected": 1}, {"inspected": 0, "wear": wear}]
        for name in ("clear_cattrip", "reset"):
            if seen[name]:
                self._effects.append((name,))
        return seen

    def _run(self, command: Command) -> None:
        before = self.model.outputs()
        prediction = self.model(command)
        after = self.model.outputs()
        ended = Ended(command, prediction)
        entry = int(self._random.integers(self._entries))
        self._effects = []
        stalls = {stream: self.pacing.stalls(stream) for stream in STREAMS}
        offers = {
            "commands": [
                self._commands.pack(
                    {
                        "write": command.write,
                        "address": command.address,
                        "user": command.user,
                        "beats": command.beats,
                        "entry": entry,
                    }
                )
            ],
            "data": [
                self._data.pack({"data": beat, "last": place == len(command.data) - 1})
                for place, beat in enumerate(command.data)
            ],
        }
        expected = self._expected(command, prediction, entry)
        meaning = self._answers.mask("entry", "write", "status", "info", "last")
        if not command.write:
            meaning |= self._answers.mask("data")
        offered = dict.fromkeys(offers, False)
        erase_cycles = int(self._random.integers(5))
        requested = 0
        limit = 2000 + 20 * 8 * self.config.beat_bytes * command.beats
        for _ in range(limit):
            cycle = self._cycle + 1
            levels = {"erase_done": int(requested > erase_cycles)}
            for stream, payloads in offers.items():
                pattern = stalls[stream]
                held = pattern is not None and bool(pattern[cycle % len(pattern)])
                offered[stream] = bool(payloads) and (offered[stream] or not held)
                levels[f"{stream}__valid"] = int(offered[stream])
                if payloads:
                    levels[f"{stream}__payload"] = payloads[0]
            pattern = stalls["answers"]
            ready = pattern is None or not pattern[cycle % len(pattern)]
            levels["answers__ready"] = int(ready)
            if levels["erase_done"]:
                ended.erased = cycle
            seen = self._cycle_of(levels)
            if seen["answers__valid"]:
                self._check_outputs([after], seen)
            else:
                self._check_outputs([before, after], seen)
            for stream in offers:
                if offered[stream] and seen[f"{stream}__ready"]:
                    offers[stream].pop(0)
                    offered[stream] = False
                    ended.started = cycle
            if seen["erase_request"]:
                requested = 0 if levels["erase_done"] else requested + 1
                erase = ("erase", seen["erase_zones"], seen["erase_scratchpad"])
                if self._effects[-1:] != [erase]:
                    self._effects.append(erase)
            taken = bool(seen["answers__valid"]) and ready
            if seen["reset"] and not (taken and len(expected) == 1):
                raise CheckError(f"{command}: reset in cycle {cycle}, not with its answer")
            if taken:
                ended.answers.append(cycle)
                is_, should_be = seen["answers__payload"] & meaning, expected.pop(0) & meaning
                if is_ != should_be:
                    raise CheckError(
                        f"{command}, answer {len(ended.answers)}: {is_:#x}, not {should_be:#x}"
                    )
                if not expected:
                    break
        else:
            raise CheckError(f"{command}: no end after {limit} cycles")
        if any(offers.values()):
            raise CheckError(f"{command}: answered before its data had come")
        for _ in range(2):
            seen = self._cycle_of(dict.fromkeys(("commands__valid", "data__valid"), 0))
            if seen["answers__valid"]:
                raise CheckError(f"{command}: one answer too many")
        erases = any(effect[0] == "erase" for effect in prediction.effects)
        if erases and (ended.erased is None or ended.erased >= ended.answers[0]):
            raise CheckError(f"{command}: answered before it was done")
        if self._effects != prediction.effects:
            raise CheckError(f"{command}: did {self._effects}, not {prediction.effects}")
        self._ended.append(ended)

    def _expected(self, command: Command, prediction: Prediction, entry: int) -> list[int]:
        data = [0] if command.write else prediction.data
        return [
            self._answers.pack(
                {
                    "entry": entry,
                    "write": command.write,
                    "status": prediction.status,
                    "data": beat,
                    "last": place == len(data) - 1,
                }
            )
            for place, beat in enumerate(data)
        ]

    def _check_outputs(self, expected: list[dict[str, int]], seen: dict[str, int]) -> None:
        """Every output, by itself, is what one of the settings says."""
        for name in expected[0]:
            allowed = [outputs[name] for outputs in expected]
            if seen[name] not in allowed:
                raise CheckError(f"{name}, cycle {self._cycle}: {seen[name]:#x}, not {allowed}")


def read_everything() -> list[Command]:
    """Reads of every register and feature."""
    return [
        *(read_register(*place) for place in all_registers()),
        *(get_feature(address) for address in range(4)),
    ]


def random_script(config: Flash, seed: int, commands: int) -> list[Command | Errors | Change]:
    """Commands of every kind, legal and not, with errors and changes between them."""
    random = _Random(config, seed)
    script: list[Command | Errors | Change] = []
    if random.chance(0.7):
        # Most of the time the host levels wear, or hardly any zone would be remapped.
        script.append(write_register(True, 0x00C, 1 << 16 | 0x80))
    while commands:
        choice = random.below(10)
        if choice == 0:
            script.append(random.change())
        elif choice == 1:
            script.append(random.errors())
        else:
            script.append(random.command())
            commands -= 1
    return script


class _Random:
    """Random commands, and what happens around them.

    Args:
        config: Of the controller.
        seed: Of everything.
    """

    def __init__(self, config: Flash, seed: int):
        assert config.host is not None
        self._config, self._host = config, config.host
        self._random = np.random.default_rng(seed)

    def below(self, limit: int) -> int:
        """A number from 0."""
        return int(self._random.integers(limit))

    def bits(self, width: int) -> int:
        """A number of so many bits."""
        return int.from_bytes(self._random.bytes(-(-width // 8)), "little") & (1 << width) - 1

    def chance(self, share: float) -> bool:
        """Whether something happens."""
        return bool(self._random.random() < share)

    def pick(self, values: Sequence[int]) -> int:
        """One of several."""
        return values[self.below(len(values))]

    def change(self) -> Change:
        """Some status ports, counts and blocks."""
        names = [
            *("io_ready", "scratchpad_ready", "fatal", "light_status", "cattrip_status"),
            *("shutdown", "reduced"),
        ]
        levels = {name: self.below(2) for name in names if self.chance(0.3)}
        levels |= {"maximum_erases": self.bits(32), "average_erases": self.bits(32)}
        counts = {place: self.bits(48) for place in range(12) if self.chance(0.3)}
        blocks = tuple(
            (self.below(self._config.banks), self.below(self._config.blocks_a_bank))
            for _ in range(self.below(4))
        )
        return Change(levels, counts, blocks)

    def errors(self) -> Errors:
        """One error or two."""
        first, second = (
            LoggedError(self.bits(4), self.bits(4), self.bits(3), self.below(self._config.pages))
            for _ in range(2)
        )
        return ((first, None), (None, second), (first, second))[self.below(3)]

    def command(self) -> Command:
        """Any command, sometimes with something wrong about it."""
        kinds = [
            *(self._register, self._register, self._register, self._feature, self._feature),
            *(self._erase, self._log, self._remapping, self._capacity, self._unknown),
        ]
        command = kinds[self.below(len(kinds))]()
        if self.chance(0.1):
            command = replace(command, user=self.bits(9))
        if self.chance(0.05):
            command = replace(command, address=command.address ^ 1 << self.below(28) + 8)
        if command.write and self.chance(0.08):
            beats = self.below(4) + 1
            data = tuple(self.bits(8 * self._config.beat_bytes) for _ in range(beats))
            # Sometimes more data, or less, than the command says.
            beats = self.below(4) + 1 if self.chance(0.5) else beats
            command = replace(command, beats=beats, data=data)
        elif not command.write and self.chance(0.05):
            command = replace(command, beats=self.below(64) + 1)
        return command

    def _register(self) -> Command:
        writable = [
            *((False, 0x010), (False, 0x018), (False, 0x204), (False, 0x208), (True, 0x00C)),
            *((False, 0x22C), (False, 0x22C), (False, 0x238)),
            *((True, 0x00C), (True, 0x014), (True, 0x018), (True, 0x100), (True, 0x104)),
            (True, 0x150),
        ]
        places = writable if self.chance(0.7) else all_registers()
        mmio, offset = places[self.below(len(places))]
        if self.chance(0.05):
            offset += self.below(1 << 12)
        if self.chance(0.4):
            return read_register(mmio, offset)
        value = self.bits(32)
        if (mmio, offset) == (True, 0x00C) and self.chance(0.8):
            value = self.below(6) << 24 | 1 << 16 + self.below(2) | self.pick((0, 0x80, 0x80, 0x40))
            value |= self.below(2)
        if (mmio, offset) == (True, 0x014) and self.chance(0.6):
            value = 0x484246 << 8 | self.below(4)
        if mmio and offset in (0x100, 0x104) and self.chance(0.8):
            value = self.bits(self.below(24) + 1) << 8 | self.below(7)
        return write_register(mmio, offset, value)

    def _feature(self) -> Command:
        address = self.pick((0, 1, 2, 3, 4, 0x10, 0x10, self.bits(28)))
        if self.chance(0.3):
            return get_feature(address)
        if address == 0x10:
            bank = self.below(self._config.banks + self.below(2))
            block = self.below(self._config.blocks_a_bank + self.below(2))
            return set_feature(address, block << 16 | bank | self.chance(0.1) << 48)
        return set_feature(address, self.pick((self.below(2), self.below(9), self.bits(33))))

    def _erase(self) -> Command:
        operand = self.bits(4) & (0b0111 if self.chance(0.8) else 0b1111)
        bitmap = self.bits(self._host.zones + self.below(2))
        junk = self.bits(8 * self._config.beat_bytes - 32) << 32
        return Command(True, 0x03 | operand << 8, data=(junk | bitmap,))

    def _log(self) -> Command:
        page = self.pick((0, 0, 1, 1, 1, 2, 3, 15))
        start, beats = self.below(4), self.below(5) + 1
        if page == 1 and self.chance(0.5):
            start, beats = self.below(18), self.below(17) + 1
        return Command(False, 0x04 | page << 8 | start << 16, beats=beats)

    def _remapping(self) -> Command:
        pairs = self._config.beat_bytes // 4
        zones = [int(zone) for zone in self._random.permutation(self._host.zones)]
        used = self.below(self._host.zones // 2 + 1)
        words = [0] * 2 * pairs
        # At any places: a pair that is not used may stand anywhere.
        for pair in self._random.permutation(pairs)[:used]:
            words[2 * pair], words[2 * pair + 1] = zones.pop(), zones.pop()
        if self.chance(0.3):
            words[self.below(2 * pairs)] = self.pick((0, 1, self._host.zones, 1 << 15))
        data = sum(word << 16 * place for place, word in enumerate(words))
        return Command(True, 0x08 | (self.chance(0.1) << 8 + self.below(8)), data=(data,))

    def _capacity(self) -> Command:
        bits = 8 * self._config.beat_bytes
        beats = -(-self._config.banks * self._config.blocks_a_bank // bits)
        start = self.below(beats + 1)
        asked = max(1, self.below(beats - start + 2))
        return Command(False, 0x0A | start << 16, beats=asked)

    def _unknown(self) -> Command:
        opcode = self.pick((0x00, 0x05, 0x07, 0x09, 0x0B, 0x1F, 0x21, 0xFF))
        address = opcode | self.bits(28) << 8
        if self.chance(0.5):
            return Command(False, address)
        return Command(True, address, data=(self.bits(8 * self._config.beat_bytes),))
