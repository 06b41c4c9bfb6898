"""What core dies do wrong, predicted bit by bit: flips, garbage, lanes that stick."""

from collections.abc import Mapping

from neardecode.config import Flash
from neardecode_testbench.devices.faults import generator_seed

__all__ = ["FlipModel", "LaneModel", "XorshiftModel", "page_rate"]

WORD = (1 << 64) - 1
MOST = (1 << 20) - 1


class XorshiftModel:
    """Marsaglia's generator of 64 bits, shifts 13, 7 and 17.

    Args:
        seed, index: Which of a device's generators; see `generator_seed`.
    """

    def __init__(self, seed: int, index: int):
        self.state = generator_seed(seed, index)

    def take(self) -> int:
        """The bits that stand there; the next ones follow."""
        taken = x = self.state
        x ^= x << 13 & WORD
        x ^= x >> 7
        x ^= x << 17 & WORD
        self.state = x
        return taken


def page_rate(
    faults: Mapping[str, int], stage: int, erases: int = 0, reads: int = 0, age: int = 0
) -> int:
    """The probability, in 2**-20, that a candidate flips."""
    history = (
        (erases * faults.get("wear_rate", 0) >> 8)
        + (reads * faults.get("read_rate", 0) >> 16)
        + (age * faults.get("age_rate", 0) >> 24)
    )
    return min(MOST, faults.get("error_rate", 0) + history) >> stage


class FlipModel:
    """What leaves a page register.

    Args:
        width: Bits of a beat.
        seed: The dies'.
    """

    def __init__(self, width: int, seed: int):
        self._width = width
        self._generators = [XorshiftModel(seed, candidate) for candidate in range(4)]

    def beat(self, stored: int, rate: int, garbage: bool) -> tuple[int, int]:
        """The next beat as it leaves, and how many of its bits chance flipped."""
        bits = [generator.take() for generator in self._generators]
        places = {(word >> 16 & 0xFFFF) * self._width >> 16 for word in bits if word >> 44 < rate}
        for place in places:
            stored ^= 1 << place
        if garbage:
            pattern = sum(word << 64 * index for index, word in enumerate(bits))
            for first in range(0, self._width, 256):
                stored ^= pattern << first & (1 << self._width) - 1
        return stored, len(places)


class LaneModel:
    """Which lane carries which bit.

    Args:
        flash: The flash section.
    """

    def __init__(self, flash: Flash):
        self._width = 8 * flash.stored_bytes
        groups, spares = (
            (1, 0) if flash.repair is None else (flash.repair.groups, flash.repair.spares)
        )
        self._bits = self._width // groups
        lanes = self._bits + spares
        self._groups = [range(group * lanes, (group + 1) * lanes) for group in range(groups)]

    def places(self, faulty: int) -> list[int]:
        """The lane of each bit, the faulty ones left out."""
        return [
            lane
            for group in self._groups
            for lane in [lane for lane in group if not faulty >> lane & 1][: self._bits]
        ]

    def spread(self, bits: int, faulty: int) -> int:
        """A beat on its lanes, the others 0."""
        return sum((bits >> bit & 1) << lane for bit, lane in enumerate(self.places(faulty)))

    def gather(self, lanes: int, faulty: int) -> int:
        """The beat on the lanes."""
        return sum((lanes >> lane & 1) << bit for bit, lane in enumerate(self.places(faulty)))

    def used(self, faulty: int) -> int:
        """The lanes that carry a bit."""
        return sum(1 << lane for lane in self.places(faulty))
