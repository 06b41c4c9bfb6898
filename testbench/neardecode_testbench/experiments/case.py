"""A model on a configuration, and the same with something changed."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from neardecode.config import BlockFormat, Config, ConfigError, with_changes
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.model.bound import Bound, bound_of
from neardecode_testbench.model.fit import Fitted, fit
from neardecode_testbench.model.project import Projection, project
from neardecode_testbench.model.shapes import Shape

__all__ = ["Case", "projected"]

RATIO_LIMIT = 1.0001
"""A token that is so much faster than its bound is an error."""


@dataclass(frozen=True)
class Case:
    """What is projected.

    Attributes:
        shape: The whole model.
        config: Of a chip.
        chips: That share the model.
        context: Tokens that are attended to.
        weights: Blocks of the weights; None for its own.
        hop_ns: Of a link between chips; None for the configuration's.
    """

    shape: Shape
    config: Config
    chips: int = 1
    context: int = 2048
    weights: BlockFormat | None = None
    hop_ns: float | None = None

    def changed(self, **sections: Any) -> "Case":
        """The same with keys of its configuration in place of its own.

        Raises:
            ConfigError: if it does not fit together.
        """
        return replace(self, config=with_changes(self.config, sections))

    def fitted(self) -> Fitted:
        """The model on the configuration.

        Raises:
            ConfigError: if it does not fit.
        """
        return fit(self.shape, self.config, self.context, self.chips, self.weights)

    def bound(self) -> Bound:
        """What a token takes at least."""
        return bound_of(self.fitted(), self.context)

    def project(self) -> Projection:
        """What a token takes.

        Raises:
            ConfigError: if it does not fit.
            FigureError: if it is no time, or below its bound.
        """
        result = project(self.fitted(), self.context, self.hop_ns)
        if not 0 < result.cycles < float("inf") or result.bound_ratio > RATIO_LIMIT:
            raise FigureError(f"{result.cycles!r} cycles, with a bound of {result.bound.cycles}")
        return result


def projected(cases: Sequence[Case], jobs: int = 1) -> list[Projection | str]:
    """Each case's projection, or why there is none, in order.

    Args:
        cases: What is projected.
        jobs: Processes at a time.
    """
    if jobs == 1 or len(cases) < 2:
        return [_project(case) for case in cases]
    with ProcessPoolExecutor(min(jobs, len(cases)), get_context("spawn")) as pool:
        return list(pool.map(_project, cases))


def _project(case: Case) -> Projection | str:
    try:
        return case.project()
    except (ConfigError, FigureError) as error:
        return str(error)
