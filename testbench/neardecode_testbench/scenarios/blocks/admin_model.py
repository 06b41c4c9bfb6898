"""What every admin command answers and does, from the text of the specification.

Source: OCP HBF v0.7.0, sections 5.2.4 and 5.9; where it leaves something to the product, from
``REGISTERS.md``. Nothing here comes from the register map that the hardware is built from.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

from neardecode.config import Flash

__all__ = [
    "AdminModel",
    "Command",
    "LoggedError",
    "Prediction",
    "Surroundings",
    "all_registers",
    "get_feature",
    "read_register",
    "set_feature",
    "write_register",
]

OK, FIELD, VALUE, DENIED, UNSUPPORTED = 0, 1, 2, 3, 5
ALWAYS_ON, MMIO = 0b010, 0b110
UNIT_NS = (1, 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9)
COUNTS = 12
KEPT_ERRORS = 16


@dataclass(frozen=True)
class Command:
    """A command as it comes from the host.

    Attributes:
        write, address, user, beats: As `AdminCommand`'s.
        data: The beats of a write that really come.
    """

    write: bool
    address: int
    user: int = ALWAYS_ON
    beats: int = 1
    data: tuple[int, ...] = ()


@dataclass(frozen=True)
class LoggedError:
    """An error to log."""

    kind: int
    status: int
    info: int
    address: int


@dataclass
class Surroundings:
    """What the rest of the controller shows.

    Attributes:
        levels: Status ports by their names.
        counts: Of the smart log.
        retired: (bank, block) of every block that is retired.
    """

    @staticmethod
    def wear(bank: int, block: int) -> tuple[int, int]:
        """Reads and erases of a block: any numbers, those of no two blocks the same."""
        return 0x9E37 * block + bank & 0xFFFFFFFF, 0x85EBCA6B * (bank + 1) + block & 0xFFFFFFFF

    @staticmethod
    def zone_erases(zone: int) -> int:
        """The mean erases of a zone."""
        return 0xC2B2AE35 * (zone + 1) & 0xFFFFFFFF

    levels: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            (
                *("io_ready", "scratchpad_ready", "fatal", "light_status", "cattrip_status"),
                *("shutdown", "reduced", "maximum_erases", "average_erases"),
            ),
            0,
        )
    )
    counts: list[int] = field(default_factory=lambda: [0] * COUNTS)
    retired: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Prediction:
    """What a command must bring.

    Attributes:
        status: Of all its answers.
        data: Of the answers to a read.
        effects: What it does outside, in order: a name and numbers.
    """

    status: int
    data: list[int] = field(default_factory=list)
    effects: list[tuple] = field(default_factory=list)


def read_register(mmio: bool, offset: int) -> Command:
    """A Register Read."""
    return Command(False, 0x20 | offset << 8, MMIO if mmio else ALWAYS_ON)


def write_register(mmio: bool, offset: int, value: int) -> Command:
    """A Register Write."""
    return Command(True, 0x20 | offset << 8, MMIO if mmio else ALWAYS_ON, data=(value,))


def get_feature(address: int) -> Command:
    """A Get Feature."""
    return Command(False, 0x02 | address << 8)


def set_feature(address: int, value: int) -> Command:
    """A Set Feature."""
    return Command(True, 0x01 | address << 8, data=(value,))


# Table 15 and table 16: first and last byte.
ALWAYS_ON_RANGES = (
    *((0x000, 0x003), (0x004, 0x007), (0x008, 0x00B), (0x010, 0x017), (0x018, 0x01F)),
    *((0x058, 0x097), (0x098, 0x197), (0x200, 0x203), (0x204, 0x23F)),
)
MMIO_RANGES = ((0x000, 0x067), (0x100, 0x13F), (0x140, 0x153))


def all_registers() -> list[tuple[bool, int]]:
    """Every dword that there is."""
    return [
        (mmio, offset)
        for mmio, ranges in ((False, ALWAYS_ON_RANGES), (True, MMIO_RANGES))
        for first, last in ranges
        for offset in range(first, last + 1, 4)
    ]


class AdminModel:
    """The controller's registers, features and logs, a command at a time.

    Args:
        config: Of the controller.
        clock_ghz: Of the controller.
        around: Looked at by every command.
    """

    def __init__(self, config: Flash, clock_ghz: float, around: Surroundings):
        assert config.host is not None
        self._config, self._host, self._clock = config, config.host, clock_ghz
        self._around = around
        self.errors: list[LoggedError] = []
        self.pending = 0
        self._wear = (0, 0)
        grades = sum(config.beat_bytes * clock_ghz >= least for least in (24, 96, 192))
        self._grades = max(grades, 1)
        self._code = 0
        while 1 << self._code + 2 <= self._host.reads + self._host.writes:
            self._code += 1
        self._settings = {
            (False, 0x010): 0,
            (False, 0x018): 0,
            (False, 0x208): 0,
            (False, 0x22C): 0,
            (False, 0x238): 0,
            (True, 0x00C): self._code << 24 | 1 << 16 + self._grades - 1,
            (True, 0x014): 0,
            (True, 0x100): _timer(self._host.accumulate_ns),
            (True, 0x104): _timer(self._host.gather_ns),
            (True, 0x150): 1 << 23 | 90 << 16 | 1 << 15 | 70 << 8 | 50,
        }
        self._features = {2: 1_000_000}
        self._most = {2: 0xFFFFFFFF}
        if config.ecc is not None:
            correctable, stages = config.ecc.correctable, config.ecc.retry_stages
            self._features |= {0: 0, 1: 3 * correctable // 4, 3: stages}
            self._most |= {0: 1, 1: correctable, 3: stages}

    def log(self, error: LoggedError) -> None:
        """An error is logged."""
        self.errors.append(error)
        self.pending |= 1

    def show(self, levels: dict[str, int], counts: list[int]) -> None:
        """The rest of the controller shows something else than before."""
        old = self._around.levels
        if any(old[n] != levels[n] for n in ("light_status", "cattrip_status", "shutdown")):
            self.pending |= 2
        if (levels["reduced"] and not old["reduced"]) or ((counts[7] ^ self._around.counts[7]) & 1):
            self.pending |= 4
        self._around.levels.update(levels)
        self._around.counts[:] = counts

    def outputs(self) -> dict[str, int]:
        """What the controller is set to."""
        bucc, temperatures = self._settings[True, 0x00C], self._settings[True, 0x150]
        code = bucc >> 24 & 15
        features = self._features
        return {
            "enabled": bucc & 1,
            "outstanding_limit": 1 if code == 0 else 1 << code + 1,
            "host_wear_levelling": int(bucc >> 6 & 3 == 0b10),
            "release": temperatures & 0x7F,
            "light": temperatures >> 8 & 0x7F,
            "severe": temperatures >> 16 & 0x7F,
            "light_enabled": temperatures >> 15 & 1,
            "severe_enabled": temperatures >> 23 & 1,
            "accumulate_cycles": self._cycles(self._settings[True, 0x100]),
            "gather_cycles": self._cycles(self._settings[True, 0x104]),
            "host_retry": features.get(0, 0),
            "cecc_threshold": features.get(1, 0),
            "read_limit": features[2],
            "retry_stages": features.get(3, 0),
            "interrupt": int(self.pending & self._settings[False, 0x208] != 0),
        }

    def _cycles(self, timer: int) -> int:
        unit = ceil(UNIT_NS[timer & 0xFF] * Fraction(str(self._clock)) * 65536)
        return min(floor(Fraction((timer >> 8) * unit, 65536) + Fraction(15, 16)), 0xFFFFFFFF)

    def __call__(self, command: Command) -> Prediction:
        """What a command brings; it is done."""
        opcode, operand = command.address & 0xFF, command.address >> 8
        commands: dict[tuple[int, bool], Callable[[Command, int], Prediction]] = {
            (0x01, True): self._set_feature,
            (0x02, False): self._get_feature,
            (0x03, True): self._secure_erase,
            (0x04, False): self._get_log_page,
            (0x08, True): self._zone_remapping,
            (0x0A, False): self._reduced_capacity,
            (0x20, False): self._register_read,
            (0x20, True): self._register_write,
        }
        do = commands.get((opcode, command.write))
        user = command.user & (0b111111011 if opcode == 0x20 else 0b111111111)
        if do is None:
            prediction = Prediction(UNSUPPORTED)
        elif user != 0b10:
            prediction = Prediction(DENIED)
        elif opcode not in (0x04, 0x0A) and (
            command.beats != 1 or (command.write and len(command.data) != 1)
        ):
            prediction = Prediction(UNSUPPORTED)
        else:
            prediction = do(command, operand)
        if not command.write and not prediction.data:
            prediction.data = [0] * command.beats
        return prediction

    def _set_feature(self, command: Command, operand: int) -> Prediction:
        value = command.data[0]
        if operand == 0x10:
            bank, block = value & 0xFFFF, value >> 16
            if bank >= self._config.banks or block >= self._config.blocks_a_bank:
                return Prediction(VALUE)
            return Prediction(OK, effects=[("mark_bad", bank, block)])
        if operand not in self._features:
            return Prediction(FIELD)
        if value > self._most[operand]:
            return Prediction(VALUE)
        self._features[operand] = value
        return Prediction(OK)

    def _get_feature(self, command: Command, operand: int) -> Prediction:
        if operand not in self._features:
            return Prediction(FIELD)
        return Prediction(OK, [self._features[operand]])

    def _secure_erase(self, command: Command, operand: int) -> Prediction:
        capacity, setting = operand & 3, operand >> 2 & 3
        if operand >> 4 or setting > 1:
            return Prediction(FIELD)
        bitmap = command.data[0] & 0xFFFFFFFF
        if capacity == 2 and (bitmap == 0 or bitmap >> self._host.zones):
            return Prediction(VALUE)
        if setting == 0:
            return Prediction(OK)
        everything = (1 << self._host.zones) - 1
        zones = (everything, everything, bitmap, 0)[capacity]
        return Prediction(OK, effects=[("erase", zones, int(capacity in (0, 3)))])

    def _get_log_page(self, command: Command, operand: int) -> Prediction:
        page, start = operand & 0xF, operand >> 8 & 0xFFFF
        if operand >> 4 & 0xF or operand >> 24 or page > 1:
            return Prediction(FIELD)
        beat_bytes = self._config.beat_bytes
        if page == 0:
            beats = -(-128 // beat_bytes)
            log = self._smart_log()
        else:
            beats = KEPT_ERRORS
            log = self._error_log()
        if start + command.beats > beats:
            return Prediction(VALUE)
        if page == 1 and start >= len(self.errors):
            return Prediction(DENIED)
        log += bytes(beats * beat_bytes - len(log))
        return Prediction(
            OK,
            [
                int.from_bytes(log[beat * beat_bytes : (beat + 1) * beat_bytes], "little")
                for beat in range(start, start + command.beats)
            ],
        )

    def _smart_log(self) -> bytes:
        levels = self._around.levels
        flags = sum(
            levels[name] << bit
            for bit, name in enumerate(("fatal", "light_status", "cattrip_status", "reduced"))
        )
        words = [
            *self._around.counts,
            levels["average_erases"] << 32 | levels["maximum_erases"],
            flags << 32 | len(self.errors),
        ]
        return b"".join(word.to_bytes(8, "little") for word in words)

    def _error_log(self) -> bytes:
        log = b""
        newest = len(self.errors)
        for number in range(newest, max(newest - KEPT_ERRORS, 0), -1):
            error = self.errors[number - 1]
            log += number.to_bytes(4, "little")
            log += (error.info << 8 | error.status << 4 | error.kind).to_bytes(4, "little")
            log += error.address.to_bytes(8, "little")
            log += bytes(self._config.beat_bytes - 16)
        return log

    def _zone_remapping(self, command: Command, operand: int) -> Prediction:
        if self._settings[True, 0x00C] >> 6 & 3 != 0b10:
            return Prediction(UNSUPPORTED)
        if operand:
            return Prediction(VALUE)
        words = [
            command.data[0] >> 16 * place & 0xFFFF for place in range(self._config.beat_bytes // 2)
        ]
        pairs = [pair for pair in zip(words[::2], words[1::2], strict=True) if pair != (0, 0)]
        zones = [zone for pair in pairs for zone in pair]
        if len(set(zones)) != len(zones) or any(zone >= self._host.zones for zone in zones):
            return Prediction(FIELD)
        return Prediction(OK, effects=[("swap", *pair) for pair in pairs])

    def _reduced_capacity(self, command: Command, operand: int) -> Prediction:
        kind, start = operand & 0xFF, operand >> 8 & 0xFFFF
        if kind or operand >> 24:
            return Prediction(FIELD)
        bits, banks = 8 * self._config.beat_bytes, self._config.banks
        blocks = banks * self._config.blocks_a_bank
        if start + command.beats > -(-blocks // bits):
            return Prediction(VALUE)
        bitmap = sum(1 << block * banks + bank for bank, block in self._around.retired)
        asked = range(start * bits, min((start + command.beats) * bits, blocks))
        return Prediction(
            OK,
            [
                bitmap >> beat * bits & (1 << bits) - 1
                for beat in range(start, start + command.beats)
            ],
            [("scan", index % banks, index // banks) for index in asked],
        )

    def _register_read(self, command: Command, operand: int) -> Prediction:
        place = bool(command.user & 0b100), operand
        if operand >> 24 or place not in all_registers():
            return Prediction(FIELD)
        return Prediction(OK, [self._read(*place)])

    def _read(self, mmio: bool, offset: int) -> int:
        levels, settings = self._around.levels, self._settings
        return (
            settings.get((mmio, offset), 0)
            | self._fixed().get((mmio, offset), 0)
            | {
                (False, 0x004): levels["scratchpad_ready"] << 7 | levels["io_ready"] << 5,
                (False, 0x204): self.pending,
                (False, 0x230): self._wear[0],
                (False, 0x234): self._wear[1],
                (False, 0x23C): self._around.zone_erases(settings[False, 0x238]),
                (True, 0x010): levels["shutdown"] << 3 | levels["fatal"] << 1 | levels["io_ready"],
                (True, 0x018): levels["light_status"] << 1 | levels["cattrip_status"],
                (True, 0x144): levels["maximum_erases"],
                (True, 0x148): levels["average_erases"],
                (True, 0x14C): levels["reduced"],
            }.get((mmio, offset), 0)
        )

    def _fixed(self) -> dict[tuple[bool, int], int]:
        """What no register write and no state changes."""
        config, host = self._config, self._host
        transaction = _size(config.page_bytes)
        scratchpad = _size(min(64 * config.beat_bytes, host.scratchpad_bytes))
        speed = (0x1, 0x2, 0x4)[self._grades - 1]
        always_on = {
            0x000: 0x48464E44,
            0x004: 1 << 6 | 1,
            0x008: 1,
            0x01C: 0xFFFFFFFF,
            0x058: speed << 8,
            0x098: 0b0100 << 16
            | scratchpad << 14
            | scratchpad << 12
            | transaction << 6
            | transaction << 4,
            0x20C: config.dies,
            0x210: config.banks_a_die,
            0x214: host.pages_a_block,
            0x218: config.page_bytes // 64,
            0x21C: config.dies * config.banks_a_die,
            0x220: config.pages_a_bank // host.pages_a_block,
            0x224: host.zones,
            0x228: host.units,
        }
        supported = (1 << self._grades) - 1
        mmio = {
            0x000: 1 << 24 | supported << 16 | 0b11 << 8 | 0b10 << 6 | 1 << 4 | 1,
            0x004: (config.dies.bit_length() - 1) << 8 | 1 << 4 | self._code,
            0x008: 0x00000007,
            0x024: host.scratchpad_bytes // 64,
            0x03C: config.dies
            * config.banks_a_die
            * config.pages_a_bank
            * config.page_bytes
            // 4096,
            0x04C: 1,
            0x050: max(128, config.beat_bytes),
            0x05C: 1,
            0x060: config.beat_bytes,
            0x064: 16,
        }
        return {(False, offset): value for offset, value in always_on.items()} | {
            (True, offset): value for offset, value in mmio.items()
        }

    def _register_write(self, command: Command, operand: int) -> Prediction:
        place = bool(command.user & 0b100), operand
        value = command.data[0] & 0xFFFFFFFF
        if place == (False, 0x204):
            self.pending &= ~value
            return Prediction(OK)
        if place == (True, 0x018):
            return Prediction(OK, effects=[("clear_cattrip",)] if value & 1 else [])
        if place not in self._settings:
            return Prediction(FIELD)
        if place == (True, 0x00C) and (
            value >> 24 & 15 > self._code
            or value >> 16 & 0xFF not in [1 << grade for grade in range(self._grades)]
            or value >> 6 & 3 not in (0b00, 0b10)
        ):
            return Prediction(UNSUPPORTED)
        if place in ((True, 0x100), (True, 0x104)) and value & 0xFF > 5:
            return Prediction(UNSUPPORTED)
        writable = {
            (False, 0x208): 0b111,
            (False, 0x22C): self._config.banks * self._config.blocks_a_bank - 1,
            (False, 0x238): self._host.zones - 1,
            (True, 0x00C): 0x0FFF00C1,
            (True, 0x014): 0b11,
            (True, 0x150): 0x00FFFF7F,
        }.get(place, 0xFFFFFFFF)
        self._settings[place] = value & writable
        if place == (False, 0x22C):
            block, bank = divmod(self._settings[place], self._config.banks)
            self._wear = self._around.wear(bank, block)
            return Prediction(OK, effects=[("inspect", bank, block)])
        resets = place == (True, 0x014) and value >> 8 == 0x484246 and value & 3 == 0b10
        return Prediction(OK, effects=[("reset",)] if resets else [])


def _timer(time_ns: float) -> int:
    """A register of a time: of the largest unit that it is a multiple of, or in nanoseconds."""
    for code in reversed(range(len(UNIT_NS))):
        if time_ns and time_ns % UNIT_NS[code] == 0:
            return int(time_ns // UNIT_NS[code]) << 8 | code
    return ceil(time_ns) << 8


def _size(size: int) -> int:
    """The code of a transaction's size."""
    return sum(size >= least for least in (256, 512, 4096))
