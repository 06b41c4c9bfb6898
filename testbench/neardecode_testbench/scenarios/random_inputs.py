"""Inputs at random, every output of every cycle: two simulators are compared by it."""

import random
from dataclasses import dataclass

from neardecode_testbench.drive.stimulus import Probe, Step

__all__ = ["RandomInputs"]


@dataclass(frozen=True)
class RandomInputs:
    """A scenario.

    Attributes:
        inputs: Bits of each input.
        outputs: The outputs.
        cycles: How long.
        seed: Of what is left to chance.
    """

    inputs: dict[str, int]
    outputs: list[str]
    cycles: int = 300
    seed: int = 1

    def __call__(self, step: Step) -> list[dict[str, int]]:
        """Every output in every cycle."""
        chance = random.Random(self.seed)
        return [
            step(
                Probe(
                    {name: chance.getrandbits(bits) for name, bits in self.inputs.items()},
                    self.outputs,
                )
            ).outputs
            for _ in range(self.cycles)
        ]
