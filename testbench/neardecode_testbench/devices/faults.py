"""What goes wrong in core dies: flipped bits, failed operations, stuck lanes.

Source: Marsaglia, "Xorshift RNGs", 2003, for the generators (64 bits, shifts 13, 7 and 17).
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash

__all__ = [
    "CANDIDATES",
    "RATE_BITS",
    "Contents",
    "Faults",
    "FaultsInterface",
    "Flips",
    "RateSum",
    "Xorshift",
    "generator_seed",
]

CANDIDATES = 4
"""Bits of a beat that may flip."""
RATE_BITS = 20
"""Bits of a probability of flipping."""
WEAR_SHIFT, READ_SHIFT, AGE_SHIFT = 8, 16, 24
"""Binary digits that a count has behind the point where it meets its rate."""


class Contents(enum.Enum, shape=2):
    """What a page reads as."""

    STORED = 0
    ERASED = 1
    GARBAGE = 2


class FaultsInterface(wiring.PureInterface):
    """The wires of a device's faults; see `Faults`."""

    error_rate: Signal
    wear_rate: Signal
    read_rate: Signal
    age_rate: Signal
    program_failures: Signal
    erase_failures: Signal
    stuck: Signal
    stuck_value: Signal


class Faults(wiring.Signature):
    """What shall go wrong; all zero, nothing does.

    A beat that leaves its page register has `CANDIDATES` candidates, each of which flips a bit
    anywhere in it, data or parity, with a probability of ``rate / 2**20``. With blocks' records
    that rate is, for a page sensed in retry stage s::

        (error_rate + (erases * wear_rate >> 8) + (reads * read_rate >> 16)
            + (age * age_rate >> 24)) >> s

    before the shift at most ``2**20 - 1``, of the counts and the age (in 2**16 cycles) that the
    block had when the page was sensed; without records ``error_rate >> s``.

    Parameters:
        config: The flash section.

    Members:
        error_rate: Out(20). The rate of a fresh block.
        wear_rate, read_rate, age_rate: Out(16). What a block's history adds. Only with ``host``.
        program_failures, erase_failures: Out(16). The probability, in 2**-16, that an operation
            accepted in this cycle will fail; all ones make it certain. Only with ``host``.
        stuck: Out(lanes). Data lanes that carry their ``stuck_value`` in both directions.
        stuck_value: Out(lanes). That value.
    """

    def __init__(self, config: Flash):
        members = {"error_rate": Out(RATE_BITS)}
        if config.host is not None:
            members |= {name: Out(16) for name in ("wear_rate", "read_rate", "age_rate")}
            members |= {name: Out(16) for name in ("program_failures", "erase_failures")}
        super().__init__({**members, "stuck": Out(config.lanes), "stuck_value": Out(config.lanes)})

    def create(self, *, path=None, src_loc_at=0) -> FaultsInterface:
        """The wires of one device's faults."""
        return FaultsInterface(self, path=path, src_loc_at=1 + src_loc_at)


