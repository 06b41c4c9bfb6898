"""Tokens of models drawn at random, for which the model is held against the RTL."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from neardecode.config import BLOCK_ELEMENTS, PRESETS, BlockFormat, Config, with_changes
from neardecode_testbench.devices.token_board import varied_board
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.experiments.dealt import CONTEXTS, TIMES_US, dealt
from neardecode_testbench.model.program import program_of
from neardecode_testbench.model.shapes import Shape
from neardecode_testbench.model.token import TokenWalk
from neardecode_testbench.scenarios.token_cycles import TokenCycles

__all__ = ["RANGES", "Board", "MeasuredTokens", "draw_tokens"]

POINTS_A_BOARD = 8
"""What is compiled for one of them takes longer than to run it."""
TOKENS = (7, 1, 19)
CYCLES = 60_000
"""Cycles of a token, about, above which a model is drawn smaller."""
SLICES = 8
"""Slices of all chips, beside flash and vaults: what a board takes to compile."""

RANGES: dict[str, tuple[Any, ...]] = {
    "banks": (1, 2, 4, 8, 16, 32, 64),
    "channels": (1, 2, 3, 4, 6, 8),
    "chips": (1, 1, 2, 3, 4),
    "lanes": (2, 4, 8, 16, 32),
    "vaults": (1, 2, 3),
    "page_bytes": (1024, 2048, 4096),
    "head_elements": (64, 128),
    "group": (1, 2),
    "prefetch": (1, 2, 4, 8),
    "link_latency": (0, 1, 3),
    "chip_link_latency": (1, 8, 32, 100),
    "block_format": ("Q8_0", "Q4_1", "Q4_0"),
    "split": ("context", "heads"),
}
"""What is built, by name; every end of a range is drawn before any value is drawn twice."""


@dataclass(frozen=True)
class Board:
    """What is built once for several points: all but tR, which is an input of its NAND dies.

    Attributes:
        values: By the names of `RANGES`.
    """

    values: tuple[tuple[str, Any], ...]

    def __getitem__(self, name: str) -> Any:
        return dict(self.values)[name]

    @property
    def block_format(self) -> BlockFormat:
        """Of all matrices."""
        return BlockFormat[self["block_format"]]

    @cached_property
    def config(self) -> Config:
        """The configuration, with the longest tR."""
        banks, page = self["banks"], self["page_bytes"]
        dies = max(1, banks // 16)
        return with_changes(
            PRESETS["decoder-tiny"],
            {
                "flash": {
                    "channels": self["channels"],
                    "dies": dies,
                    "banks_a_die": banks // dies,
                    "page_bytes": page,
                    "pages_a_bank": 4096,
                    "sense_ns": 1000 * TIMES_US[1],
                },
                "stack": {"vaults": self["vaults"], "page_bytes": page, "pages_a_bank": 16384},
                "compute": {
                    "formats": (self["block_format"],),
                    "blocks_a_row": 64,
                    "rows": 4096,
                    "commands_ahead": max(4, self["prefetch"]),
                },
                "decoder": {
                    "lanes": self["lanes"],
                    "width": 256,
                    "words": 2048,
                    "activation_blocks": 32,
                    "group": self["group"],
                    "head_elements": self["head_elements"],
                    "table_beats": 32,
                    "prefetch": self["prefetch"],
                    "split": self["split"],
                },
                "fabric": {
                    "link_latency": self["link_latency"],
                    "chip_link_latency": self["chip_link_latency"],
                },
                "chips": self["chips"],
            },
        )


@dataclass(frozen=True)
class MeasuredTokens:
    """A model on a board, at a tR and a context.

    Attributes:
        board: The board.
        sense_us: tR.
        context: Rows that the last token attends to.
        shape: The model's.
    """

    board: Board
    sense_us: float
    context: int
    shape: Shape

    @property
    def config(self) -> Config:
        """The configuration with its tR."""
        return with_changes(self.board.config, {"flash": {"sense_ns": 1000 * self.sense_us}})

    @property
    def tokens(self) -> tuple[int, ...]:
        """Those that are read, one after the other."""
        return TOKENS

    @property
    def position(self) -> int:
        """The first one's."""
        return self.context - len(TOKENS)

    def table(self) -> dict[str, Any]:
        """For machines and people."""
        shape = self.shape
        return {
            **dict(self.board.values),
            "sense_us": self.sense_us,
            "context": self.context,
            "kv": "stack",
            "layers": shape.layers,
            "width": shape.width,
            "kv_heads": shape.kv_heads,
            "ffn": shape.ffn,
            "vocabulary": shape.vocabulary,
        }

    def measure(self) -> tuple[list[int], list[int]]:
        """Cycles of every token, in RTL and by the model.

        Raises:
            ConfigError, CompileError, ToolError, StuckError, StorageError: if it cannot be run.
        """
        shape, config = self.shape, self.config
        design = Design(varied_board, (self.board.config,))
        times = simulate(design, self._scenario(), "native")
        programs = {
            chip: program_of(
                shape, config, self.context, chip=chip, embedding_words=times.embedding_words
            )
            for chip in range(config.chips)
        }
        walk = TokenWalk(programs, config, times.start, self.position)
        return times.cycles, [int(walk.token(token).cycles) for token in self.tokens]

    def _scenario(self) -> TokenCycles:
        """Its tokens in RTL."""
        shape = self.shape
        sizes = {
            "layers": shape.layers,
            "width": shape.width,
            "heads": shape.heads,
            "kv_heads": shape.kv_heads,
            "head_size": shape.head_size,
            "ffn": shape.ffn,
            "vocabulary": shape.vocabulary,
        }
        return TokenCycles(
            self.board.config,
            sizes,
            self.board.block_format,
            list(self.tokens),
            self.position,
            self.context,
            levels={"sense_cycles": self.config.sense_cycles},
        )


