"""Where the points of a sweep run: in processes of this machine, or on a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol

from neardecode.config import ConfigError
from neardecode_testbench.experiments.points import Point, evaluate

__all__ = ["on_cluster", "on_processes"]

ATTEMPTS = 3
"""Processes or workers that may die with a point before it counts as failed."""
CONNECT_SECONDS = 60

Work = Callable[[Point], dict[str, Any]]


class Keyed(Protocol):
    """Something that is run, told from others by its key.

    Attributes:
        key: The same for the same, and no other.
        values: What its row says of it, whatever comes.
    """

    @property
    def key(self) -> str: ...

    @property
    def values(self) -> tuple[tuple[str, Any], ...]: ...


def _failed(point: Keyed, why: str) -> dict[str, Any]:
    return {"key": point.key, **dict(point.values), "error": why}


def on_processes(
    points: Sequence[Any], jobs: int, work: Callable[[Any], dict[str, Any]] = evaluate
) -> Iterator[dict[str, Any]]:
    """Each point's row, as it comes.

    If a process dies, the points that it took with it are run again, each alone in a process of
    its own, until it has died with the same one for the third time.

    Args:
        points: What is run, each `Keyed`.
        jobs: Processes at a time.
        work: What is done with one.
    """
    lost = []
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = {pool.submit(work, point): point for point in points}
        for future in as_completed(running):
            try:
                row = future.result()
            except BrokenProcessPool:
                lost.append(running[future])
            else:
                yield row
    for point in lost:
        yield _alone(point, work)


def _alone(point: Keyed, work: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    for _ in range(ATTEMPTS - 1):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            try:
                return pool.submit(work, point).result()
            except BrokenProcessPool:
                continue
    return _failed(point, f"its process died {ATTEMPTS} times")


def on_cluster(
    points: Sequence[Point], address: str, work: Work = evaluate
) -> Iterator[dict[str, Any]]:
    """Each point's row, as it comes from the workers of a scheduler.

    A worker that dies loses nothing: the scheduler gives its points to others.

    Args:
        points: What is run.
        address: Of the scheduler, as ``tcp://host:port``.
        work: What is done with one.

    Raises:
        ConfigError: if nothing answers there.
    """
    # Takes a second to import, which no other command should wait for.
    import distributed

    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(f"--scheduler {address}: {' '.join(str(error).split())}") from None
    with client:
        running = {
            client.submit(work, point, key=f"point-{point.key}", pure=False): point
            for point in points
        }
        for future in distributed.as_completed(running):
            try:
                row = future.result()
            except distributed.KilledWorker:
                row = _failed(running[future], "workers died with it")
            future.release()
            yield row
