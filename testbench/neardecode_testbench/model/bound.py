"""What a token takes at least: each memory's bytes at its full rate."""

from dataclasses import dataclass

from neardecode_testbench.model.fit import Fitted

__all__ = ["Bound", "bound_of"]


@dataclass(frozen=True)
class Bound:
    """Lower bounds of a token, of one chip.

    Attributes:
        flash_bytes: Weights that cross the buses of all channels, whole pages.
        flash_cycles: What they take at a beat a cycle and channel.
        sense_cycles: What they take where banks cannot sense as fast.
        kv_bytes: Keys and values that are read, whole pages.
        kv_cycles: What they take at a beat a cycle and vault, or as fast as flash gives them.
    """

    flash_bytes: int
    flash_cycles: int
    sense_cycles: float
    kv_bytes: int
    kv_cycles: float

    @property
    def cycles(self) -> float:
        """The longest of them."""
        return max(self.flash_cycles, self.sense_cycles, self.kv_cycles)

    @property
    def limit(self) -> str:
        """Which: ``sense``, ``bus`` or ``kv``."""
        if self.kv_cycles == self.cycles:
            return "kv"
        return "sense" if self.sense_cycles > self.flash_cycles else "bus"


def bound_of(fitted: Fitted, rows: int) -> Bound:
    """The bound of a token that attends to so many rows."""
    config, program = fitted.config, fitted.program
    stack = config.stack
    assert stack is not None
    # Rows are dealt from the first chip on, blocks of columns to the last one at most.
    flash_cycles = max(program.beats, fitted.program_of(fitted.chips - 1).beats)
    kv_heads = fitted.shape.kv_heads * config.context_chips // fitted.chips
    heads = -(-kv_heads // stack.vaults)
    of_chip = -(-rows // config.context_chips)
    pages = -(-of_chip * program.kv_map.beats_a_row // config.kv_layout.element_beats)
    kv_cycles = 2 * fitted.shape.layers * heads * pages * stack.page_beats
    if config.kv.placement == "flash":
        kv_cycles /= config.utilisation_bound
    kv_bytes = 2 * fitted.shape.layers * kv_heads * pages * stack.page_bytes
    return Bound(
        flash_cycles * config.flash.channels * config.flash.beat_bytes,
        flash_cycles,
        flash_cycles / config.utilisation_bound,
        kv_bytes,
        kv_cycles,
    )
