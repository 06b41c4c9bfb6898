"""New rows of keys and values, from the vector unit into the vaults."""

from collections.abc import Sequence

from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode_testbench.model.program import Program
from neardecode_testbench.model.vault import Vault

__all__ = ["Appenders"]


class Appenders:
    """An appender a vault; KV head h belongs to vault ``h % vaults``.

    Args:
        config: The chip's.
        program: What it runs.
        walked: Those that are walked through.
        vaults: How many there are; those that are not walked take rows as they come.
        start: From when on they are free.
    """

    def __init__(
        self,
        config: Config,
        program: Program,
        walked: Sequence[Vault],
        vaults: int,
        start: int,
    ):
        decoder = config.decoder
        assert decoder is not None
        self._vaults: list[Vault | None] = [None] * vaults
        self._vaults[0], self._vaults[-1] = walked[0], walked[-1]
        if len(walked) == vaults:
            self._vaults = list(walked)
        self._layout = config.kv_layout
        self._parts = decoder.head_elements // BLOCK_ELEMENTS
        self._transfers = BLOCK_ELEMENTS // decoder.lanes
        self._kv_map = program.kv_map
        self._free = [start] * vaults

    @property
    def free(self) -> int:
        """When all rows are in their vaults."""
        return max(self._free)

    def append(self, page: int, position: int, blocks: list[int]) -> int:
        """Rows of all heads of a layer, keys or values.

        Args:
            page: The first head's first page.
            position: The token's.
            blocks: When the vector unit would have each block, if all were taken.

        Returns:
            When the vector unit is free.
        """
        layout, kv_map = self._layout, self._kv_map
        offset, place = divmod(position * kv_map.beats_a_row, layout.element_beats)
        left = -1
        for head in range(len(blocks) // self._parts):
            number, index = divmod(head, len(self._vaults))
            vault, free = self._vaults[index], self._free[index]
            first = page + number * 2 * kv_map.region_pages + offset
            for part in range(self._parts):
                # The row's place is told a cycle before its first block.
                offered = max(blocks[head * self._parts + part], left + self._transfers)
                left = max(offered + (part == 0), free, left + 1)
                if vault is not None and (part + 1) % layout.blocks_a_beat == 0:
                    free = self._write(vault, left, first, place + part // layout.blocks_a_beat)
            self._free[index] = free
        return left + 1

    def _write(self, vault: Vault, gathered: int, page: int, place: int) -> int:
        """A beat of elements and their scales; when the appender is free."""
        layout = self._layout
        over, beat = divmod(place, layout.element_beats)
        written = vault.write(gathered + 1, page + over, layout.scale_beats + beat)
        scale = beat * layout.blocks_a_beat // layout.beat_bytes
        return vault.write(written + 1, page + over, scale) + 1
