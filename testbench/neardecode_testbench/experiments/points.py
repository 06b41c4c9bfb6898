"""The points of a sweep: from a specification to what each of them gives."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from neardecode.config import BlockFormat, Config, ConfigError, load, with_changes
from neardecode_synth.energy import energies
from neardecode_testbench.experiments.case import Case
from neardecode_testbench.experiments.costs import memory_usd, tsv_mm2
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.model.shapes import Shape, load_shape

__all__ = ["ENDS", "Point", "evaluate", "read_spec"]

ENDS = ("low", "middle", "high")
MOST_POINTS = 100_000
KEYS = ("model", "config", "chips", "context", "weights", "hop_ns", "axes")


@dataclass(frozen=True)
class Point:
    """What is projected, and the values that make it this one.

    Attributes:
        values: By axis.
        shape: The model.
        base: The configuration before its axes.
        chips: That share the model.
        context: Tokens that are attended to.
        weights: Blocks of the weights.
        hop_ns: Of a link between chips.
        changes: Of the configuration, by dotted key.
    """

    values: tuple[tuple[str, Any], ...]
    shape: Shape
    base: Config
    chips: int
    context: int
    weights: str | None
    hop_ns: float | None
    changes: tuple[tuple[str, Any], ...]

    @property
    def key(self) -> str:
        """The same for the same point, and no other."""
        given = (vars(self.shape), self.base.model_dump(mode="json"), self.chips, self.context)
        text = json.dumps(
            [*given, self.weights, self.hop_ns, self.changes], default=str, sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_spec(path: Path) -> list[Point]:
    """All points of a specification, in order.

    ``model``, ``config``, ``chips``, ``context``, ``weights`` and ``hop_ns`` are values or lists of
    them; ``axes`` has lists by dotted keys of the configuration. A point is one choice of each.

    Raises:
        ConfigError: if something is not known or there is no point.
    """
    try:
        spec = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    if unknown := [key for key in spec if key not in KEYS]:
        raise ConfigError(f"{path}: {unknown[0]} is not known; known: {', '.join(KEYS)}")
    axes = spec.pop("axes", {})
    given: dict[str, list[Any]] = {
        name: value if isinstance(value, list) else [value]
        for name, value in {
            "model": "smollm2-135m",
            "config": "decoder-demo",
            "chips": 1,
            "context": 2048,
            **spec,
        }.items()
    }
    changed = _flat(axes)
    if empty := [name for name, values in {**given, **changed}.items() if not values]:
        raise ConfigError(f"{path}: {empty[0]} has no value")
    count = 1
    for values in (*given.values(), *changed.values()):
        count *= len(values)
    if count > MOST_POINTS:
        raise ConfigError(f"{path}: has {count:,} points, more than {MOST_POINTS:,}")
    shapes = {name: load_shape(name) for name in given["model"]}
    configs = {name: load(name) for name in given["config"]}
    names = [*given, *changed]
    points = []
    for choice in product(*given.values(), *changed.values()):
        values = dict(zip(names, choice, strict=True))
        points.append(
            Point(
                tuple(values.items()),
                shapes[values["model"]],
                configs[values["config"]],
                values["chips"],
                values["context"],
                values.get("weights"),
                values.get("hop_ns"),
                tuple((name, values[name]) for name in changed),
            )
        )
    return points


def _flat(axes: Mapping[str, Any], before: str = "") -> dict[str, list[Any]]:
    """Axes by dotted key, however their tables are written."""
    found: dict[str, list[Any]] = {}
    for name, value in axes.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = value if isinstance(value, list) else [value]
    return found


def evaluate(point: Point) -> dict[str, Any]:
    """What a point gives: figures, or why there are none.

    It never raises for a point that cannot be; ``error`` is then a line that says why.
    """
    row: dict[str, Any] = {"key": point.key, **dict(point.values), "error": None}
    try:
        config = point.base
        for name, value in point.changes:
            for part in reversed(name.split(".")):
                value = {part: value}
            config = with_changes(config, value)
        if point.weights is not None and point.weights not in BlockFormat.__members__:
            raise ConfigError(
                f"weights: {point.weights} is none of {', '.join(BlockFormat.__members__)}"
            )
        weights = None if point.weights is None else BlockFormat[point.weights]
        case = Case(point.shape, config, point.chips, point.context, weights, point.hop_ns)
        run = case.project()
    except (ConfigError, FigureError, AssertionError, ArithmeticError, TypeError) as error:
        return {**row, "error": " ".join(f"{type(error).__name__}: {error}".split())}
    fitted = run.fitted.config
    parts = energies(run.bits)
    ranges = {
        "joules": [sum(getattr(part, end) for part in parts) for end in ENDS],
        "memory_usd": memory_usd(fitted, point.chips),
        "tsv_mm2": tsv_mm2(fitted, point.chips),
    }
    row |= {
        "tokens_a_second": run.tokens_a_second,
        "cycles": float(run.cycles),
        "bound_share": run.bound_ratio,
        "limit": run.bound.limit,
    }
    for name, (low, middle, high) in ranges.items():
        row |= {name: middle, f"{name}_low": low, f"{name}_high": high}
    return row
