"""A token of any model on any configuration: its bound, and what the model of the decoder says.

Layers are alike, so where there are many a few of them stand for all. A long context is reached
from two shorter ones, since every tile of keys and values takes as long as the one before.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from neardecode_testbench.model.bound import Bound, bound_of
from neardecode_testbench.model.exchange import Exchange
from neardecode_testbench.model.fit import Fitted
from neardecode_testbench.model.program import program_of
from neardecode_testbench.model.token import TokenCost, TokenWalk

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
        exchanges: Cycles of exchanges between chips, which are among them.
        bits: Bits that a token moves, all chips together, by component.
        walked: How much of it was walked through: layers, and tokens of context.
    """

    fitted: Fitted
    rows: int
    bound: Bound
    cycles: float
    causes: dict[str, float]
    memory: float
    exchanges: int
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
    if rows <= 2 * far:
        cost, seen = _walk(fitted, rows, layers), rows
    else:
        seen = 2 * far
        half, whole = (_walk(fitted, count, layers) for count in (far, seen))
        cost = whole.plus(whole.plus(half, -1), (rows - seen) / (seen - far))
    exchange = Exchange.of(fitted.config, fitted.chips, hop_ns)
    a_layer = 2 * exchange.cycles(fitted.shape.width)
    exchanges = a_layer * fitted.shape.layers + exchange.cycles(1)
    return Projection(
        fitted,
        rows,
        bound_of(fitted, rows),
        cost.cycles + exchanges,
        cost.causes | ({"exchange": exchanges} if exchanges else {}),
        cost.memory,
        exchanges,
        _bits(fitted, rows, exchange),
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
    heads = -(-fitted.shape.kv_heads // stack.vaults)
    row = 2 * heads * kv_map.beats_a_row * stack.page_beats / config.kv_layout.element_beats
    return max(ROWS, ceil(1.25 * filling / row))


def _walk(fitted: Fitted, rows: int, layers: int) -> TokenCost:
    """What all layers take, by a walk over so many of them."""
    shape, config = fitted.shape, fitted.config
    program = fitted.program
    if layers < shape.layers:
        program = program_of(replace(shape, layers=layers), config, fitted.context)
    walk = TokenWalk(program, config, position=max(0, rows - TOKENS), alike=True)
    cost = TokenCost()
    for _ in range(min(TOKENS, rows)):
        cost = walk.token(EMBEDDING_ROW)
    # The first layers may live on pages that came while the last matrix went through.
    steady = walk.layers[layers // 2 : layers]
    for layer in steady if layers < shape.layers else ():
        cost = cost.plus(layer, (shape.layers - layers) / len(steady))
    return cost


def _bits(fitted: Fitted, rows: int, exchange: Exchange) -> dict[str, int]:
    """Bits of a token by component, all chips together."""
    config, shape = fitted.config, fitted.shape
    bound = bound_of(fitted, rows)
    kv_map, stack = fitted.program.kv_map, config.stack
    assert stack is not None
    # A row is written with its scales, keys and values of every head; tables are read by pages.
    written = 2 * shape.layers * shape.kv_heads * 2 * kv_map.beats_a_row * stack.beat_bytes
    tables = (2 * shape.layers + 3) * stack.page_bytes
    flash, dram = 8 * bound.flash_bytes, 8 * (bound.kv_bytes + written + tables)
    moved = 2 * shape.layers * exchange.bits(shape.width) + exchange.bits(1)
    each = {"flash": flash, "dram": dram, "tsv": flash + dram, "link": moved}
    return {name: bits * fitted.chips for name, bits in each.items() if bits}
