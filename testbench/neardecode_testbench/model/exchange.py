"""What the chips of one model exchange: sums of partial results, summed in the network."""

from dataclasses import dataclass
from math import ceil, log2

from neardecode.config import Config

__all__ = ["Exchange"]

PORT = 6
"""Cycles from the last partial result to a message's first transfer, and from its last to the
residual stream."""


@dataclass(frozen=True)
class Exchange:
    """An all-reduce of a vector over the chips, up a tree of two and down again.

    The first transfer is back ``2 * depth * (hop + 1) + 2`` cycles after it was given, as the
    reduction tree states; the others follow one a cycle.

    Attributes:
        chips: How many.
        hop_cycles: Registers of a link between two of them.
        lanes: Accumulators of a transfer.
        word_bits: Of an accumulator.
    """

    chips: int
    hop_cycles: int
    lanes: int
    word_bits: int

    @classmethod
    def of(cls, config: Config, chips: int, hop_ns: float | None = None) -> "Exchange":
        """That of a configuration's links, or of links of another latency."""
        assert config.decoder is not None
        hop = config.fabric.chip_link_latency if hop_ns is None else config.cycles(hop_ns)
        return cls(chips, hop, config.decoder.lanes, config.compute.accumulator_bits)

    @property
    def latency(self) -> int:
        """Cycles from a transfer to its sum."""
        return 0 if self.chips == 1 else 2 * ceil(log2(self.chips)) * (self.hop_cycles + 1) + 2

    def cycles(self, words: int) -> int:
        """What it takes beyond the last partial result."""
        return 0 if self.chips == 1 else self.latency + ceil(words / self.lanes) + PORT

    def bits(self, words: int) -> int:
        """Bits that leave a chip for it."""
        return 0 if self.chips == 1 else words * self.word_bits