def draw_tokens(
    random: np.random.Generator, senses: Sequence[float], contexts: Sequence[int]
) -> list[MeasuredTokens]:
    """A point of each tR and context, in order of their boards."""
    boards = _boards(random, ceil(len(senses) / POINTS_A_BOARD))
    found = []
    for number, (sense, context) in enumerate(zip(senses, contexts, strict=True)):
        board = boards[number // POINTS_A_BOARD]
        found.append(MeasuredTokens(board, sense, context, _shape(random, board, sense)))
    return found


def _boards(random: np.random.Generator, count: int) -> list[Board]:
    """Boards whose slices are few enough, so that channels and vaults are fewer with more chips."""
    columns = {name: dealt(random, values, count) for name, values in RANGES.items()}
    # Most channels go with one chip.
    chips, channels = sorted(columns["chips"]), sorted(columns["channels"], reverse=True)
    order = random.permutation(count)
    columns["chips"] = [chips[place] for place in order]
    columns["channels"] = [channels[place] for place in order]
    found = []
    for number in range(count):
        values = {name: column[number] for name, column in columns.items()}
        most = max(2, SLICES // values["chips"])
        values["vaults"] = min(values["vaults"], max(1, most // 2))
        if values["chips"] > 1:
            values["channels"] = min(values["channels"], max(1, most - values["vaults"]))
        else:
            values["split"] = RANGES["split"][0]
        values["group"] = min(values["group"], values["lanes"])
        found.append(Board(tuple(values.items())))
    return found


def _shape(random: np.random.Generator, board: Board, sense_us: float) -> Shape:
    """A model that a token goes through in not too many cycles."""
    chips, group, size = board["chips"], board["group"], board["head_elements"]
    # Blocks of a beat: no row of a chip is shorter.
    beat = board.config.flash.layout(board.block_format).blocks_a_beat
    fewest_heads = ceil(beat * chips * BLOCK_ELEMENTS / (group * size))
    kv_heads = max(fewest_heads, int(random.integers(1, 4)))
    if board["split"] == "heads" and chips > 1:
        kv_heads = chips * ceil(fewest_heads / chips)
    narrowest, least_ffn = BLOCK_ELEMENTS * max(2, beat), BLOCK_ELEMENTS * beat * chips
    least = max(96, board["lanes"] * chips * 2)
    layers = int(random.integers(1, 4))
    ffn = max(least_ffn, BLOCK_ELEMENTS * int(random.integers(2, 13)))
    width = max(narrowest, 64 * int(random.integers(1, 4)))
    vocabulary = int(random.integers(least, 640))
    config = with_changes(board.config, {"flash": {"sense_ns": 1000 * sense_us}})
    while True:
        shape = Shape("random", layers, width, kv_heads * group, kv_heads, size, ffn, vocabulary)
        cycles = program_of(shape, config, CONTEXTS[1]).beats / config.utilisation_bound
        smaller = (
            max(1, layers - 1),
            max(narrowest, width - 64),
            max(least_ffn, ffn - 96),
            max(least, vocabulary // 2),
        )
        if cycles <= CYCLES or smaller == (layers, width, ffn, vocabulary):
            return shape
        layers, width, ffn, vocabulary = smaller
