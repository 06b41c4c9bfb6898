"""A token through the programs of all chips: what each does alone, and what they do together."""

from collections.abc import Mapping

from neardecode.config import Config, Operation
from neardecode_testbench.model.chip import FETCH, Chip, TokenCost
from neardecode_testbench.model.exchange import hop_cycles as hop_of
from neardecode_testbench.model.heads import attend
from neardecode_testbench.model.program import Program, Step
from neardecode_testbench.model.sharing import SharedHead, SharedHeads
from neardecode_testbench.model.tree import Tree

__all__ = ["TokenCost", "TokenWalk"]


class TokenWalk:
    """All chips, token after token; times are cycles since reset.

    Args:
        programs: What each chip runs, of those that are walked through, by number.
        config: A chip's.
        start: When they are told to run, and the first token is offered.
        position: The first token's.
        alike: As `Chip`.
        hop_cycles: Of a link between two chips; by default the configuration's.
    """

    def __init__(
        self,
        programs: Mapping[int, Program],
        config: Config,
        start: int = 0,
        position: int = 0,
        *,
        alike: bool = False,
        hop_cycles: int | None = None,
    ):
        self._chips = [
            Chip(number, program, config, start, alike=alike)
            for number, program in programs.items()
        ]
        self._shares = config.context_chips > 1
        self._tree = Tree(config.chips, hop_of(config) if hop_cycles is None else hop_cycles)
        self.now, self.position = start, position
        self.layers: list[TokenCost] = []
        """Of the latest token: of each layer, the steps before the first with it, and of those
        behind the last, as the first of the chips spends its cycles."""

    def token(self, token: int) -> TokenCost:
        """Runs the programs once, from the token's offer to the one that follows it."""
        self.layers = []
        chips, first = self._chips, self._chips[0]
        layer, layer_begun = 0, self.now
        ats = [self.now + FETCH] * len(chips)
        for chip in chips:
            chip.cost = TokenCost()
        for steps in zip(*(chip.program.steps for chip in chips), strict=True):
            if steps[0].layer > layer:
                self._end_layer(ats[0] - layer_begun)
                layer, layer_begun = steps[0].layer, ats[0]
            if steps[0].operation is Operation.QUERIES:
                ats = self._attend(steps, ats)
            elif steps[0].operation is Operation.EXCHANGE:
                ats = self._exchange(steps, ats)
            else:
                ats = [
                    chip.do(step, at, token, self.position)
                    for chip, step, at in zip(chips, steps, ats, strict=True)
                ]
        # A token is taken when all chips have found it.
        self.now = max(ats)
        self._end_layer(self.now - layer_begun)
        self.position += 1
        first.cost = TokenCost()
        cost = TokenCost()
        for part in self.layers:
            cost = cost.plus(part)
        return cost

    def _end_layer(self, cycles: int) -> None:
        chip = self._chips[0]
        self.layers.append(chip.cost.ended(cycles))
        chip.cost = TokenCost()

    def _exchange(self, steps: tuple[Step, ...], ats: list[int]) -> list[int]:
        """Partial results of all chips."""
        offers = [
            chip.offer(step, at) for chip, step, at in zip(self._chips, steps, ats, strict=True)
        ]
        given = {chip.number: times for chip, (times, _) in zip(self._chips, offers, strict=True)}
        for chip, step in zip(self._chips, steps, strict=True):
            chip.exchanged(step, self._tree.results(given)[chip.number])
        return [following for _, following in offers]

    def _attend(self, steps: tuple[Step, ...], ats: list[int]) -> list[int]:
        """The heads of a layer."""
        chips = self._chips
        begun = [
            chip.queries(step, at, self.position)
            for chip, step, at in zip(chips, steps, ats, strict=True)
        ]
        heads = [each for each, _ in begun]
        parts: list[SharedHead] = []
        shared = None
        if self._shares:
            parts = [self._part(heads, number) for number in range(len(heads[0].heads))]
            shared = SharedHeads(self._tree, parts, {chip.number: chip.told for chip in chips})
        attend(heads, shared)
        free = None if shared is None else shared.free
        for chip, each in zip(chips, heads, strict=True):
            chip.attended(each, each.blocks(parts, chip.number), free)
        return [following for _, following in begun]

    def _part(self, heads, number: int) -> SharedHead:
        """What the chips have of a head."""
        part = SharedHead()
        for chip, each in zip(self._chips, heads, strict=True):
            part.times[chip.number] = None if each.empty else each.heads[number]
            part.units[chip.number] = each.unit(number) or each.units[0]
        return part
