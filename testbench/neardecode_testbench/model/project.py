"""A token of any model on any configuration: its bound, and what the model of the decoder says.

Layers are alike, so where there are many a few of them stand for all. A long context is reached
from two shorter ones, since every tile of keys and values takes as long as the one before.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from neardecode_testbench.model.bound import Bound, bound_of
from neardecode_testbench.model.chip import TokenCost
from neardecode_testbench.model.exchange import exchanged_bits, hop_cycles
from neardecode_testbench.model.fit import Fitted
from neardecode_testbench.model.program import program_of
from neardecode_testbench.model.roofline import roofline
from neardecode_testbench.model.token import TokenWalk
from neardecode_testbench.model.tree import tree_depths

__all__ = ["Projection", "project"]

LAYERS = 8
"""Layers that are walked where there are too many for all."""
PAGES = 10_000
"""Pages of a channel's weights up to which all layers are walked."""
TOKENS = 2
"""Tokens that are walked; the last one counts, whose weights were asked for by the one before."""
ROWS = 1024
"""Tokens of context of the shorter of two walks that a long context is reached from, at least."""
EMBEDDING_ROW = 1


@dataclass(frozen=True)
class Projection:
    """A token, of each of the chips that share the model.

    Attributes:
        fitted: The model on the configuration.
        rows: Tokens that it attends to.
        bound: What it takes at least.
        cycles: What it takes.
        causes: Of them, by where they went.
        memory: Of those that are busy, the ones in which slices waited for their flash.
        exchanges: Of all, those in which chips wait for what others send and nothing else goes on.
        bits: Bits that a token moves, all chips together, by component.
        walked: How much of it was walked through: layers, and tokens of context.
    """

    fitted: Fitted
    rows: int
    bound: Bound
    cycles: float
    causes: dict[str, float]
    memory: float
    exchanges: float
    bits: dict[str, int]
    walked: tuple[int, int]

    @property
    def tokens_a_second(self) -> float:
        """Of one sequence."""
        return self.fitted.config.clock_ghz * 1e9 / self.cycles

    @property
    def bound_ratio(self) -> float:
        """The bound over what it takes."""
        return self.bound.cycles / self.cycles

    def table(self) -> dict[str, Any]:
        """For machines."""
        fitted, config = self.fitted, self.fitted.config
        return {
            "model": fitted.shape.name,
            "chips": fitted.chips,
            "context": self.rows,
            "clock_ghz": config.clock_ghz,
            "bound": {
                "cycles": self.bound.cycles,
                "limit": self.bound.limit,
                "flash_bytes": self.bound.flash_bytes,
                "kv_bytes": self.bound.kv_bytes,
            },
            "cycles_a_token": self.cycles,
            "ratio": self.bound_ratio,
            "tokens_a_second": self.tokens_a_second,
            "causes": self.causes,
            "memory": self.memory,
            "exchange_cycles": self.exchanges,
            "bits": self.bits,
            "roofline": roofline(fitted, self.rows, self.bound, self.cycles),
            "walked": {"layers": self.walked[0], "context": self.walked[1]},
            "assumed": list(fitted.assumed),
        }


def project(fitted: Fitted, rows: int, hop_ns: float | None = None) -> Projection:
    """What a token takes that attends to so many rows, itself among them.

    Args:
        fitted: The model on a configuration.
        rows: At most its context.
        hop_ns: Of links between chips; by default the configuration's.
    """
    layers = _layers(fitted)
    far = _far(fitted)
    hop = hop_cycles(fitted.config, hop_ns)
    if rows <= 2 * far:
        cost, seen = _walk(fitted, rows, layers, hop), rows
    else:
        seen = 2 * far
        half, whole = (_walk(fitted, count, layers, hop) for count in (far, seen))
        cost = whole.plus(whole.plus(half, -1), (rows - seen) / (seen - far))
    return Projection(
        fitted,
        rows,
        bound_of(fitted, rows),
        cost.cycles,
        cost.causes,
        cost.memory,
        cost.exchanges,
        _bits(fitted, rows),
        (layers, seen),
    )


def _layers(fitted: Fitted) -> int:
    """Layers that are walked: all of them where they are not many pages."""
    pages = fitted.program.beats // fitted.config.flash.page_beats
    return fitted.shape.layers if pages <= PAGES else min(fitted.shape.layers, LAYERS)


def _far(fitted: Fitted) -> int:
    """A context from which on more tokens only take longer in proportion.

    While heads attend, pages of weights come until every page buffer is full; from there on nothing
    is hidden behind them.
    """
    config, kv_map = fitted.config, fitted.program.kv_map
    stack = config.stack
    assert stack is not None
    flash = config.flash
    filling = 2 * max(config.sense_cycles, flash.banks * flash.page_beats)
    kv_heads = fitted.shape.kv_heads * config.context_chips // fitted.chips
    heads = -(-kv_heads // stack.vaults)
    row = 2 * heads * kv_map.beats_a_row * stack.page_beats / config.kv_layout.element_beats
    return config.context_chips * max(ROWS, ceil(1.25 * filling / row))


def _walk(fitted: Fitted, rows: int, layers: int, hop: int) -> TokenCost:
    """What all layers take, by a walk over so many of them."""
    shape = fitted.shape
    if layers < shape.layers:
        fitted = replace(fitted, shape=replace(shape, layers=layers))
        fitted = replace(
            fitted, program=program_of(fitted.shape, fitted.config, fitted.context, chip=0)
        )
    position = max(0, rows - TOKENS)
    programs = {chip: fitted.program_of(chip) for chip in _walked(fitted.chips, rows)}
    walk = TokenWalk(programs, fitted.config, position=position, alike=True, hop_cycles=hop)
    cost = TokenCost()
    for _ in range(min(TOKENS, rows)):
        cost = walk.token(EMBEDDING_ROW)
    # The first layers may live on pages that came while the last matrix went through.
    steady = walk.layers[layers // 2 : layers]
    for layer in steady if layers < shape.layers else ():
        cost = cost.plus(layer, (shape.layers - layers) / len(steady))
    return cost


def _walked(chips: int, rows: int) -> list[int]:
    """Chips that stand for all: the last token's own, and another, as far from the root as any."""
    depths = tree_depths(chips)
    owner = (rows - 1) % chips
    others = [chip for chip in range(chips) if chip != owner]
    return [owner, *sorted(others, key=lambda chip: -depths[chip])[:1]]


def _bits(fitted: Fitted, rows: int) -> dict[str, int]:
    """Bits of a token by component, all chips together."""
    config, shape = fitted.config, fitted.shape
    bound = bound_of(fitted, rows)
    kv_map, stack = fitted.program.kv_map, config.stack
    assert stack is not None
    # A row is written by its one chip, with its scales, keys and values of every head; tables are
    # read by pages.
    written = 2 * shape.layers * shape.kv_heads * 2 * kv_map.beats_a_row * stack.beat_bytes
    tables = (2 * shape.layers + 3) * stack.page_bytes
    kept = 8 * fitted.chips * bound.kv_bytes
    flash = 8 * bound.flash_bytes * fitted.chips
    dram = 8 * (fitted.chips * tables + written)
    if config.kv.placement == "flash":
        flash += kept
    else:
        dram += kept
    moved = fitted.chips * exchanged_bits(shape, config)
    each = {"flash": flash, "dram": dram, "tsv": flash + dram, "link": moved}
    return {name: bits for name, bits in each.items() if bits}