class RateSum(wiring.Component):
    """The rate at which bits of a page flip, from its block's history.

    Combinational.

    Members:
        error_rate: In(20).
        wear_rate, read_rate, age_rate: In(16). As in `Faults`.
        erases, reads, age: In(32).
        stage: In(3). The retry stage of the sense.
        rate: Out(20).
    """

    error_rate: Signal
    wear_rate: Signal
    read_rate: Signal
    age_rate: Signal
    erases: Signal
    reads: Signal
    age: Signal
    stage: Signal
    rate: Signal

    def __init__(self):
        super().__init__(
            {
                "error_rate": In(RATE_BITS),
                "wear_rate": In(16),
                "read_rate": In(16),
                "age_rate": In(16),
                "erases": In(32),
                "reads": In(32),
                "age": In(32),
                "stage": In(3),
                "rate": Out(RATE_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        """Three products and a sum that saturates."""
        m = Module()
        total = Signal(48)
        m.d.comb += [
            total.eq(
                self.error_rate
                + ((self.erases * self.wear_rate) >> WEAR_SHIFT)
                + ((self.reads * self.read_rate) >> READ_SHIFT)
                + ((self.age * self.age_rate) >> AGE_SHIFT)
            ),
            self.rate.eq(
                Mux(total[RATE_BITS:].any(), (1 << RATE_BITS) - 1, total[:RATE_BITS]) >> self.stage
            ),
        ]
        return m


def generator_seed(seed: int, index: int) -> int:
    """The first state of a device's index-th generator: never zero, and far from the others'."""
    mask = (1 << 64) - 1
    state = ((seed << 8 | index) + 1) * 0x9E3779B97F4A7C15 & mask
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
    return (state ^ state >> 31) or 1


class Xorshift(wiring.Component):
    """A generator of 64 random bits.

    Parameters:
        seed: The first state, not zero.

    Members:
        step: In(1). This cycle's bits are used up.
        bits: Out(64).
    """

    step: Signal
    bits: Signal

    def __init__(self, seed: int):
        if not 0 < seed < 1 << 64:
            raise ValueError(f"seed must be from 1 to 2**64 - 1, not {seed!r}")
        self._seed = seed
        super().__init__({"step": In(1), "bits": Out(64)})

    def elaborate(self, platform) -> Module:
        """One state, three shifts."""
        m = Module()
        state = Signal(64, init=self._seed)
        left, right, after = Signal(64), Signal(64), Signal(64)
        m.d.comb += [
            left.eq(state ^ (state << 13)),
            right.eq(left ^ (left >> 7)),
            after.eq(right ^ (right << 17)),
            self.bits.eq(state),
        ]
        with m.If(self.step):
            m.d.sync += state.eq(after)
        return m


def _one_hot(valid: Value, index: Value, width: int) -> Value:
    """Bit ``index`` of ``width``, word by word, which simulators shift faster than all at once."""
    return Cat(
        Mux(valid & (index[5:] == number), (Const(1, 32) << index[:5])[:32], 0)
        for number in range(-(-width // 32))
    )[:width]


class Flips(wiring.Component):
    """Bits of a beat that flip on their way out of the page register.

    Combinational from ``rate`` to ``mask``. Candidate k has a generator of its own, of which bits
    63:44 below the rate make the flip happen, and bits 31:16 times the bits of a beat, over 2**16,
    say where. Of a page that is garbage every bit is exclusive-ored with the generators' bits, one
    generator after another.

    Parameters:
        width: Bits of a beat.
        seed: Of the generators; see `generator_seed`.

    Members:
        valid: In(1). A beat leaves; the next beat gets new random bits.
        rate: In(20).
        garbage: In(1).
        mask: Out(width). Bits that flip.
        flipped: Out. How many flip by chance.
    """

    valid: Signal
    rate: Signal
    garbage: Signal
    mask: Signal
    flipped: Signal

    def __init__(self, width: int, seed: int):
        self._width = width
        self._generators = [
            Xorshift(generator_seed(seed, candidate)) for candidate in range(CANDIDATES)
        ]
        super().__init__(
            {
                "valid": In(1),
                "rate": In(RATE_BITS),
                "garbage": In(1),
                "mask": Out(width),
                "flipped": Out(range(CANDIDATES + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A generator and a decoder a candidate."""
        m = Module()
        width = self._width
        place_bits = ceil_log2(width)
        flips, places, masks = [], [], []
        for candidate, generator in enumerate(self._generators):
            m.submodules[f"generator{candidate}"] = generator
            flip = Signal(name=f"flip{candidate}")
            place = Signal(place_bits, name=f"place{candidate}")
            mask = Signal(width, name=f"mask{candidate}")
            m.d.comb += [
                generator.step.eq(self.valid),
                place.eq((generator.bits[16:32] * width) >> 16),
                # A place that another candidate has taken is not flipped back.
                flip.eq(
                    self.valid
                    & (generator.bits[64 - RATE_BITS :] < self.rate)
                    & ~Cat(
                        earlier & (other == place)
                        for earlier, other in zip(flips, places, strict=True)
                    ).any()
                ),
                mask.eq(_one_hot(flip, place, width)),
            ]
            flips.append(flip)
            places.append(place)
            masks.append(mask)
        random = Cat(generator.bits for generator in self._generators)
        garbage = Signal(width)
        m.d.comb += [
            garbage.eq(Cat(random for _ in range(-(-width // len(random))))[:width]),
            self.mask.eq(reduce(or_, masks) ^ Mux(self.garbage & self.valid, garbage, 0)),
            self.flipped.eq(sum(flips)),
        ]
        return m
